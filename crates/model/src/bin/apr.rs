//! The `apr` binary: parses the command line, runs one command, turns its verdict into an exit code.
#![forbid(unsafe_code)]

use clap::Parser as _;
use model::cli::Cli;
use model::cli::exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that closed the pipe has what it wanted.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Holds }.into();
        }
    };
    match cli.command.run() {
        Ok(exit) => exit.into(),
        Err(error) if error.is_broken_pipe() => Exit::Holds.into(),
        Err(error) => {
            eprintln!("apr: {error}");
            Exit::Usage.into()
        }
    }
}
