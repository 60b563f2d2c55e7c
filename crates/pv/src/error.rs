//! What can go wrong around a command: wrong usage and I/O. Findings are no errors.

use contract::settings::Problem;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// An error that ends a command with exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments make no sense together, or name something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// pv.toml is wrong: every problem with its place.
    #[error("{}", settings_lines(path, problems))]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        problems: Vec<Problem>,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bindings could not be resolved.
    #[error(transparent)]
    Binding(#[from] crate::binding::BindingError),
    /// Falsifiers could not be run.
    #[error(transparent)]
    Run(#[from] crate::run::RunError),
    /// Statuses could not be derived.
    #[error(transparent)]
    Status(#[from] crate::status::gather::GatherError),
    /// The store of evidence could not be used.
    #[error(transparent)]
    Store(#[from] crate::evidence::store::StoreError),
    /// A key could not be used.
    #[error(transparent)]
    Key(#[from] crate::evidence::dsse::KeyError),
    /// The site could not be put where it was asked for.
    #[error(transparent)]
    Folder(#[from] crate::dashboard::folder::FolderError),
    /// A count does not add up, which is a defect of pv.
    #[error(transparent)]
    Sum(#[from] contract::status::summary::SumError),
    /// A git revision could not be had.
    #[error(transparent)]
    Revision(#[from] crate::revision::RevisionError),
    /// The output could not be written.
    #[error("writing the output: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// The error of an operation on a file, for `map_err`.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Whether the reader of our output went away, which is no failure.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn settings_lines(path: &std::path::Path, problems: &[Problem]) -> String {
    let mut text = format!("{} is wrong", path.display());
    for problem in problems {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {}:{problem}", path.display());
    }
    text
}
