//! A file's bytes, mapped read-only: the one place where the operating system's pages become a slice.
//!
//! It refuses to know what is in them.
#![expect(unsafe_code, reason = "the mmap fence")]

use crate::Error;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    map: memmap2::Mmap,
}

impl Mapped {
    /// Maps `path`.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped, or is no regular file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
        }
        // SAFETY: the mapping is private and read-only. Its contents change only if another process writes to the file
        // while it is mapped, which no program can exclude; every consumer treats the bytes as plain integers, for
        // which any value is valid, and all offsets were checked against the length of this mapping.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path: path.to_owned(), map })
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the system that `range` will not be read again soon, so that its pages stop counting as resident.
    ///
    /// Only whole pages inside the range are dropped; they are read from the file again if touched. It is a hint: where
    /// the system has no such call nothing happens.
    ///
    /// # Errors
    /// When the system refuses the hint.
    pub fn release(&self, range: Range<usize>) -> Result<(), Error> {
        /// A multiple of every page size in use.
        const PAGE: usize = 1 << 16;
        let start = range.start.next_multiple_of(PAGE);
        let end = range.end.min(self.map.len()) / PAGE * PAGE;
        if start >= end {
            return Ok(());
        }
        #[cfg(unix)]
        {
            // SAFETY: the mapping is read-only and backed by the file, so dropping its pages loses nothing: the next
            // access reads the same bytes again.
            unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start)
            }
            .map_err(|source| Error::Io { path: self.path.clone(), source })?;
        }
        Ok(())
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}
