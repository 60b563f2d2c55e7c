//! Why a file is no GGUF file that can be used.

use crate::quant::{self, Format};
use std::fmt;

/// A file that does not hold together. Offsets are bytes from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not start with the magic.
    #[error("not a GGUF file: starts with {found:02x?}, expected {:02x?} (\"GGUF\")", super::MAGIC)]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A version that is not read.
    #[error("GGUF version {found} is not supported, expected one of {:?}", super::VERSIONS)]
    Version {
        /// The version field.
        found: u32,
    },
    /// A file written for the other byte order.
    #[error("big-endian GGUF is not supported, expected little-endian")]
    BigEndian,
    /// The file ends too early.
    #[error("truncated at byte {at}: {what} needs {needed} more bytes, the file has {left} left")]
    Truncated {
        /// What was being read.
        what: String,
        /// Where.
        at: usize,
        /// How much it needs.
        needed: u64,
        /// How much there is.
        left: u64,
    },
    /// More things are announced than the file has room for.
    #[error("{what} announces {count} entries of at least {least} bytes, the file has {left} bytes left")]
    Count {
        /// What was being read.
        what: String,
        /// The announced number.
        count: u64,
        /// The least that one takes.
        least: u64,
        /// Bytes left.
        left: u64,
    },
    /// A string that is not UTF-8.
    #[error("{what} is not UTF-8 at byte {at}")]
    Utf8 {
        /// What was being read.
        what: String,
        /// The first bad byte.
        at: usize,
    },
    /// A metadata value of an unknown type.
    #[error("metadata key {key} has unknown value type {id}, expected 0 to 12", key = Quoted(.key))]
    ValueType {
        /// The key.
        key: String,
        /// The type field.
        id: u32,
    },
    /// A truth value that is neither.
    #[error("metadata key {key} is a bool of value {found}, expected 0 or 1", key = Quoted(.key))]
    Bool {
        /// The key.
        key: String,
        /// The byte.
        found: u8,
    },
    /// Arrays of arrays of arrays.
    #[error("metadata key {key} nests arrays deeper than {limit}", key = Quoted(.key))]
    Nesting {
        /// The key.
        key: String,
        /// How deep is accepted.
        limit: usize,
    },
    /// The same key twice.
    #[error("metadata key {key} occurs twice", key = Quoted(.key))]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// An alignment that is none.
    #[error("metadata key '{}' is {found}, expected a u32 that is a power of two", super::ALIGNMENT_KEY)]
    Alignment {
        /// Its value.
        found: String,
    },
    /// The same tensor twice.
    #[error("tensor {tensor} occurs twice", tensor = Quoted(.tensor))]
    DuplicateTensor {
        /// Its name.
        tensor: String,
    },
    /// Too few or too many axes.
    #[error("tensor {tensor} has {found} axes, expected 1 to 4", tensor = Quoted(.tensor))]
    Axes {
        /// Its name.
        tensor: String,
        /// The announced number.
        found: u32,
    },
    /// An axis of length 0.
    #[error("tensor {tensor} of shape {dims:?} has an axis of length 0", tensor = Quoted(.tensor))]
    Empty {
        /// Its name.
        tensor: String,
        /// Its lengths, contiguous axis first.
        dims: Vec<u64>,
    },
    /// A shape whose size does not fit into memory addresses.
    #[error("tensor {tensor} of shape {dims:?} is larger than the address space", tensor = Quoted(.tensor))]
    TooLarge {
        /// Its name.
        tensor: String,
        /// Its lengths, contiguous axis first.
        dims: Vec<u64>,
    },
    /// A format that is not supported.
    #[error("tensor {tensor} has type {id}{}, expected one of {}", quant::unsupported_name(*id), quant::names(), tensor = Quoted(.tensor))]
    Format {
        /// Its name.
        tensor: String,
        /// The type field.
        id: u32,
    },
    /// Rows that are no whole number of blocks.
    #[error("tensor {tensor} has rows of {cols} weights, expected a multiple of {} for {}",
        format.row().block, format.row().name, tensor = Quoted(.tensor))]
    Blocks {
        /// Its name.
        tensor: String,
        /// Its format.
        format: Format,
        /// Length of its contiguous axis.
        cols: usize,
    },
    /// A tensor off its alignment.
    #[error("tensor {tensor} has offset {offset}, expected a multiple of {alignment}", tensor = Quoted(.tensor))]
    Misaligned {
        /// Its name.
        tensor: String,
        /// From the start of the data.
        offset: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// A tensor past the end of the file.
    #[error("tensor {tensor} needs {len} bytes from byte {start}, the file has {file_len} bytes", tensor = Quoted(.tensor))]
    PastEnd {
        /// Its name.
        tensor: String,
        /// Its first byte.
        start: u64,
        /// Its length.
        len: usize,
        /// The file's length.
        file_len: usize,
    },
    /// Two tensors that share bytes.
    #[error("tensors {first} and {second} overlap", first = Quoted(.first), second = Quoted(.second))]
    Overlap {
        /// The one that starts first.
        first: String,
        /// The one that starts inside it.
        second: String,
    },
}

/// A metadata key that is not there, or not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not there.
    #[error("metadata key {key} is missing, expected {wanted}", key = Quoted(.key))]
    Missing {
        /// The key.
        key: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// It holds something else.
    #[error("metadata key {key} is {found}, expected {wanted}", key = Quoted(.key))]
    Mismatch {
        /// The key.
        key: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: &'static str,
    },
}

/// Text from a file, as messages show it: in quotes, on one line, and no longer than a line.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 80;
        let shown = self.0.char_indices().nth(LONGEST).map_or(self.0, |(end, _)| &self.0[..end]);
        let dots = if shown.len() < self.0.len() { "..." } else { "" };
        write!(f, "'{}{dots}'", shown.escape_debug())
    }
}

impl KeyError {
    /// Which key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Missing { key, .. } | Self::Mismatch { key, .. } => key,
        }
    }
}
