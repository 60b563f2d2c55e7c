//! Recorded passes: what a step queues, captured once for each shape of step and replayed. Knows no operation.
//!
//! A graph holds addresses. It is kept under a [`Key`] that changes whenever memory was released since, and beside a
//! fingerprint of every launch in it, which a later recording of the same step is compared with.

use super::driver::Graph;
use std::hash::{DefaultHasher, Hasher};

/// What shapes a recording, and nothing that changes from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Rows of the batch.
    pub(crate) rows: usize,
    /// Rows that give logits.
    pub(crate) out_rows: usize,
    /// In how many parts the keys of one head are attended.
    pub(crate) splits: usize,
    /// Where the batch and the first layer's keys lie: another session's have other addresses.
    pub(crate) batch: u64,
    pub(crate) kv: u64,
    /// Releases of memory so far: recorded addresses of an earlier count may be dead.
    pub(crate) releases: u64,
    /// Primitive by primitive instead of fused.
    pub(crate) composed: bool,
    /// With stores through the table of watched values.
    pub(crate) watched: bool,
}

/// What the launches of a step amount to: kernels, geometries and arguments.
#[derive(Default)]
pub(crate) struct Fingerprint(DefaultHasher);

impl Fingerprint {
    pub(crate) fn add(&mut self, launch: std::fmt::Arguments<'_>) {
        self.0.write(launch.to_string().as_bytes());
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.finish()
    }
}

/// What is known of a step.
pub(crate) enum Known {
    /// Run once, primitive by primitive: kernels are loaded and memory is there.
    Warm,
    /// Recorded.
    Ready(Graph, u64),
}

/// The recordings of one backend.
#[derive(Default)]
pub(crate) struct Cache {
    entries: Vec<(Key, Known)>,
}

/// More shapes than this are not kept at once: a graph of a large model takes megabytes.
const MOST: usize = 16;

impl Cache {
    pub(crate) fn get(&self, key: &Key) -> Option<&Known> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, known)| known)
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.entries.retain(|(k, _)| k != key);
    }

    /// Keeps what is known of a step; forgets steps whose addresses may be dead, and the oldest beyond a limit.
    pub(crate) fn set(&mut self, key: Key, known: Known) {
        self.entries.retain(|(k, _)| *k != key && k.releases == key.releases);
        if self.entries.len() >= MOST {
            self.entries.remove(0);
        }
        self.entries.push((key, known));
    }
}
