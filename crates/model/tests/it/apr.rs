//! The program under test.

use std::process::{Command, Output};

/// Runs `apr` to its end.
pub(crate) fn apr(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apr")).args(args).output().unwrap()
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}
