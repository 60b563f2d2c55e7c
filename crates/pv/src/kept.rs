//! Files of target/pv that save time and hold nothing that is not elsewhere: one line that names the form, the
//! version of pv and the program itself, the digest of the rest, then the rest. What another program wrote, or what
//! is not as it was written, is as good as none.

use crate::atomic;
use crate::stamp::Stamp;
use contract::hash::Digest;
use std::io::{self, Write as _};
use std::path::Path;

/// How many bytes a digest has.
const DIGEST: usize = 32;

/// What was kept, read.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    start: usize,
}

impl Kept {
    /// What this program keeps at a place under the name of a form; nothing when that is not there or damaged.
    #[must_use]
    pub fn load(place: &Path, form: &str) -> Self {
        let Ok(bytes) = std::fs::read(place) else { return Self::default() };
        let head = head(form);
        let rest = bytes.strip_prefix(head.as_bytes()).and_then(|rest| rest.split_first_chunk::<DIGEST>());
        match rest {
            Some((digest, body)) if Digest::of(body).bytes() == digest => {
                Self { start: bytes.len() - body.len(), bytes }
            }
            _ => Self::default(),
        }
    }

    /// The bytes, empty when there are none.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Keep bytes at a place, whole or not at all. Its folder is one that git ignores.
///
/// # Errors
/// When the system refuses.
pub fn store(place: &Path, form: &str, body: &[u8]) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, "*\n")?;
    }
    // Not flushed to the disk: what a power cut leaves of it is found by its digest.
    let mut file = tempfile::Builder::new().prefix(atomic::HALF_WRITTEN).tempfile_in(folder)?;
    file.write_all(head(form).as_bytes())?;
    file.write_all(Digest::of(body).bytes())?;
    file.write_all(body)?;
    file.persist(place)?;
    Ok(())
}

/// The first line: another build of the same version does not count.
fn head(form: &str) -> String {
    let program = std::env::current_exe().and_then(|path| Stamp::of(&path));
    let Stamp { size, modified, .. } = program.unwrap_or_default();
    format!("pv {form} {} {size} {modified}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_was_written_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("deep/x.kept");
        assert!(Kept::load(&place, "form").body().is_empty());
        store(&place, "form", b"what is kept").unwrap();
        assert_eq!(Kept::load(&place, "form").body(), b"what is kept");
        assert!(Kept::load(&place, "other").body().is_empty());
        assert_eq!(std::fs::read_to_string(dir.path().join("deep/.gitignore")).unwrap(), "*\n");
        let whole = std::fs::read(&place).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&place, &bytes).unwrap();
            assert!(Kept::load(&place, "form").body().is_empty(), "byte {at} is another");
            std::fs::write(&place, &whole[..at]).unwrap();
            assert!(Kept::load(&place, "form").body().is_empty(), "cut at {at}");
        }
    }
}
