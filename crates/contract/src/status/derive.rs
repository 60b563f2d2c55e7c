//! The status of one falsifier. Pure: the same inputs give the same status on every machine and every day, but
//! for the day on which a review or waiver ends.
//!
//! Per needed host class only records count whose fresh axes equal the tree's. Any failing one falsifies until
//! the content changes or the record is retracted; otherwise a pass counts. Skips and errors change nothing and
//! are shown apart; records of planted faults are never results.

mod verdict;

pub use verdict::{Derived, FaultState, HostLack, HostState, Lack};

use super::FalsifierStatus;
use super::facts::{BindingFacts, Current, RecordFacts};
use crate::binding::TestBinding;
use crate::claim::{Cell, Claim, Metric};
use crate::date::Date;
use crate::evidence::{Cause, Outcome};
use crate::id::FaultName;
use crate::need::Need;
use crate::schema::{Axis, Falsifier, Faults, Review};
use crate::settings::Settings;
use fault::fault;
use std::collections::{BTreeMap, BTreeSet};

/// What one falsifier's status follows from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The falsifier as its contract declares it.
    pub falsifier: &'a Falsifier,
    /// pv.toml.
    pub settings: &'a Settings,
    /// What is bound.
    pub binding: &'a BindingFacts,
    /// The needed host classes on which no profile runs it, each with the reason.
    pub dark: &'a BTreeMap<String, String>,
    /// What the tree holds.
    pub current: &'a Current,
    /// Its records, but for retracted ones, in any order.
    pub records: &'a [RecordFacts],
    /// The day by which reviews and waivers are judged; `None` judges none of them expired.
    pub today: Option<Date>,
}

/// Derive a falsifier's status.
#[must_use]
pub fn derive(inputs: Inputs<'_>) -> Derived {
    let Inputs { falsifier, today, .. } = inputs;
    let mut derived = match (&falsifier.review, &falsifier.proposed) {
        (Some(review), _) => reviewed(inputs, review),
        (None, Some(proposed)) => {
            let lack = Lack::Proposed { reason: proposed.reason.clone() };
            plain(FalsifierStatus::Proposed, vec![lack])
        }
        (None, None) if falsifier.test.is_none() && falsifier.command.is_none() => {
            plain(FalsifierStatus::Proposed, vec![Lack::Nothing])
        }
        (None, None) => from_records(inputs),
    };
    derived.declared = falsifier.status;
    if fault!("status-believes-its-author") {
        derived.status = falsifier.status.unwrap_or(derived.status);
    }
    if let Some(waiver) = &falsifier.waiver {
        if has_ended(&waiver.until, today) {
            derived.lacks.push(Lack::Ended { what: "waiver", on: waiver.until.clone() });
            derived.status = FalsifierStatus::Expired;
        } else if derived.status != FalsifierStatus::Discharged {
            derived.without_waiver = Some(derived.status);
            derived.status = FalsifierStatus::Waived;
        }
    }
    derived
}

fn plain(status: FalsifierStatus, lacks: Vec<Lack>) -> Derived {
    Derived {
        status,
        without_waiver: None,
        unresolved: false,
        lacks,
        hosts: BTreeMap::new(),
        faults: BTreeMap::new(),
        declared: None,
    }
}

/// Whether a last day lies before today. A text that is no day has ended: it cannot be shown to last.
fn has_ended(last: &str, today: Option<Date>) -> bool {
    match (Date::parse(last), today) {
        (Ok(last), Some(today)) => last < today,
        (Ok(_), None) => false,
        (Err(_), _) => true,
    }
}

fn reviewed(inputs: Inputs<'_>, review: &Review) -> Derived {
    let mut lacks: Vec<_> = review
        .pins
        .iter()
        .filter(|(file, pinned)| inputs.current.pins.get(*file) != Some(&Some((*pinned).clone())))
        .map(|(file, _)| Lack::Pin { file: file.clone() })
        .collect();
    let mut status = FalsifierStatus::Reviewed;
    if !lacks.is_empty() {
        status = FalsifierStatus::Stale;
    }
    if has_ended(&review.expires, inputs.today) {
        lacks.push(Lack::Ended { what: "review", on: review.expires.clone() });
        status = FalsifierStatus::Expired;
    }
    plain(status, lacks)
}

/// The results of one host class.
struct Results<'a> {
    passes: Vec<&'a RecordFacts>,
    fails: Vec<&'a RecordFacts>,
    vacuous: bool,
    state: HostState,
}

