//! What ends a command with exit code 3: wrong usage, and whatever the engine reports.

use std::io;

/// An error of a command. Its text is one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments make no sense together, or name something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// The engine refused.
    #[error(transparent)]
    Model(#[from] crate::Error),
    /// A CUDA device or compiler refused, or is not there.
    #[error(transparent)]
    Cuda(#[from] crate::cuda::Error),
    /// The output could not be written.
    #[error("writing the output: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// Whether the reader of our output went away, which is no failure.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }
}
