//! What of every record of a store bears on a status, kept under target/pv so that an unchanged file is read once
//! and the signature of a content verified once. A file counts as unchanged while its stamp is, and a folder holds
//! the same names while its own is; where a stamp tells nothing, the digest of the content decides.

mod form;
mod place;

use super::dsse::Envelope;
use super::store::{Defect, Entries, Read, Store, StoreError};
use crate::kept::{self, Kept};
use crate::stamp::Stamp;
use contract::evidence::{Axes, Host};
use contract::hash::Digest;
use contract::id::FalsifierId;
use contract::root;
use contract::status::facts::RecordFacts;
use form::Known;
use place::Place;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a store holds, as far as a status needs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    /// The records that were not retracted, by falsifier, each list sorted by file.
    pub records: BTreeMap<FalsifierId, Vec<RecordFacts>>,
    /// How many records were taken back.
    pub retracted: usize,
    /// The files that are no records.
    pub defects: Vec<Defect>,
}

/// A folder of a store and all below it, each list sorted by name.
#[derive(Debug)]
struct Folder<'k> {
    name: Cow<'k, OsStr>,
    /// That of the folder itself, which changes with the names in it.
    stamp: Stamp,
    folders: Vec<Folder<'k>>,
    files: Vec<File<'k>>,
}

#[derive(Debug)]
struct File<'k> {
    name: Cow<'k, OsStr>,
    stamp: Stamp,
    /// The digest of its bytes; none of a file that could not be read.
    content: Option<Digest>,
    /// That of a record whose signatures have not been checked.
    envelope: Option<Box<Envelope>>,
    held: Held,
}

/// What a file of a store says.
#[derive(Debug)]
enum Held {
    /// With the digest of the statement's bytes.
    Record(Digest, Box<RecordFacts>),
    /// The digest of the record that was taken back, as it is written.
    Retraction(String),
    /// Why it is neither.
    Defect(Defect),
}

impl Index {
    /// The index of a store. `place` is where it is kept between calls; one that cannot be read is made again.
    ///
    /// # Errors
    /// When the store cannot be listed, or the index cannot be written.
    pub fn read(store: &Store, place: &Path) -> Result<Self, StoreError> {
        let kept = Kept::load(place, form::NAME);
        let known = Known::decode(kept.body());
        let walk = Walk { store, known: known.as_ref(), changed: AtomicBool::new(false) };
        let (top, name) = (known.as_ref().map(Known::store), Cow::Borrowed(OsStr::new("")));
        let found = walk.folder(Path::new(""), Place::open(store.dir()).ok(), name, top)?;
        if walk.changed.into_inner() {
            let stored = form::encode(&found).and_then(|body| kept::store(place, form::NAME, &body));
            stored.map_err(StoreError::file(place))?;
        }
        Ok(Self::of(found))
    }

    /// Add what another store holds. A record that both hold counts once.
    pub fn join(&mut self, other: Self) {
        for (falsifier, records) in other.records {
            let known = self.records.entry(falsifier).or_default();
            let names: BTreeSet<String> = known.iter().map(|record| name(record).to_owned()).collect();
            known.extend(records.into_iter().filter(|record| !names.contains(name(record))));
        }
        self.retracted += other.retracted;
        self.defects.extend(other.defects);
    }

