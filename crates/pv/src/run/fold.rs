//! What the processes of one job left behind, as one result: the staged entries are read, held against what was
//! asked for, and folded, the worst deciding. A start without a finish is an error, whatever the exit code says.

use super::process::Ended;
use contract::claim::Claim;
use contract::evidence::staged::{FINISHED, Finish, STARTED, Staged};
use contract::evidence::{Measure, Outcome, tally};
use contract::id::{FalsifierId, FaultName};
use fault::fault;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a job came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Folded {
    pub(super) outcome: Outcome,
    pub(super) measure: Option<Measure>,
    pub(super) fault_hits: u64,
    pub(super) wall_s: f64,
    /// When the first test started, in milliseconds since 1970.
    pub(super) started_ms: Option<u64>,
    pub(super) models: BTreeSet<String>,
    /// The outcome of each test, `package/target/path`.
    pub(super) tests: BTreeMap<String, Outcome>,
}

/// What was asked of a job.
pub(super) struct Asked<'a> {
    pub(super) falsifier: &'a FalsifierId,
    pub(super) claim: Option<&'a Claim>,
    /// The claim's hash in the tree.
    pub(super) hash: &'a str,
    pub(super) fault: Option<&'a FaultName>,
}

/// One process with what it left.
pub(super) struct Left<'a> {
    /// The binary, `package/target`.
    pub(super) binary: &'a str,
    /// The tests it was asked for, `package/target/path`.
    pub(super) names: &'a BTreeSet<String>,
    pub(super) ended: Ended,
    pub(super) entries: Vec<Staged>,
    /// Files in its folder that are no entries, with the reason.
    pub(super) unreadable: Vec<String>,
}

/// Reads what a process staged. Of each call the finish is kept, or the start if there is none.
pub(super) fn entries(dir: &Path) -> std::io::Result<(Vec<Staged>, Vec<String>)> {
    let mut calls: BTreeMap<String, Staged> = BTreeMap::new();
    let mut unreadable = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(dir)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        if !name.ends_with(STARTED) && !name.ends_with(FINISHED) || name.starts_with('.') {
            continue;
        }
        match serde_json::from_slice::<Staged>(&std::fs::read(file.path())?) {
            Ok(entry) => {
                let known = calls.get(&entry.key);
                if known.is_none_or(|known| known.finish.is_none()) {
                    calls.insert(entry.key.clone(), entry);
                }
            }
            Err(error) => unreadable.push(format!("{name}: {error}")),
        }
    }
    Ok((calls.into_values().collect(), unreadable))
}

/// Folds the processes of a job.
pub(super) fn fold(asked: &Asked<'_>, left: Vec<Left<'_>>) -> Folded {
    let mut tests: BTreeMap<String, Outcome> = BTreeMap::new();
    let mut parts: Vec<(Measure, BTreeSet<u64>)> = Vec::new();
    let mut folded = Folded {
        outcome: Outcome::Passed,
        measure: None,
        fault_hits: 0,
        wall_s: 0.0,
        started_ms: None,
        models: BTreeSet::new(),
        tests: BTreeMap::new(),
    };
    for Left { binary, names, ended, entries, unreadable } in left {
        let mut passed_all = !entries.is_empty();
        for entry in entries {
            let name = format!("{binary}/{}", entry.test);
            // A test may run tests of another workspace, whose entries are none of this job's.
            if entry.falsifier != *asked.falsifier || !names.contains(&name) {
                continue;
            }
            folded.started_ms = Some(folded.started_ms.map_or(entry.started_ms, |s| s.min(entry.started_ms)));
            let outcome = judged(asked, &entry, ended);
            passed_all &= outcome.is_pass();
            if let Some(finish) = entry.finish {
                let Finish { measure, hit, fault_hits, wall_s, models, .. } = *finish;
                folded.fault_hits = folded.fault_hits.max(fault_hits);
                folded.wall_s += wall_s;
                folded.models.extend(models);
                parts.extend(measure.map(|measure| (measure, hit)));
            }
            worst(tests.entry(name).or_insert(Outcome::Passed), outcome);
        }
        for name in names {
            if !tests.contains_key(name) {
                let message = format!("it left no record: {ended}");
                tests.insert(name.clone(), Outcome::Error { message });
                passed_all = false;
            }
        }
        let failed = match ended {
            Ended::Exited(status) => !status.success(),
            Ended::TimedOut(_) | Ended::Interrupted => true,
            // One process ran all falsifiers there, and its exit code is that of the worst.
            Ended::Elsewhere => false,
        };
        if passed_all && failed && !fault!("runner-ignores-exit-codes") {
            let message = format!("every test passed, and {ended}");
            for name in names {
                tests.insert(name.clone(), Outcome::Error { message: message.clone() });
            }
        }
        for file in unreadable {
            let message = format!("a staged record cannot be read: {file}");
            for name in names {
                worst(
                    tests.entry(name.clone()).or_insert(Outcome::Passed),
                    Outcome::Error { message: message.clone() },
                );
            }
        }
    }
    for outcome in tests.values() {
        worst(&mut folded.outcome, outcome.clone());
    }
    folded.measure = asked.claim.and_then(|claim| tally::merge(claim, parts));
    folded.tests = tests;
    folded
}

/// What one call says, held against what was asked for.
fn judged(asked: &Asked<'_>, entry: &Staged, ended: Ended) -> Outcome {
    let error = |message: String| Outcome::Error { message };
    if entry.claim != asked.hash {
        return error("its executable was compiled with another claim".to_owned());
    }
    if entry.fault.as_ref() != asked.fault {
        return error("its process ran under another fault than was asked for".to_owned());
    }
    if asked.fault.is_some() && !entry.faults_compiled {
        return error("its executable carries no planted faults".to_owned());
    }
    match &entry.finish {
        Some(finish) => finish.outcome.clone(),
        None if fault!("runner-takes-starts-for-passes") => Outcome::Passed,
        None => error(format!("its body did not end: {ended}")),
    }
}

/// Keeps the worse of two outcomes, the first among equals.
fn worst(kept: &mut Outcome, other: Outcome) {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Passed => 0,
        Outcome::Skipped { .. } => 1,
        Outcome::Error { .. } => 2,
        Outcome::Failed { .. } => 3,
    };
    if rank(&other) > rank(kept) {
        *kept = other;
    }
}
