//! The `pv` binary: parses the command line, runs one command, turns its verdict into an exit code.
#![forbid(unsafe_code)]

use clap::Parser as _;
use pv::cli::Cli;
use pv::context::Context;
use pv::exit::Exit;
use std::process::ExitCode;

/// Values are made by one thread and freed by another, millions of them; the allocators of C libraries spend a third of
/// the time of a status on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that closed the pipe has what it wanted.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Holds }.into();
        }
    };
    let verdict = Context::new(&cli.global).and_then(|context| cli.command.run(&context));
    match verdict {
        Ok(exit) => exit.into(),
        Err(error) if error.is_broken_pipe() => Exit::Holds.into(),
        Err(error) => {
            eprintln!("pv: {error}");
            Exit::Usage.into()
        }
    }
}