fn from_records(inputs: Inputs<'_>) -> Derived {
    let Inputs { falsifier, binding, dark, .. } = inputs;
    let results: BTreeMap<&String, Results<'_>> =
        falsifier.hosts.iter().map(|host| (host, results_on(inputs, host))).collect();
    let faults = faults_caught(inputs, &results);
    let hosts: BTreeMap<_, _> = results.iter().map(|(h, r)| ((*h).clone(), r.state.clone())).collect();
    let found = |status, unresolved, lacks| Derived {
        status,
        without_waiver: None,
        unresolved,
        lacks,
        hosts: hosts.clone(),
        faults: faults.clone(),
        declared: None,
    };
    if let BindingFacts::Unbound { reasons } = binding {
        let lacks = reasons.iter().map(|reason| Lack::Unbound { reason: reason.clone() }).collect();
        return found(FalsifierStatus::Proposed, false, lacks);
    }
    let failures: Vec<_> = results
        .iter()
        .filter_map(|(host, r)| {
            let message = r.state.failure.clone()?;
            Some(Lack::Failure { host: (*host).clone(), message })
        })
        .collect();
    let outvoted =
        fault!("status-lets-a-pass-outvote-a-fail") && results.values().any(|r| !r.passes.is_empty());
    if results.values().any(|r| !r.fails.is_empty()) && !outvoted {
        return found(FalsifierStatus::Falsified, false, failures);
    }
    if let BindingFacts::Vacuous { reasons } = binding {
        let lacks = reasons.iter().map(|reason| Lack::Vacuous { reason: reason.clone() }).collect();
        return found(FalsifierStatus::Vacuous, false, lacks);
    }
    if results.values().any(|r| r.vacuous) {
        return found(FalsifierStatus::Vacuous, false, failures);
    }
    let absent = |host: &String, r: &Results<'_>| {
        let state = &r.state;
        let why = if !inputs.settings.hosts.contains_key(host) {
            HostLack::Undeclared
        } else if !state.stale.is_empty() {
            HostLack::Stale { axes: state.stale.clone() }
        } else if let Some(reason) = dark.get(host) {
            HostLack::Dark { reason: reason.clone() }
        } else if state.unsigned > 0 {
            HostLack::Unsigned { records: state.unsigned }
        } else if !state.skipped.is_empty() {
            HostLack::Skipped { reasons: state.skipped.clone() }
        } else if !state.errors.is_empty() {
            HostLack::Broke { messages: state.errors.clone() }
        } else {
            HostLack::NeverRan
        };
        Lack::Host { host: host.clone(), why }
    };
    let mut lacks: Vec<_> =
        results.iter().filter(|(_, r)| r.passes.is_empty()).map(|(host, r)| absent(host, r)).collect();
    if fault!("status-needs-one-host") && results.values().any(|r| !r.passes.is_empty()) {
        lacks.clear();
    }
    if results.values().all(|r| r.passes.is_empty()) {
        let unresolved = *binding == BindingFacts::Unresolved && falsifier.test.is_some();
        if unresolved {
            lacks.push(Lack::Unresolved);
        }
        let status = if results.values().any(|r| !r.state.stale.is_empty()) {
            FalsifierStatus::Stale
        } else if !falsifier.hosts.is_empty() && falsifier.hosts.iter().all(|host| dark.contains_key(host)) {
            FalsifierStatus::Dark
        } else {
            FalsifierStatus::AlgorithmLevelDischarged
        };
        return found(status, unresolved, lacks);
    }
    for (host, r) in results.iter().filter(|(_, r)| !r.passes.is_empty()) {
        lacks.extend(parts_missing(inputs, host, &r.passes));
    }
    match &falsifier.faults {
        Some(Faults::None(_)) => {}
        Some(Faults::Named(named)) if !named.is_empty() => {
            let open = faults.iter().filter(|(_, state)| **state != FaultState::Caught);
            lacks.extend(open.map(|(fault, state)| Lack::Fault { fault: fault.clone(), state: *state }));
        }
        Some(Faults::Named(_)) | None => lacks.push(Lack::NoFault),
    }
    let status = if lacks.is_empty() { FalsifierStatus::Discharged } else { FalsifierStatus::Functional };
    found(status, false, lacks)
}

