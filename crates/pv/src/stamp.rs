//! What tells a file apart from an earlier one of its name without reading it.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A change may have the time of the change before it when it comes sooner than this: the coarsest clock of a file
/// system ticks every two seconds.
const TICK: Duration = Duration::from_secs(2);

/// Set in a time that is the moment of looking; no clock shows it before the year 2262.
const MOMENT: u64 = 1 << 63;

/// The stamp of a file or folder: two equal stamps are of the same content.
///
/// What was changed a moment ago can be changed once more without its times telling. Its stamp therefore holds the
/// moment of looking and equals no other, so that whoever keeps it reads the file again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds from 1970 to the last change of the content, as far as anybody who set it says.
    pub modified: u64,
    /// Nanoseconds from 1970 to the last change of anything, which nobody can set; 0 where the system tells none.
    pub changed: u64,
    /// The number of the file in its file system; 0 where the system tells none.
    pub inode: u64,
}

impl Stamp {
    /// The stamp of a file, or of what a link leads to.
    ///
    /// # Errors
    /// When it cannot be looked at.
    #[cfg(unix)]
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::told(&rustix::fs::stat(path)?))
    }

    /// The stamp of a file, or of what a link leads to.
    ///
    /// # Errors
    /// When it cannot be looked at, or the system knows no time of the last change.
    #[cfg(not(unix))]
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        let stamp =
            Self { size: metadata.len(), modified: nanos(metadata.modified()?), changed: 0, inode: 0 };
        Ok(stamp.settled(SystemTime::now()))
    }

    /// The stamp that the system tells of an open file or a name.
    #[cfg(unix)]
    pub(crate) fn told(stat: &rustix::fs::Stat) -> Self {
        // The fields have other types on other systems. Times before 1970 are all the same to us.
        fn number(field: impl TryInto<u64>) -> u64 {
            field.try_into().unwrap_or_default()
        }
        fn time(seconds: impl TryInto<u64>, nanos: impl TryInto<u64>) -> u64 {
            number(seconds).saturating_mul(1_000_000_000).saturating_add(number(nanos))
        }
        let stamp = Self {
            size: number(stat.st_size),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
            inode: number(stat.st_ino),
        };
        stamp.settled(SystemTime::now())
    }

    /// Whether a later stamp can be equal to it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.changed & MOMENT == 0
    }

    /// The stamp as bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let fields = [self.size, self.modified, self.changed, self.inode];
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// The stamp of which [`Stamp::bytes`] made these.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut fields = bytes.as_chunks::<8>().0.iter().map(|field| u64::from_le_bytes(*field));
        let mut next = || fields.next().unwrap_or_default();
        Self { size: next(), modified: next(), changed: next(), inode: next() }
    }

    /// The stamp as it may be kept by whoever looks at the file `now`.
    fn settled(self, now: SystemTime) -> Self {
        let last = if self.changed > 0 { self.changed } else { self.modified };
        let tick = u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX);
        if last.saturating_add(tick) < nanos(now) {
            self
        } else {
            Self { changed: nanos(now) | MOMENT, ..self }
        }
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_from_its_bytes() {
        let stamp = Stamp { size: 1, modified: u64::MAX, changed: 3 << 40, inode: 4 };
        assert_eq!(Stamp::from_bytes(&stamp.bytes()), stamp);
    }

    #[test]
    fn only_what_has_been_left_alone_has_a_stamp_to_rely_on() {
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let of = |changed: u64, modified: u64| Stamp {
            size: 3,
            modified: modified * 1_000_000,
            changed: changed * 1_000_000,
            inode: 7,
        };
        let old = of(10_000, 9_000);
        assert_eq!(old.settled(at(12_001)), old);
        for now in [10_000, 11_000, 12_000] {
            assert_ne!(old.settled(at(now)), old, "{now}");
            assert_ne!(old.settled(at(now)), old.settled(at(now + 1)), "{now}");
        }
        // A file that was given an old time a moment ago is no old file; one of the future never settles where its
        // own time is all there is.
        assert_ne!(of(20_000, 1).settled(at(20_500)), of(20_000, 1));
        assert_ne!(of(0, 30_000).settled(at(20_500)), of(0, 30_000));
    }
}
