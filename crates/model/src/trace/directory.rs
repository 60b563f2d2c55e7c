//! A folder that is there whole or not at all.

use super::Error;
use super::manifest::MANIFEST;
use fault::fault;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder being filled under another name beside its own. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Directory {
    target: PathBuf,
    force: bool,
    temporary: TempDir,
}

impl Directory {
    /// Whether `target` may be written: it does not exist, is empty, or is an earlier recording and `force` is set.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(target: &Path, force: bool) -> Result<(), Error> {
        let mut entries = match std::fs::read_dir(target) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io(target)(e)),
        };
        if entries.next().is_none() {
            return Ok(());
        }
        let path = target.to_owned();
        match (force || fault!("trace-overwrites"), target.join(MANIFEST).is_file()) {
            (false, _) => Err(Error::Occupied { path }),
            (true, false) => Err(Error::Foreign { path }),
            (true, true) => Ok(()),
        }
    }

    /// Starts filling; the folders above `target` are made.
    ///
    /// # Errors
    /// As [`Directory::check`], and what the system reports.
    pub fn create(target: &Path, force: bool) -> Result<Self, Error> {
        Self::check(target, force)?;
        let parent = match target.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let mut temporary = tempfile::Builder::new()
            .prefix(".trace-")
            .suffix(".partial")
            .tempdir_in(parent)
            .map_err(Error::io(parent))?;
        temporary.disable_cleanup(fault!("trace-leaves-partial"));
        Ok(Self { target: target.to_owned(), force, temporary })
    }

    /// Where to write meanwhile.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives the folder its name, replacing what was there.
    ///
    /// # Errors
    /// What the system reports; nothing is left behind then.
    pub fn commit(self) -> Result<(), Error> {
        let Self { target, force, temporary } = self;
        // Someone else may have written it meanwhile.
        Self::check(&target, force)?;
        set_permissions(temporary.path())?;
        let io = |e| Error::io(&target)(e);
        if target.exists() {
            // The old one steps aside first, because a folder that is not empty cannot be renamed over.
            let aside = temporary.path().with_extension("old");
            std::fs::rename(&target, &aside).map_err(io)?;
            if let Err(e) = std::fs::rename(temporary.path(), &target) {
                std::fs::rename(&aside, &target).map_err(io)?;
                return Err(io(e));
            }
            std::fs::remove_dir_all(&aside).map_err(Error::io(&aside))?;
        } else {
            std::fs::rename(temporary.path(), &target).map_err(io)?;
        }
        // The name it was made under is gone.
        let _ = temporary.keep();
        Ok(())
    }
}

/// Temporary folders are private; this one becomes an ordinary one.
fn set_permissions(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, permissions).map_err(Error::io(path))?;
    }
    Ok(())
}

/// Bytes that may still be written where `target` will lie; `None` where the system does not tell.
#[must_use]
pub fn free_bytes(target: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let existing = target.ancestors().find(|p| p.exists()).filter(|p| !p.as_os_str().is_empty());
        let stat = rustix::fs::statvfs(existing.unwrap_or(Path::new("."))).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = target;
        None
    }
}
