//! A folder that is held open, so that what is in it is found by its name alone: to walk a long path once per file
//! takes several times as long as to look at the file.

use crate::stamp::Stamp;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

/// A folder.
pub(super) struct Place {
    #[cfg(unix)]
    folder: std::os::fd::OwnedFd,
    #[cfg(not(unix))]
    folder: std::path::PathBuf,
}

#[cfg(unix)]
impl Place {
    /// The folder at a path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::at(rustix::fs::CWD, path)
    }

    /// A folder in this one.
    pub(super) fn below(&self, name: &OsStr) -> io::Result<Self> {
        Self::at(&self.folder, Path::new(name))
    }

    fn at(folder: impl std::os::fd::AsFd, path: &Path) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { folder: rustix::fs::openat(folder, path, flags, Mode::empty())? })
    }

    /// The stamp of the folder.
    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        Ok(Stamp::told(&rustix::fs::fstat(&self.folder)?))
    }

    /// The stamp of a file in the folder, or of what a link leads to.
    pub(super) fn stamp_of(&self, name: &OsStr) -> io::Result<Stamp> {
        Ok(Stamp::told(&rustix::fs::statat(&self.folder, name, rustix::fs::AtFlags::empty())?))
    }
}

#[cfg(not(unix))]
impl Place {
    /// The folder at a path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { folder: path.to_owned() })
    }

    /// A folder in this one.
    pub(super) fn below(&self, name: &OsStr) -> io::Result<Self> {
        Self::open(&self.folder.join(name))
    }

    /// The stamp of the folder.
    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        Stamp::of(&self.folder)
    }

    /// The stamp of a file in the folder, or of what a link leads to.
    pub(super) fn stamp_of(&self, name: &OsStr) -> io::Result<Stamp> {
        Stamp::of(&self.folder.join(name))
    }
}