    fn of(store: Folder<'_>) -> Self {
        let mut retracted = BTreeSet::new();
        let mut records = Vec::new();
        let mut index = Self::default();
        let mut open = vec![store];
        while let Some(folder) = open.pop() {
            for file in folder.files {
                match file.held {
                    Held::Record(digest, facts) => records.push((digest, facts)),
                    Held::Retraction(retracts) => drop(retracted.insert(retracts)),
                    Held::Defect(defect) => index.defects.push(defect),
                }
            }
            // The last one is taken first.
            open.extend(folder.folders.into_iter().rev());
        }
        if !retracted.is_empty() {
            let all = records.len();
            records.retain(|(digest, _)| !retracted.contains(&digest.hex()));
            index.retracted = all - records.len();
        }
        // Those of a falsifier mostly lie together.
        let runs: Vec<(FalsifierId, usize)> = records
            .chunk_by(|(_, a), (_, b)| a.falsifier == b.falsifier)
            .map(|run| (run[0].1.falsifier.clone(), run.len()))
            .collect();
        let mut records = records.into_iter().map(|(_, facts)| *facts);
        for (falsifier, count) in runs {
            let list = index.records.entry(falsifier).or_default();
            list.reserve_exact(count);
            list.extend(records.by_ref().take(count));
        }
        index.defects.sort_by(|a, b| root::order(Path::new(&a.file), Path::new(&b.file)));
        index
    }
}

/// The name of a record's file, the same in every store.
fn name(record: &RecordFacts) -> &str {
    record.file.rsplit('/').next().unwrap_or(&record.file)
}

/// A walk through a store with what is known of it.
struct Walk<'s, 'k> {
    store: &'s Store,
    known: Option<&'k Known<'k>>,
    /// Whether anything is other than what is known.
    changed: AtomicBool,
}

/// Folders of so little depth have their folders looked at side by side; below, it would cost more than it saves.
const SIDE_BY_SIDE: usize = 2;
/// The signatures in a folder of this depth, a contract's, are checked together. Every record lies below one.
const CHECKED_TOGETHER: usize = 1;
/// So many at once: what is checked together is held in memory together.
const AT_ONCE: usize = 128;

impl Folder<'_> {
    /// Notes who signed the records below it. A signature that does not fit its record is no signature.
    fn check_signatures(&mut self) {
        let mut unchecked = Vec::new();
        self.unchecked(&mut unchecked);
        for some in unchecked.chunks_mut(AT_ONCE) {
            let envelopes: Vec<&Envelope> = some.iter().map(|(_, envelope)| &**envelope).collect();
            let signers = Envelope::verify_all(&envelopes);
            for ((facts, _), signers) in some.iter_mut().zip(signers) {
                facts.signed_by = signers.ok().and_then(|keys| keys.first().map(ToString::to_string));
            }
        }
    }

    fn unchecked<'f>(&'f mut self, found: &mut Vec<(&'f mut RecordFacts, Box<Envelope>)>) {
        for file in &mut self.files {
            if let (Held::Record(_, facts), Some(envelope)) = (&mut file.held, file.envelope.take()) {
                found.push((facts, envelope));
            }
        }
        for folder in &mut self.folders {
            folder.unchecked(found);
        }
    }
}

