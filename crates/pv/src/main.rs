//! The `pv` binary: parses the command line, runs one command, turns its verdict into an exit code.
#![forbid(unsafe_code)]

use clap::Parser as _;
use pv::cli::Cli;
use pv::context::Context;
use pv::exit::Exit;
use std::hint::black_box;
use std::process::ExitCode;

/// What a thread of the pool may need before its heap grows, twice: address space, no memory. The C library of Linux
/// takes no larger block from a heap.
const ROOM: usize = 30 << 20;

/// Start the threads that files are read by. The heap of a thread grows by single pages in the C library of Linux, for
/// each of which the system stops the other threads; room that was taken once stays with the thread.
fn start_pool() {
    let room = |size: usize| {
        let mut room: Vec<u8> = Vec::new();
        // Where there is none, the heap grows as it would have.
        let _ = room.try_reserve_exact(size);
        black_box(room)
    };
    // Freeing a block raises the size up to which blocks come from heaps, and twice that is kept in them.
    drop(room(ROOM + (1 << 20)));
    // A pool that cannot be started is started again by the first who needs it, and the error is said there.
    let _ =
        rayon::ThreadPoolBuilder::new().start_handler(move |_| drop([room(ROOM), room(ROOM)])).build_global();
}

fn main() -> ExitCode {
    start_pool();
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
