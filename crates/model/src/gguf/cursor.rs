//! A reading position in a slice. Every read says what it is for, so that a short file is reported in the file's own terms.

use super::Error;
use super::error::Quoted;
use std::fmt;

/// What was being read.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    Header,
    TensorCount,
    KeyCount,
    Key(u64),
    Value(&'a str),
    TensorName(u64),
    Tensor(&'a str),
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::TensorCount => f.write_str("the tensor count"),
            Self::KeyCount => f.write_str("the metadata count"),
            Self::Key(i) => write!(f, "metadata key {i}"),
            Self::Value(key) => write!(f, "the value of metadata key {}", Quoted(key)),
            Self::TensorName(i) => write!(f, "the name of tensor {i}"),
            Self::Tensor(name) => write!(f, "the description of tensor {}", Quoted(name)),
        }
    }
}

/// A slice and a position in it.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The position, in bytes from the start of the file.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: u64, what: What<'_>) -> Result<&'a [u8], Error> {
        let taken = usize::try_from(n).ok().and_then(|n| self.bytes.get(self.at..self.at.checked_add(n)?));
        let Some(taken) = taken else {
            return Err(Error::Truncated {
                what: what.to_string(),
                at: self.at,
                needed: n,
                left: self.left(),
            });
        };
        self.at += taken.len();
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, what: What<'_>) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64, what)?);
        Ok(out)
    }

    pub(super) fn u32(&mut self, what: What<'_>) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: What<'_>) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A number of things that take at least `least` bytes each: more than fit into the rest of the file are refused here,
    /// before anything is allocated for them.
    pub(super) fn count(&mut self, what: What<'_>, least: u64) -> Result<u64, Error> {
        let count = self.u64(what)?;
        if count.checked_mul(least).is_none_or(|bytes| bytes > self.left()) {
            return Err(Error::Count { what: what.to_string(), count, least, left: self.left() });
        }
        Ok(count)
    }

    /// A length and that many bytes of UTF-8.
    pub(super) fn string(&mut self, what: What<'_>) -> Result<String, Error> {
        let len = self.u64(what)?;
        let at = self.at;
        let bytes = self.take(len, what)?;
        match str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(Error::Utf8 { what: what.to_string(), at: at + e.valid_up_to() }),
        }
    }
}