impl<'k> Walk<'_, 'k> {
    /// A folder with all below it, by its path relative to the store. One that cannot be opened has no stamp, and
    /// listing it says why.
    fn folder(
        &self,
        path: &Path,
        place: Option<Place>,
        name: Cow<'k, OsStr>,
        known: Option<&'k form::Folder<'k>>,
    ) -> Result<Folder<'k>, StoreError> {
        // Before its names are read, so that what comes later shows.
        let stamp = place.as_ref().and_then(|place| place.stamp().ok()).unwrap_or_default();
        let (stamp, folders, files): (_, Vec<_>, Vec<_>) = match known {
            Some(known) if known.stamp == stamp && stamp != Stamp::default() => {
                let folders =
                    known.folders.iter().map(|known| (Cow::Borrowed(OsStr::new(known.name)), Some(known)));
                let files =
                    known.files.iter().map(|known| (Cow::Borrowed(OsStr::new(known.name)), Some(known)));
                (stamp, folders.collect(), files.collect())
            }
            _ => {
                self.changed.store(true, Ordering::Relaxed);
                let Entries { folders, files } = self.store.entries(path)?;
                let folders = folders.into_iter().map(|name| {
                    let known = known.and_then(|known| known.folders.iter().find(|known| known.name == name));
                    (Cow::Owned(name), known)
                });
                let files = files.into_iter().map(|name| {
                    let known = known.and_then(|known| known.files.iter().find(|known| known.name == name));
                    (Cow::Owned(name), known)
                });
                (stamp, folders.collect(), files.collect())
            }
        };
        let shown = self.store.shown(path);
        let file = |(name, known): (Cow<'k, OsStr>, _)| {
            // One that is gone by now has a stamp that none has, so that it is looked at again.
            let stamp = place.as_ref().and_then(|place| place.stamp_of(&name).ok()).unwrap_or_default();
            self.file(stamp, path, &shown, name, known)
        };
        let mut files: Vec<File<'k>> = files.into_iter().map(file).collect();
        share(&mut files);
        let below = |(name, known): (Cow<'k, OsStr>, _)| {
            let inner = place.as_ref().and_then(|place| place.below(&name).ok());
            self.folder(&path.join(&name), inner, name, known)
        };
        let folders = if path.components().count() < SIDE_BY_SIDE {
            folders.into_par_iter().map(below).collect::<Result<_, _>>()?
        } else {
            folders.into_iter().map(below).collect::<Result<_, _>>()?
        };
        let mut folder = Folder { name, stamp, folders, files };
        if path.components().count() == CHECKED_TOGETHER {
            folder.check_signatures();
        }
        Ok(folder)
    }

    /// A file with the path of its folder relative to the store and the one that is shown.
    fn file(
        &self,
        stamp: Stamp,
        folder: &Path,
        shown: &str,
        name: Cow<'k, OsStr>,
        known: Option<&'k form::File<'k>>,
    ) -> File<'k> {
        let shown = || format!("{shown}/{}", name.to_string_lossy());
        let held = |known: &form::File<'k>| self.known?.held(known, shown());
        if let Some(known) = known.filter(|known| known.stamp == stamp && stamp != Stamp::default())
            && let Some(held) = held(known)
        {
            return File { name, stamp, content: known.digest(), envelope: None, held };
        }
        self.changed.store(true, Ordering::Relaxed);
        let file = folder.join(&name);
        let bytes = match self.store.bytes(&file) {
            Ok(bytes) => bytes,
            Err(defect) => {
                let held = Held::Defect(defect);
                return File { name, stamp: Stamp::default(), content: None, envelope: None, held };
            }
        };
        let digest = Digest::of(&bytes);
        let content = Some(digest);
        if let Some(held) = known.filter(|known| known.digest() == content).and_then(held) {
            return File { name, stamp, content, envelope: None, held };
        }
        let mut envelope = None;
        let held = match self.store.read_bytes(&file, bytes, digest) {
            Ok(Read::Record(stored)) => {
                let digest = stored.digest;
                let (facts, signed) = stored.facts();
                envelope = signed.map(Box::new);
                Held::Record(digest, Box::new(facts))
            }
            Ok(Read::Retraction(retraction)) => Held::Retraction(retraction.retracts),
            Err(defect) => Held::Defect(defect),
        };
        File { name, stamp, content, envelope, held }
    }
}

/// The records of one folder are mostly of the same content on the same host, which then stand once.
fn share(files: &mut [File<'_>]) {
    let facts = files.iter_mut().filter_map(|file| match &mut file.held {
        Held::Record(_, facts) => Some(facts),
        Held::Retraction(_) | Held::Defect(_) => None,
    });
    let mut last: Option<(Arc<Axes>, Arc<Host>)> = None;
    for facts in facts {
        if let Some((axes, host)) = &last {
            if facts.axes == *axes {
                facts.axes = Arc::clone(axes);
            }
            if facts.host == *host {
                facts.host = Arc::clone(host);
            }
        }
        last = Some((Arc::clone(&facts.axes), Arc::clone(&facts.host)));
    }
}

#[cfg(test)]
mod tests;
