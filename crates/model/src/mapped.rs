//! A file's bytes, mapped read-only: the one place where the operating system's pages become a slice.
//!
//! It refuses to know what is in them.
#![expect(unsafe_code, reason = "the mmap fence")]

use crate::Error;
use std::any::Any;
use std::collections::HashMap;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    map: memmap2::Mmap,
    /// What was made of parts of it and is still in use, by first byte and past the last.
    made: Mutex<HashMap<(usize, usize), Weak<dyn Any + Send + Sync>>>,
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
        Ok(Self { path: path.to_owned(), map, made: Mutex::default() })
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `make` makes of a part, or what it made before if that is still in use somewhere: sessions of one file share
    /// what they hold.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn shared<T: Any + Send + Sync, E>(
        &self,
        range: &Range<usize>,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let key = (range.start, range.end);
        // Nothing that could be half done panics under the lock.
        let known =
            self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&key).and_then(Weak::upgrade);
        if let Some(known) = known.and_then(|k| k.downcast().ok()) {
            return Ok(known);
        }
        let made = Arc::new(make()?);
        let held: Arc<dyn Any + Send + Sync> = made.clone();
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::downgrade(&held));
        Ok(made)
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
