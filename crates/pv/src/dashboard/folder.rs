//! Putting a site where it is asked for: the whole site or, when anything fails, what was there before.

use super::Draft;
use crate::atomic::HALF_WRITTEN;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The file that makes a folder a site of pv: the paths of its files, one per line.
const LIST: &str = ".pv-dashboard";

/// Why a site is not written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder holds something else.
    #[error("{} holds {found}, which is no page of a dashboard (--force replaces the folder with all it holds)", dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// One of the files.
        found: String,
    },
    /// The folder holds the repository.
    #[error("{} holds the contract root, which a dashboard would replace: name another folder", dir.display())]
    Root {
        /// The folder.
        dir: PathBuf,
    },
    /// The path is no folder.
    #[error("{} is a file, not a folder", dir.display())]
    File {
        /// The path.
        dir: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

/// Make a folder hold these pages and nothing else. The pages are drawn and written beside it first; then it is
/// replaced.
///
/// # Errors
/// When it holds what is no page of an earlier site and `force` is not set, when it holds `root`, or when the system
/// refuses; what was there is then still there.
pub fn replace(dir: &Path, root: &Path, pages: &[Draft<'_>], force: bool) -> Result<(), FolderError> {
    let exists = dir.exists();
    // A link is followed, so that what it leads to is replaced.
    let real = if exists { dir.canonicalize().map_err(io_error(dir))? } else { dir.to_owned() };
    if exists && !real.is_dir() {
        return Err(FolderError::File { dir: dir.to_owned() });
    }
    let root = root.canonicalize().map_err(io_error(root))?;
    if exists && root.starts_with(&real) {
        return Err(FolderError::Root { dir: dir.to_owned() });
    }
    if exists
        && !force
        && let Some(found) = foreign(&real)?
    {
        return Err(FolderError::Foreign { dir: dir.to_owned(), found });
    }
    let parent = real.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(io_error(parent))?;
    let scratch =
        tempfile::Builder::new().prefix(HALF_WRITTEN).tempdir_in(parent).map_err(io_error(parent))?;
    let site = scratch.path().join("site");
    let folders: BTreeSet<&Path> = pages.iter().filter_map(|page| Path::new(&page.path).parent()).collect();
    for folder in [Path::new("")].into_iter().chain(folders) {
        let folder = site.join(folder);
        std::fs::create_dir_all(&folder).map_err(io_error(&folder))?;
    }
    pages.par_iter().try_for_each(|page| {
        let (text, path, earlier) = (page.text(), site.join(&page.path), real.join(&page.path));
        // A page that is as it was gets a second name, which costs less than its bytes.
        if holds(&earlier, text.as_bytes()) && std::fs::hard_link(&earlier, &path).is_ok() {
            return Ok(());
        }
        std::fs::write(&path, text).map_err(io_error(&path))
    })?;
    let list: String = pages.iter().map(|page| format!("{}\n", page.path)).collect();
    std::fs::write(site.join(LIST), list).map_err(io_error(&site))?;
    let old = scratch.path().join("old");
    if exists {
        std::fs::rename(&real, &old).map_err(io_error(&real))?;
    }
    if let Err(error) = std::fs::rename(&site, &real) {
        if exists {
            // What cannot be put back is worth more than the first error.
            std::fs::rename(&old, &real).map_err(io_error(&old))?;
        }
        return Err(io_error(&real)(error));
    }
    Ok(())
}

/// Whether there is such a file, and it holds these bytes.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let as_long = path.symlink_metadata().is_ok_and(|is| is.is_file() && is.len() == bytes.len() as u64);
    as_long && std::fs::read(path).is_ok_and(|held| held == bytes)
}

/// A file of a folder that no earlier site wrote.
fn foreign(dir: &Path) -> Result<Option<String>, FolderError> {
    let list = std::fs::read_to_string(dir.join(LIST)).unwrap_or_default();
    let own: BTreeSet<&str> = list.lines().chain([LIST]).collect();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        let path = dir.join(&folder);
        for entry in std::fs::read_dir(&path).map_err(io_error(&path))? {
            let entry = entry.map_err(io_error(&path))?;
            let name = folder.join(entry.file_name());
            if entry.file_type().map_err(io_error(&path))?.is_dir() {
                open.push(name);
            } else {
                let name = name.to_string_lossy().replace('\\', "/");
                if !own.contains(name.as_str()) {
                    return Ok(Some(name));
                }
            }
        }
    }
    Ok(None)
}
