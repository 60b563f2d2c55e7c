//! Recordings of a pass: which values are kept, how they lie on disk, and how they are read back.
//!
//! A recording is a directory: one manifest and the tensors it names. It is written under another name and renamed when
//! it is complete, so what has the right name is whole. This module knows no backend and no command line.

mod aprt;
mod checksum;
mod directory;
mod manifest;
mod npy;
mod number;
mod plan;
mod reader;
mod record;
mod recorder;
mod safetensors;
mod stats;
mod store;

pub use aprt::aprt_values;
pub use checksum::Checksum;
pub use directory::{Directory, free_bytes};
pub use manifest::{Class, Digest, Dtype, Entry, MANIFEST, Manifest, ModelId, SCHEMA};
pub use number::Number;
pub use plan::{Plan, Planned, Positions, SelectError, Selection, parse_layers, parse_stages};
pub use reader::Trace;
pub use record::{Pass, record};
pub use recorder::Recorder;
pub use stats::Stats;
pub use store::{FORMATS, Format, FormatRow};

use std::path::PathBuf;

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// A folder that would have to be replaced.
    #[error("{}: is not empty, --force replaces an earlier recording", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that holds something else than a recording.
    #[error("{}: is no earlier recording and will not be replaced", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// More bytes than allowed.
    #[error("the recording takes {bytes} bytes, expected at most {most} ({why})")]
    TooLarge {
        /// How many it takes.
        bytes: u64,
        /// How many are allowed.
        most: u64,
        /// By what.
        why: &'static str,
    },
    /// A folder without a manifest.
    #[error("{}: has no {MANIFEST}: no recording, or one still being written", path.display())]
    NoManifest {
        /// The folder.
        path: PathBuf,
    },
    /// A file that does not hold together.
    #[error("{}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// A tensor that the recording does not hold.
    #[error("{}: holds no tensor '{key}'{}", path.display(), similar.as_ref().map(|s| format!(", did you mean '{s}'?")).unwrap_or_default())]
    NoTensor {
        /// The recording.
        path: PathBuf,
        /// What was asked for.
        key: String,
        /// What sounds like it.
        similar: Option<String>,
    },
    /// The recording was interrupted.
    #[error("interrupted, nothing was written")]
    Interrupted,
}

impl Error {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }

    fn corrupt(path: impl Into<PathBuf>, what: impl ToString) -> Self {
        Self::Corrupt { path: path.into(), what: what.to_string() }
    }
}

/// The name of a list that sounds most like `text`.
#[must_use]
pub fn similar<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this, names have little in common.
    const ALIKE: f64 = 0.7;
    names
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
