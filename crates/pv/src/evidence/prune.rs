//! Old records of unchanged content: of each falsifier, host class, fault and content the newest are kept.

use super::store::{Store, StoreError, Stored};
use contract::evidence::{Axes, Record};
use std::collections::BTreeMap;

/// How many records of one content the work tree's own store keeps.
pub const KEEP: usize = 3;

/// Removes all but the newest `keep` records of each content key, and says which. Retracted records stay: they
/// say that something was wrong.
///
/// # Errors
/// When the store cannot be listed, or a file not removed.
pub fn keep_newest(store: &Store, keep: usize) -> Result<Vec<Stored>, StoreError> {
    let mut groups: BTreeMap<String, Vec<Stored>> = BTreeMap::new();
    for record in store.read()?.records {
        if record.retracted.is_none() {
            groups.entry(key(&record)).or_default().push(record);
        }
    }
    let mut removed = Vec::new();
    for mut records in groups.into_values() {
        records.sort_by(|a, b| b.file.cmp(&a.file));
        for record in records.split_off(keep.min(records.len())) {
            store.remove(&record)?;
            removed.push(record);
        }
    }
    Ok(removed)
}

/// What two records share when one adds nothing to the other but its date.
fn key(stored: &Stored) -> String {
    let Record { contract, falsifier, outcome, fault, axes, host, .. } =
        &stored.statement.predicate.pv_evidence;
    let Axes { claim, test, subjects, deps, toolchain, profile, features, models, .. } = axes;
    let verdict = outcome.verdict();
    format!(
        "{contract} {falsifier} {} {fault:?} {verdict:?} {claim} {test} {subjects} {deps} {toolchain} {profile} \
         {features:?} {models:?}",
        host.class
    )
}
