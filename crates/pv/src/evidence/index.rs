//! What of every record of a store bears on a status, kept under target/pv so that an unchanged file is read once
//! and a signature verified once. A file counts as unchanged while its size and time are; its name carries the
//! digest of its content, which is compared whenever it is read.

use super::store::{Defect, Read, Store, StoreError};
use crate::binding::executable::Stamp;
use contract::id::FalsifierId;
use contract::status::facts::RecordFacts;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The version of the index's form; another one is as good as none.
const SCHEMA: u32 = 1;

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

/// The first line of the kept index.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    schema: u32,
    pv: String,
}

/// One file of the store: a line of the kept index.
#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    file: String,
    stamp: Stamp,
    kept: Kept,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kept {
    Record { digest: String, facts: Box<RecordFacts> },
    Retraction { retracts: String },
    Defect { file: String, reason: String },
}

impl Index {
    /// The index of a store. `kept` is where it is kept between calls; an index that cannot be read is made again.
    ///
    /// # Errors
    /// When the store cannot be listed, or the index cannot be written.
    pub fn read(store: &Store, kept: &Path) -> Result<Self, StoreError> {
        let (files, earlier) = rayon::join(|| store.stamped(), || load(kept));
        let (files, mut earlier) = (files?, earlier);
        let known = earlier.len();
        // What is known moves; a copy of every record would take longer than reading the index.
        let found: Vec<Result<Entry, (PathBuf, Stamp)>> = files
            .into_iter()
            .map(|(file, stamp)| match earlier.remove(file.to_string_lossy().as_ref()) {
                Some(entry) if entry.stamp == stamp => Ok(entry),
                _ => Err((file, stamp)),
            })
            .collect();
        let changed = found.len() != known || found.iter().any(Result::is_err);
        let entries: Vec<Entry> = found
            .into_par_iter()
            .map(|found| {
                found.unwrap_or_else(|(file, stamp)| {
                    let name = file.to_string_lossy().into_owned();
                    let kept = match store.read_file(file) {
                        Ok(Read::Record(stored)) => {
                            Kept::Record { digest: stored.digest.clone(), facts: Box::new(stored.facts()) }
                        }
                        Ok(Read::Retraction(retraction)) => {
                            Kept::Retraction { retracts: retraction.retracts }
                        }
                        Err(Defect { file, reason }) => Kept::Defect { file, reason },
                    };
                    Entry { file: name, stamp, kept }
                })
            })
            .collect();
        if changed {
            save(kept, &entries)?;
        }
        Ok(Self::of(entries))
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

    fn of(entries: Vec<Entry>) -> Self {
        let retracts = |entry: &Entry| match &entry.kept {
            Kept::Retraction { retracts } => Some(retracts.clone()),
            Kept::Record { .. } | Kept::Defect { .. } => None,
        };
        let retracted: BTreeSet<String> = entries.iter().filter_map(retracts).collect();
        let mut index = Self::default();
        for entry in entries {
            match entry.kept {
                Kept::Record { digest, .. } if retracted.contains(&digest) => index.retracted += 1,
                Kept::Record { facts, .. } => {
                    index.records.entry(facts.falsifier.clone()).or_default().push(*facts);
                }
                Kept::Retraction { .. } => {}
                Kept::Defect { file, reason } => index.defects.push(Defect { file, reason }),
            }
        }
        index
    }
}

/// The name of a record's file, the same in every store.
fn name(record: &RecordFacts) -> &str {
    record.file.rsplit('/').next().unwrap_or(&record.file)
}

fn head() -> Head {
    Head { schema: SCHEMA, pv: env!("CARGO_PKG_VERSION").to_owned() }
}

fn load(path: &Path) -> HashMap<String, Entry> {
    let Ok(text) = std::fs::read_to_string(path) else { return HashMap::new() };
    let Some((first, lines)) = text.split_once('\n') else { return HashMap::new() };
    if serde_json::from_str::<Head>(first).ok() != Some(head()) {
        return HashMap::new();
    }
    let entry = |line| serde_json::from_str::<Entry>(line).ok().map(|entry| (entry.file.clone(), entry));
    lines.par_lines().filter_map(entry).collect()
}

fn save(path: &Path, entries: &[Entry]) -> Result<(), StoreError> {
    let fail = |error: serde_json::Error| StoreError::file(path)(error.into());
    let mut lines =
        entries.par_iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>().map_err(fail)?;
    lines.insert(0, serde_json::to_string(&head()).map_err(fail)?);
    lines.push(String::new());
    crate::atomic::write(path, lines.join("\n").as_bytes()).map_err(StoreError::file(path))
}