/// The records of a host class, sorted by what they mean.
fn results_on<'a>(inputs: Inputs<'a>, host: &str) -> Results<'a> {
    let mut results =
        Results { passes: Vec::new(), fails: Vec::new(), vacuous: false, state: HostState::default() };
    let mut newest_stale: Option<(&RecordFacts, BTreeSet<Axis>)> = None;
    let control = |r: &&RecordFacts| r.fault.is_none() || fault!("status-takes-faults-for-results");
    let here = inputs.records.iter().filter(|r| r.host.class == host).filter(control);
    for record in here {
        if !signature_suffices(inputs.settings, record) {
            results.state.unsigned += 1;
            continue;
        }
        let stale = stale_axes(inputs, record);
        if !stale.is_empty() {
            let is_result = matches!(record.outcome, Outcome::Passed | Outcome::Failed { .. });
            if is_result && newest_stale.as_ref().is_none_or(|(newest, _)| newer(record, newest)) {
                newest_stale = Some((record, stale));
            }
            continue;
        }
        match &record.outcome {
            _ if record.is_vacuous() => {
                results.vacuous = true;
                let message = format!("it compared nothing ({})", record.file);
                results.state.failure.get_or_insert(message);
            }
            Outcome::Passed => results.passes.push(record),
            Outcome::Failed { .. } => results.fails.push(record),
            Outcome::Skipped { .. } if fault!("status-takes-skips-for-passes") => results.passes.push(record),
            Outcome::Skipped { reason } => {
                results.state.skipped.insert(reason.clone());
            }
            Outcome::Error { message } => {
                results.state.errors.insert(message.clone());
            }
        }
    }
    let Results { passes, fails, state, .. } = &mut results;
    // The best first: it decides what is missing; among equals the newest is shown.
    let cells = |r: &RecordFacts| match &r.measure {
        Some(measure) if !fault!("status-newest-pass-wins") => measure.hit,
        _ => 0,
    };
    passes.sort_by(|a, b| (cells(b), &b.started, &b.file).cmp(&(cells(a), &a.started, &a.file)));
    fails.sort_by(|a, b| (&b.started, &b.file).cmp(&(&a.started, &a.file)));
    state.pass = passes.first().map(|r| r.file.clone());
    state.result = fails.first().or(passes.first()).map(|r| r.file.clone());
    if let Some(record) = fails.first()
        && let Outcome::Failed { message, .. } = &record.outcome
    {
        state.failure = Some(format!("{message} ({})", record.file));
    }
    // Stale evidence matters only where nothing fresh decides.
    if passes.is_empty()
        && fails.is_empty()
        && let Some((record, axes)) = newest_stale
    {
        state.stale = axes;
        state.stale_since.clone_from(&record.commit);
    }
    results
}

/// By time, then by name: two records of one second have an order that no machine changes.
fn newer(a: &RecordFacts, b: &RecordFacts) -> bool {
    (&a.started, &a.file) > (&b.started, &b.file)
}

fn signature_suffices(settings: &Settings, record: &RecordFacts) -> bool {
    !settings.gate.require_signature.contains(&record.host.class)
        || record.signed_by.as_ref().is_some_and(|key| settings.gate.trusted_keys.contains(key))
}

/// The axes that count for the falsifier and in which the record is of other content than the tree.
#[must_use]
pub fn stale_axes(inputs: Inputs<'_>, record: &RecordFacts) -> BTreeSet<Axis> {
    let Inputs { falsifier, settings, current, .. } = inputs;
    let same = |now: &Option<String>, then: &String| now.as_ref() == Some(then);
    let axes = &record.axes;
    let mut stale: BTreeSet<Axis> = falsifier
        .fresh
        .iter()
        .copied()
        .filter(|_| !fault!("status-counts-stale-records"))
        .filter(|axis| match axis {
            Axis::Claim => !same(&current.claim, &axes.claim) || other_metric(falsifier, record),
            // A command has no test body.
            Axis::Test => falsifier.test.is_some() && !same(&current.test, &axes.test),
            Axis::Subjects => !same(&current.subjects, &axes.subjects),
            Axis::Deps => !same(&current.deps, &axes.deps),
            Axis::Toolchain => !same(&current.toolchain, &axes.toolchain),
            Axis::Model => models_needed(falsifier)
                .iter()
                .any(|name| current.models.get(name).is_none_or(|now| axes.models.get(name) != Some(now))),
            Axis::Driver | Axis::Host => false,
        })
        .collect();
    let Some(class) = settings.hosts.get(&record.host.class) else { return stale };
    if !class.matches_hardware(&record.host) {
        stale.insert(Axis::Host);
    }
    if falsifier.fresh.contains(&Axis::Driver) && !class.matches_driver(record.host.driver.as_deref()) {
        stale.insert(Axis::Driver);
    }
    stale
}

/// A record that computed something else than the claim says nothing of it.
fn other_metric(falsifier: &Falsifier, record: &RecordFacts) -> bool {
    match (&falsifier.claim, &record.measure) {
        (Some(claim), Some(measure)) => claim.metric != measure.metric,
        _ => false,
    }
}

