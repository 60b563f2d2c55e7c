//! A tensor's bytes, held without copying: a part of a mapped file, or memory. It refuses to know what they mean.

use crate::Error;
use crate::mapped::Mapped;
use std::any::Any;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A shared, immutable run of bytes. Cloning copies no bytes.
#[derive(Debug, Clone)]
pub struct Bytes {
    owner: Owner,
    range: Range<usize>,
}

#[derive(Debug, Clone)]
enum Owner {
    File(Arc<Mapped>),
    Memory(Arc<[u8]>),
}

impl Bytes {
    /// A part of a mapped file; `None` when it does not lie inside.
    #[must_use]
    pub fn of_file(file: &Arc<Mapped>, range: Range<usize>) -> Option<Self> {
        file.get(range.clone())?;
        Some(Self { owner: Owner::File(Arc::clone(file)), range })
    }

    /// What `make` makes of them; of a part of a file, what it made before if that is still in use somewhere.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn shared<T: Any + Send + Sync, E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        match &self.owner {
            Owner::File(file) => file.shared(&self.range, make),
            Owner::Memory(_) => make().map(Arc::new),
        }
    }

    /// Tells the system that the bytes will not be read again soon: pages of a file stop counting as resident, memory
    /// is left alone.
    ///
    /// # Errors
    /// When the system refuses the hint.
    pub fn release(&self) -> Result<(), Error> {
        match &self.owner {
            Owner::File(file) => file.release(self.range.clone()),
            Owner::Memory(_) => Ok(()),
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self { range: 0..bytes.len(), owner: Owner::Memory(bytes.into()) }
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        let all = match &self.owner {
            Owner::File(file) => file.as_ref(),
            Owner::Memory(bytes) => bytes.as_ref(),
        };
        // The constructors checked the range.
        all.get(self.range.clone()).unwrap_or_default()
    }
}
