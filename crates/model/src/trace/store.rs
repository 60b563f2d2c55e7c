//! How tensors lie in a recording's directory: one table of formats, each a writer and a reader.

use super::manifest::Entry;
use super::plan::Planned;
use super::{Error, aprt, npy, safetensors};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How tensors are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One file of all tensors.
    Safetensors,
    /// One file for each, as NumPy writes it.
    Npy,
    /// One file for each with a header of 12 bytes; everything is f32.
    Aprt,
}

/// One row of the table.
pub struct FormatRow {
    /// The format.
    pub format: Format,
    /// Its name in flags and manifests.
    pub name: &'static str,
    /// Starts writing the tensors of a plan into a folder.
    create: Create,
    /// Starts reading the tensors of a folder.
    open: Open,
}

type Create = fn(&Path, &[Planned]) -> Result<Box<dyn Writer>, Error>;
type Open = fn(&Path) -> Arc<dyn Reader>;

/// Every format, once.
pub const FORMATS: &[FormatRow] = &[
    FormatRow {
        format: Format::Safetensors,
        name: "safetensors",
        create: safetensors::create,
        open: safetensors::open,
    },
    FormatRow { format: Format::Npy, name: "npy", create: npy::create, open: npy::open },
    FormatRow { format: Format::Aprt, name: "aprt", create: aprt::create, open: aprt::open },
];

/// Tensors on their way into files. The elements of one tensor come in order, those of different tensors in any.
pub(super) trait Writer: Send {
    /// Writes the next elements of the `index`-th tensor of the plan.
    fn append(&mut self, index: usize, values: Values<'_>) -> Result<(), Error>;
    /// The file of a tensor, relative to the folder.
    fn file(&self, index: usize) -> String;
    /// Everything was written.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Tensors in files, read when they are asked for.
pub(super) trait Reader: fmt::Debug + Send + Sync {
    /// A tensor's elements as they lie in its file, whose shape the manifest states.
    fn read(&self, entry: &Entry) -> Result<Cow<'_, [u8]>, Error>;
}

/// Tensors in a file each.
#[derive(Debug)]
pub(super) struct Files {
    pub folder: PathBuf,
    /// Reads one of them.
    pub read: fn(&Path, &Entry) -> Result<Vec<u8>, Error>,
}

impl Reader for Files {
    fn read(&self, entry: &Entry) -> Result<Cow<'_, [u8]>, Error> {
        (self.read)(&self.folder, entry).map(Cow::Owned)
    }
}

/// Elements of either type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    F32(&'a [f32]),
    I32(&'a [i32]),
}

// Elements are written as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"));

impl Values<'_> {
    /// The elements as little-endian bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        use zerocopy::IntoBytes as _;
        match self {
            Self::F32(v) => v.as_bytes(),
            Self::I32(v) => v.as_bytes(),
        }
    }
}

impl Format {
    /// The format's row of the table.
    #[must_use]
    pub fn row(self) -> &'static FormatRow {
        // The table is in the order of the enum.
        &FORMATS[self as usize]
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        FORMATS.iter().find(|r| r.name == name).map(|r| r.format)
    }

    pub(super) fn create(self, folder: &Path, tensors: &[Planned]) -> Result<Box<dyn Writer>, Error> {
        (self.row().create)(folder, tensors)
    }

    pub(super) fn open(self, folder: &Path) -> Arc<dyn Reader> {
        (self.row().open)(folder)
    }
}

/// The file of an entry, which has to lie inside the folder.
pub(super) fn file_of(folder: &Path, entry: &Entry) -> Result<std::path::PathBuf, Error> {
    let inside = |file: &str| {
        let path = Path::new(file);
        path.components().all(|c| matches!(c, std::path::Component::Normal(_)))
    };
    match &entry.file {
        Some(file) if inside(file) => Ok(folder.join(file)),
        Some(file) => Err(Error::corrupt(folder, format!("tensor '{}' names the file {file:?}", entry.key))),
        None => Err(Error::corrupt(folder, format!("only the statistics of '{}' were kept", entry.key))),
    }
}

/// Bytes of an entry's elements; `None` when they do not fit memory addresses.
pub(super) fn bytes_of(entry: &Entry) -> Option<usize> {
    entry.shape.iter().try_fold(4_usize, |n, &d| n.checked_mul(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for (i, row) in FORMATS.iter().enumerate() {
            assert_eq!(row.format as usize, i);
            assert_eq!(Format::from_name(row.name), Some(row.format));
            assert_eq!(serde_json::to_string(&row.format).unwrap(), format!("\"{}\"", row.name));
        }
    }
}
