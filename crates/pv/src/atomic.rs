//! Files written whole: under another name in the same folder, flushed to the disk, renamed. A reader, or whoever
//! comes after a killed process, finds the old content or the new, never a part.

use std::io::{self, Write as _};
use std::path::Path;

/// What the names of half-written files start with.
pub const HALF_WRITTEN: &str = ".pv-tmp";

/// Writes a file and the folders above it.
///
/// # Errors
/// When the system refuses any of it; the file is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(HALF_WRITTEN).tempfile_in(folder)?;
    file.write_all(bytes)?;
    readable(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// A temporary file is its owner's alone; what it becomes is everybody's.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> io::Result<()> {
    Ok(())
}
