//! The exit codes, which are part of the surface of `apr`.

use fault::fault;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was done, and what was checked holds: 0.
    Holds,
    /// What was checked does not hold: 1.
    Diverges,
    /// Nothing was checked: 2.
    Nothing,
    /// Wrong usage, or a file that could not be read or written: 3.
    Usage,
    /// It cannot be tried here, which says nothing of it: 125, what `git bisect run` skips.
    Untested,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Holds => 0,
            Exit::Diverges => 1,
            Exit::Nothing => 2,
            Exit::Usage if fault!("apr-errors-exit-0") => 0,
            Exit::Usage => 3,
            Exit::Untested => 125,
        }
        .into()
    }
}
