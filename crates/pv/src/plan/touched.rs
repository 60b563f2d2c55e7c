//! Which falsifiers a change touches: those of other content in the tree than at a revision, on an axis that counts
//! for them.

use crate::content::{Content, ContentError};
use crate::error::Error;
use crate::revision::Revision;
use crate::status::gather::{GatherError, Gathered};
use contract::id::FalsifierId;
use contract::root::Root;
use contract::schema::{Axis, Falsifier};
use contract::settings::Settings;
use contract::status::facts::Current;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The falsifiers of the tree that are new since a revision or of other content. What has no digest, then or now,
/// cannot be shown unchanged and counts as touched.
///
/// # Errors
/// When there is no such revision, or its contracts, pv.toml or files cannot be read.
pub fn touched(
    cargo: &Path,
    dir: &Path,
    revision: &str,
    gathered: &Gathered,
) -> Result<BTreeSet<FalsifierId>, Error> {
    let old = Revision::export(dir, revision)?;
    let path = old.root().join("pv.toml");
    let settings = match std::fs::read_to_string(&path) {
        Ok(text) => Settings::parse(&text).map_err(|problems| {
            let path = format!("{revision}:pv.toml").into();
            Error::Settings { path, problems }
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Settings::default(),
        Err(error) => return Err(Error::file(path)(error)),
    };
    let unreadable = |error| Error::from(GatherError::from(error));
    let mut content =
        Content::read(cargo, old.root(), &settings).map_err(|error: ContentError| unreadable(error))?;
    let loaded = Root::at(old.root()).load_all();
    let before: BTreeMap<&FalsifierId, &Falsifier> = loaded
        .iter()
        .filter_map(|file| file.contract.as_ref())
        .flat_map(|contract| &contract.falsification_tests)
        .map(|falsifier| (&falsifier.id, falsifier))
        .collect();
    let mut touched = BTreeSet::new();
    for falsifier in gathered.contracts().into_iter().flat_map(|contract| &contract.falsification_tests) {
        let id = &falsifier.id;
        let same = before.get(id).is_some_and(|old| {
            let held = content.of(old);
            let now = gathered.current.get(id);
            held.missing.is_empty()
                && !gathered.unheld.contains_key(id)
                && now.is_some_and(|now| is_same(falsifier, &held.current, now))
        });
        if !same {
            touched.insert(id.clone());
        }
    }
    Ok(touched)
}

/// Whether two contents are the same on each axis that counts for a falsifier.
fn is_same(falsifier: &Falsifier, before: &Current, now: &Current) -> bool {
    let axes = falsifier.fresh.iter().all(|axis| match axis {
        Axis::Claim => before.claim == now.claim,
        Axis::Test => before.test == now.test,
        Axis::Subjects => before.subjects == now.subjects,
        Axis::Deps => before.deps == now.deps,
        Axis::Toolchain => before.toolchain == now.toolchain,
        Axis::Model => before.models == now.models,
        // Of the machine that runs it, not of the tree.
        Axis::Driver | Axis::Host => true,
    });
    axes && before.pins == now.pins
}
