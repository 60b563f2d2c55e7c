//! Which fault is armed in this process and how often its sites were reached.
//!
//! `PV_FAULT` is read once, so one process has one fault for its whole life. A falsifier may start child
//! processes that reach the site in its stead; each process of the tree therefore leaves one line in the file
//! that `PV_FAULT_HITS` names. Nothing here knows which faults exist.

/// Whether this build carries its planted faults.
pub const COMPILED: bool = cfg!(pv_faults);

/// The fault armed in this process; `None` without `PV_FAULT` and in every build without faults.
#[must_use]
pub fn armed() -> Option<&'static str> {
    state::armed()
}

/// How often a site of the armed fault was reached: the evaluations in this process, and one for each other
/// process that shares the file `PV_FAULT_HITS` and reached one.
#[must_use]
pub fn hits() -> u64 {
    state::hits()
}

/// Whether `name` can name a fault.
#[must_use]
pub const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes[0] != b'-'
}

#[cfg(pv_faults)]
pub use state::strike;

#[cfg(not(pv_faults))]
mod state {
    pub(super) const fn armed() -> Option<&'static str> {
        None
    }
    pub(super) const fn hits() -> u64 {
        0
    }
}

#[cfg(pv_faults)]
mod state {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<String>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);

    pub(super) fn armed() -> Option<&'static str> {
        ARMED.get_or_init(|| std::env::var("PV_FAULT").ok().filter(|name| !name.is_empty())).as_deref()
    }

    /// Whether `name` is armed; counts the hit. The count publishes nothing, so its order is relaxed.
    #[must_use]
    pub fn strike(name: &str) -> bool {
        let hit = armed() == Some(name);
        if hit && HITS.fetch_add(1, Ordering::Relaxed) == 0 {
            announce();
        }
        hit
    }

    /// One line per process, appended in one write, so that lines of parallel processes do not mix.
    fn announce() {
        let Some(path) = std::env::var_os("PV_FAULT_HITS") else { return };
        let line = format!("{}\n", std::process::id());
        // A file that cannot be written loses the hit, which makes the fault count as not caught, never as caught.
        if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }

    pub(super) fn hits() -> u64 {
        let here = HITS.load(Ordering::Relaxed);
        let own = std::process::id().to_string();
        let elsewhere = std::env::var_os("PV_FAULT_HITS")
            .and_then(|path| std::fs::read_to_string(path).ok())
            .map_or(0, |text| text.lines().filter(|pid| *pid != own).count() as u64);
        here + elsewhere
    }
}