/// The bindings of a falsifier; a shorthand that is none names no test.
fn bindings(falsifier: &Falsifier) -> Vec<TestBinding> {
    falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default()
}

/// The models that a falsifier's tests or its command need.
#[must_use]
pub fn models_needed(falsifier: &Falsifier) -> BTreeSet<String> {
    let tests = bindings(falsifier).into_iter().flat_map(|binding| binding.needs);
    let command = falsifier.command.iter().flat_map(|command| command.needs.clone());
    tests
        .chain(command)
        .filter_map(|need| match need {
            Need::Model(name) => Some(name),
            Need::Cuda | Need::GpuMemory(_) => None,
        })
        .collect()
}

/// What the passing records of one host class leave open; the best one comes first.
fn parts_missing(inputs: Inputs<'_>, host: &str, passes: &[&RecordFacts]) -> Vec<Lack> {
    let Inputs { falsifier, settings, binding, .. } = inputs;
    let host = || host.to_owned();
    let mut lacks = Vec::new();
    // A record of an outcome alone does not stand in for the comparisons of a test that was measured elsewhere.
    let measured =
        passes.iter().any(|r| r.measure.is_some()) && !fault!("status-takes-outcomes-for-measures");
    let passed: BTreeSet<&str> = passes
        .iter()
        .filter(|r| r.measure.is_some() || !measured)
        .flat_map(|r| &r.passed)
        .map(String::as_str)
        .collect();
    for test in required_tests(falsifier, binding) {
        if !passed.contains(test.as_str()) {
            lacks.push(Lack::Test { test, host: host() });
        }
    }
    match passes.iter().find_map(|r| r.measure.as_ref()) {
        None => lacks.push(Lack::Metrics { host: host() }),
        Some(best) if best.hit < best.declared && !fault!("status-forgets-cells") => {
            let cell = |cell: &BTreeMap<String, Cell>| {
                joined_cells(cell.iter().map(|(name, value)| format!("{name}={value}")))
            };
            let missed = best.missed.iter().map(cell).collect();
            lacks.push(Lack::Cells { host: host(), declared: best.declared, hit: best.hit, missed });
        }
        Some(_) => {}
    }
    let exclusive = settings.hosts.get(&host()).is_some_and(|class| class.exclusive);
    if !exclusive && falsifier.claim.as_ref().is_some_and(is_performance) {
        lacks.push(Lack::Exclusive { host: host() });
    }
    lacks
}

fn joined_cells(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

/// Whether a claim's value depends on what else the machine does.
fn is_performance(claim: &Claim) -> bool {
    matches!(claim.metric, Metric::Throughput | Metric::Latency)
}

/// The tests that must have passed, each `package/target/path`: those that are bound, or, where nothing was
/// compiled, those that the contract names by path.
fn required_tests(falsifier: &Falsifier, binding: &BindingFacts) -> Vec<String> {
    if let BindingFacts::Bound { tests } = binding {
        return tests.clone();
    }
    bindings(falsifier)
        .iter()
        .filter_map(|b| b.path.as_ref().map(|path| format!("{}/{}/{path}", b.package, b.target)))
        .collect()
}

/// The state of each declared fault: the best that any of its records shows.
fn faults_caught(
    inputs: Inputs<'_>,
    results: &BTreeMap<&String, Results<'_>>,
) -> BTreeMap<FaultName, FaultState> {
    let Some(Faults::Named(named)) = &inputs.falsifier.faults else { return BTreeMap::new() };
    let mut states: BTreeMap<_, _> = named.iter().map(|name| (name.clone(), FaultState::NotRun)).collect();
    for record in inputs.records {
        let Some(best) = record.fault.as_ref().and_then(|fault| states.get_mut(fault)) else { continue };
        let Some(control) = results.get(&record.host.class) else { continue };
        if !signature_suffices(inputs.settings, record) {
            continue;
        }
        let state = match &record.outcome {
            Outcome::Skipped { .. } | Outcome::Error { .. } => continue,
            _ if !stale_axes(inputs, record).is_empty() => FaultState::Stale,
            _ if record.fault_hits == 0 && !fault!("status-needs-no-hit") => FaultState::NotHit,
            Outcome::Passed => FaultState::Missed,
            Outcome::Failed { cause: Cause::Claim, .. } if control.passes.is_empty() => FaultState::NoControl,
            Outcome::Failed { cause: Cause::Claim, .. } => FaultState::Caught,
            Outcome::Failed { .. } => FaultState::OtherFailure,
        };
        *best = if fault!("status-takes-the-last-fault") { state } else { state.max(*best) };
    }
    states
}

#[cfg(test)]
mod tests;
