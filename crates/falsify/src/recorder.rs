//! The recorder: two entries per call of a falsifier, one before the body and one after it, each written whole.
//!
//! The first says that a body is about to run; if nothing follows it, the process ended inside the body, whatever
//! its exit code says. Names hold the process and a counter, so parallel tests and processes never share a file.

use crate::environment;
use contract::evidence::staged::{self, Finish, Staged};
use fault::fault;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Models that bodies of this process asked for.
static MODELS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Notes that a body depends on a model file.
pub(crate) fn note_model(name: &str) {
    MODELS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name.to_owned());
}

/// The models noted so far.
pub(crate) fn models() -> Vec<String> {
    MODELS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter().cloned().collect()
}

/// An open account of one call; `None` inside when no runner asked for records.
#[derive(Debug)]
pub(crate) struct Recorder(Option<(PathBuf, Staged)>);

impl Recorder {
    /// Writes the entry that the body is about to run. `entry` comes without its key.
    pub(crate) fn start(entry: impl FnOnce(String) -> Staged) -> std::io::Result<Self> {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let Some(dir) = environment::evidence_dir() else { return Ok(Self(None)) };
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let nanos = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let key = format!("{}-{call}-{nanos}", std::process::id());
        let entry = entry(if fault!("recorder-shares-names") { String::new() } else { key });
        if !fault!("recorder-starts-late") {
            write(&dir, staged::STARTED, &entry)?;
        }
        Ok(Self(Some((dir, entry))))
    }

    /// Writes the entry that the body was judged.
    pub(crate) fn finish(self, finish: Finish) -> std::io::Result<()> {
        let Some((dir, entry)) = self.0 else { return Ok(()) };
        write(&dir, staged::FINISHED, &Staged { finish: Some(Box::new(finish)), ..entry })
    }
}

/// Writes beside the name and renames, so that a reader sees the whole entry or none.
fn write(dir: &Path, end: &str, entry: &Staged) -> std::io::Result<()> {
    let name = format!("{}-{}{end}", entry.falsifier, entry.key);
    let half = dir.join(format!(".{name}.tmp"));
    let mut file = std::fs::File::create(&half)?;
    file.write_all(&serde_json::to_vec(entry)?)?;
    file.sync_all()?;
    std::fs::rename(half, dir.join(name))
}
