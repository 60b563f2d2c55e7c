//! Each status by an example. The laws over random records are falsifiers.

use super::*;
use crate::evidence::{Axes, Host};
use crate::id::FalsifierId;
use crate::schema::Tests;
use crate::status::facts::MeasureFacts;
use std::sync::Arc;

const SETTINGS: &str = r#"
pv = "0.1"
gate = { require_signature = ["signed"], trusted_keys = ["ed25519:good"] }
[host.cpu]
match = { arch = "x86_64" }
[host.gpu]
match = { gpu = "NVIDIA H200*", driver = ">=580" }
exclusive = true
[host.signed]
match = {}
[profile]
light = { host = "cpu" }
"#;

fn falsifier(hosts: &[&str]) -> Falsifier {
    let value = serde_json::json!({
        "id": "F-1", "rule": "r", "prediction": "p", "if_fails": "i",
        "claim": {"metric": "max_abs", "bound": {"at_most": 1.0}, "why": "w"},
        "test": {"package": "tests", "target": "test:it", "path": "a::b"},
        "hosts": hosts,
        "faults": ["x"],
    });
    serde_json::from_value(value).expect("the falsifier is right")
}

fn current() -> Current {
    let now = |axis: &str| Some(format!("{axis}-now"));
    Current {
        claim: now("claim"),
        statement: now("statement"),
        test: now("test"),
        subjects: now("subjects"),
        deps: now("deps"),
        toolchain: now("toolchain"),
        models: BTreeMap::from([("tiny".to_owned(), "model-now".to_owned())]),
        pins: BTreeMap::new(),
    }
}

/// A fresh pass on `cpu` that hit every cell.
fn pass(serial: u32) -> RecordFacts {
    RecordFacts {
        file: format!("evidence/{serial:08}.json"),
        falsifier: FalsifierId::parse("F-1").expect("an id"),
        outcome: Outcome::Passed,
        fault: None,
        fault_hits: 0,
        axes: Axes {
            claim: "claim-now".to_owned(),
            statement: "statement-now".to_owned(),
            test: "test-now".to_owned(),
            subjects: "subjects-now".to_owned(),
            deps: "deps-now".to_owned(),
            toolchain: "toolchain-now".to_owned(),
            profile: "test".to_owned(),
            features: Vec::new(),
            models: BTreeMap::from([("tiny".to_owned(), "model-now".to_owned())]),
        }
        .into(),
        host: Host {
            class: "cpu".to_owned(),
            arch: "x86_64".to_owned(),
            cpu: "a processor".to_owned(),
            gpu: None,
            driver: None,
        }
        .into(),
        measure: Some(MeasureFacts {
            metric: Metric::MaxAbs,
            comparisons: 3,
            worst: Some("0.5".to_owned()),
            headroom: Some(2.0),
            declared: 3,
            hit: 3,
            missed: Vec::new(),
        }),
        passed: vec!["tests/test:it/a::b".to_owned()],
        started: format!("2026-11-20T10:00:{:02}Z", serial % 60),
        commit: None,
        wall_s: 0.1,
        signed_by: None,
    }
}

fn axes(record: &mut RecordFacts) -> &mut Axes {
    Arc::make_mut(&mut record.axes)
}

fn host(record: &mut RecordFacts) -> &mut Host {
    Arc::make_mut(&mut record.host)
}

fn failed(cause: Cause) -> Outcome {
    Outcome::Failed { cause, message: "too far".to_owned() }
}

/// A fresh, caught run of fault `x`.
fn caught(serial: u32) -> RecordFacts {
    let fault = Some(FaultName::parse("x").expect("a fault"));
    RecordFacts { outcome: failed(Cause::Claim), fault, fault_hits: 3, passed: Vec::new(), ..pass(serial) }
}

fn on_gpu(record: RecordFacts) -> RecordFacts {
    let host = Host {
        class: "gpu".to_owned(),
        gpu: Some("NVIDIA H200 NVL".to_owned()),
        driver: Some("580.1".to_owned()),
        ..(*record.host).clone()
    };
    RecordFacts { host: host.into(), ..record }
}

fn bound() -> BindingFacts {
    BindingFacts::Bound { tests: vec!["tests/test:it/a::b".to_owned()] }
}

struct World {
    falsifier: Falsifier,
    settings: Settings,
    binding: BindingFacts,
    dark: BTreeMap<String, String>,
    current: Current,
}

impl World {
    fn new(hosts: &[&str]) -> Self {
        Self {
            falsifier: falsifier(hosts),
            settings: Settings::parse(SETTINGS).expect("the settings are right"),
            binding: bound(),
            dark: BTreeMap::new(),
            current: current(),
        }
    }

    fn derive(&self, records: &[RecordFacts]) -> Derived {
        self.on(records, None)
    }

    fn on(&self, records: &[RecordFacts], today: Option<&str>) -> Derived {
        derive(Inputs {
            falsifier: &self.falsifier,
            settings: &self.settings,
            binding: &self.binding,
            dark: &self.dark,
            current: &self.current,
            records,
            today: today.map(|day| Date::parse(day).expect(day)),
        })
    }

    fn status(&self, records: &[RecordFacts]) -> FalsifierStatus {
        self.derive(records).status
    }
}

#[test]
fn the_ladder_is_climbed_rung_by_rung() {
    let mut world = World::new(&["cpu", "gpu"]);
    world.binding = BindingFacts::Unbound { reasons: vec!["no such test".to_owned()] };
    assert_eq!(world.status(&[pass(1)]), FalsifierStatus::Proposed);
    world.binding = bound();
    assert_eq!(world.status(&[]), FalsifierStatus::AlgorithmLevelDischarged);
    assert_eq!(world.status(&[pass(1)]), FalsifierStatus::Functional);
    assert_eq!(world.status(&[pass(1), on_gpu(pass(2))]), FalsifierStatus::Functional);
    let all = world.derive(&[pass(1), on_gpu(pass(2)), caught(3)]);
    assert_eq!((all.status, all.lacks), (FalsifierStatus::Discharged, Vec::new()));
}

#[test]
fn a_fresh_failure_falsifies_whatever_else_passed_and_wherever() {
    let world = World::new(&["cpu", "gpu"]);
    for cause in [Cause::Claim, Cause::Panic, Cause::Returned, Cause::Misuse, Cause::Reported] {
        let fail = on_gpu(RecordFacts { outcome: failed(cause), ..pass(1) });
        let derived = world.derive(&[pass(2), fail, on_gpu(pass(3)), caught(4)]);
        assert_eq!(derived.status, FalsifierStatus::Falsified, "{cause:?}");
        assert!(derived.lacks[0].to_string().contains("too far"), "{:?}", derived.lacks);
    }
    // A class that the falsifier does not need says nothing.
    assert_eq!(
        World::new(&["cpu"]).status(&[on_gpu(RecordFacts { outcome: failed(Cause::Claim), ..pass(1) })]),
        FalsifierStatus::AlgorithmLevelDischarged
    );
}

#[test]
fn comparing_nothing_is_vacuous() {
    let mut world = World::new(&["cpu"]);
    let vacuous = RecordFacts { outcome: failed(Cause::Vacuous), ..pass(1) };
    assert_eq!(world.status(&[pass(2), vacuous]), FalsifierStatus::Vacuous);
    let mut silent = pass(1);
    silent.measure.as_mut().expect("a measure").comparisons = 0;
    assert_eq!(world.status(&[silent]), FalsifierStatus::Vacuous);
    world.binding = BindingFacts::Vacuous { reasons: vec!["its body is empty".to_owned()] };
    assert_eq!(world.status(&[]), FalsifierStatus::Vacuous);
}

#[test]
fn each_axis_that_counts_makes_stale_and_is_named() {
    let mut world = World::new(&["cpu"]);
    world.falsifier.fresh.extend([Axis::Toolchain, Axis::Model, Axis::Driver]);
    if let Some(Tests::One(binding)) = &mut world.falsifier.test {
        binding.needs.push(Need::Model("tiny".to_owned()));
    }
    let old = || "old".to_owned();
    type Change = fn(&mut RecordFacts, String);
    let changes: [(Axis, Change); 8] = [
        (Axis::Claim, |r, old| axes(r).claim = old),
        (Axis::Test, |r, old| axes(r).test = old),
        (Axis::Subjects, |r, old| axes(r).subjects = old),
        (Axis::Deps, |r, old| axes(r).deps = old),
        (Axis::Toolchain, |r, old| axes(r).toolchain = old),
        (Axis::Model, |r, old| {
            axes(r).models.insert("tiny".to_owned(), old);
        }),
        (Axis::Host, |r, old| host(r).arch = old),
        (Axis::Claim, |r, _| r.measure.as_mut().expect("a measure").metric = Metric::Cosine),
    ];
    assert_eq!(world.status(&[pass(1), caught(2)]), FalsifierStatus::Discharged);
    for (axis, change) in changes {
        let mut record = pass(1);
        change(&mut record, old());
        let derived = world.derive(&[record, caught(2)]);
        assert_eq!(derived.status, FalsifierStatus::Stale, "{axis:?}");
        assert_eq!(derived.stale_axes(), BTreeSet::from([axis]));
        assert_eq!(derived.label(), format!("STALE({})", axis.name()));
    }
    // The statement only warns, and what people read never counts.
    let mut record = pass(1);
    axes(&mut record).statement = old();
    record.commit = Some(old());
    assert_eq!(world.status(&[record, caught(2)]), FalsifierStatus::Discharged);
    // An axis that the tree cannot compute matches nothing.
    world.current.subjects = None;
    assert_eq!(world.derive(&[pass(1)]).label(), "STALE(subjects)");
}

#[test]
fn an_axis_outside_the_policy_does_not_count() {
    let mut world = World::new(&["gpu"]);
    world.falsifier.fresh = vec![Axis::Claim];
    let mut record = on_gpu(pass(1));
    axes(&mut record).test = "old".to_owned();
    host(&mut record).driver = Some("570.1".to_owned());
    assert_eq!(world.status(&[record.clone()]), FalsifierStatus::Functional);
    world.falsifier.fresh.push(Axis::Driver);
    assert_eq!(world.derive(&[record]).label(), "STALE(driver)");
}

#[test]
fn a_missing_part_keeps_functional_and_is_named() {
    let mut world = World::new(&["cpu"]);
    let lack = |world: &World, records: &[RecordFacts]| {
        let derived = world.derive(records);
        assert_eq!(derived.status, FalsifierStatus::Functional);
        derived.lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let mut partial = pass(1);
    let measure = partial.measure.as_mut().expect("a measure");
    measure.hit = 2;
    measure.missed = vec![BTreeMap::from([("case".to_owned(), Cell::Text("ties".to_owned()))])];
    assert_eq!(lack(&world, &[partial.clone(), caught(2)]), "host cpu: 2 of 3 cells were hit, not case=ties");
    // A later record with every cell is what counts, in any order.
    assert_eq!(world.status(&[partial.clone(), pass(2), caught(3)]), FalsifierStatus::Discharged);
    assert_eq!(world.status(&[pass(2), partial, caught(3)]), FalsifierStatus::Discharged);
    let weak = RecordFacts { measure: None, ..pass(1) };
    assert!(lack(&world, &[weak, caught(2)]).contains("no comparisons"));
    let other = RecordFacts { passed: vec!["tests/test:it/a::c".to_owned()], ..pass(1) };
    assert!(lack(&world, &[other, caught(2)]).contains("no fresh pass of tests/test:it/a::b"));
    world.falsifier.claim.as_mut().expect("a claim").metric = Metric::Latency;
    let slow = |mut record: RecordFacts| {
        record.measure.as_mut().expect("a measure").metric = Metric::Latency;
        record
    };
    assert!(lack(&world, &[slow(pass(1)), slow(caught(2))]).contains("exclusive"));
    world.falsifier.faults = None;
    assert!(lack(&world, &[slow(pass(1))]).contains("no planted fault"));
}

#[test]
fn a_fault_is_caught_by_a_comparison_with_its_site_hit_and_the_control_green() {
    let world = World::new(&["cpu"]);
    let state = |records: &[RecordFacts]| {
        let derived = world.derive(records);
        *derived.faults.values().next().expect("one fault")
    };
    let x = caught(2);
    assert_eq!(state(&[pass(1), x.clone()]), FaultState::Caught);
    assert_eq!(state(&[pass(1)]), FaultState::NotRun);
    assert_eq!(state(std::slice::from_ref(&x)), FaultState::NoControl);
    assert_eq!(state(&[pass(1), RecordFacts { outcome: Outcome::Passed, ..x.clone() }]), FaultState::Missed);
    assert_eq!(state(&[pass(1), RecordFacts { fault_hits: 0, ..x.clone() }]), FaultState::NotHit);
    let panicked = RecordFacts { outcome: failed(Cause::Panic), ..x.clone() };
    assert_eq!(state(&[pass(1), panicked]), FaultState::OtherFailure);
    let mut old = x;
    axes(&mut old).subjects = "old".to_owned();
    assert_eq!(state(&[pass(1), old]), FaultState::Stale);
    let mut world = World::new(&["cpu"]);
    world.falsifier.faults = Some(Faults::None(crate::schema::NoFaults { none: "a format".to_owned() }));
    assert_eq!(world.status(&[pass(1)]), FalsifierStatus::Discharged);
}

#[test]
fn skips_and_errors_are_shown_and_change_nothing() {
    let world = World::new(&["cpu"]);
    let skip = RecordFacts { outcome: Outcome::Skipped { reason: "no CUDA".to_owned() }, ..pass(1) };
    let error = RecordFacts { outcome: Outcome::Error { message: "timeout".to_owned() }, ..pass(2) };
    let derived = world.derive(&[skip.clone(), error.clone()]);
    assert_eq!(derived.status, FalsifierStatus::AlgorithmLevelDischarged);
    assert!(derived.hosts["cpu"].skipped.contains("no CUDA"));
    assert!(derived.hosts["cpu"].errors.contains("timeout"));
    assert_eq!(world.status(&[skip, error, pass(3), caught(4)]), FalsifierStatus::Discharged);
}

#[test]
fn a_required_signature_is_required() {
    let world = World::new(&["signed"]);
    let on = |record: RecordFacts, key: Option<&str>| RecordFacts {
        host: Host { class: "signed".to_owned(), ..(*record.host).clone() }.into(),
        signed_by: key.map(str::to_owned),
        ..record
    };
    let good = Some("ed25519:good");
    assert_eq!(world.status(&[on(pass(1), good), on(caught(2), good)]), FalsifierStatus::Discharged);
    for key in [None, Some("ed25519:other")] {
        let derived = world.derive(&[on(pass(1), key)]);
        assert_eq!(derived.status, FalsifierStatus::AlgorithmLevelDischarged);
        assert_eq!(derived.hosts["signed"].unsigned, 1);
    }
}

#[test]
fn what_no_profile_runs_is_dark() {
    let mut world = World::new(&["cpu", "gpu"]);
    world.dark.insert("gpu".to_owned(), "no profile has host = \"gpu\"".to_owned());
    assert_eq!(world.status(&[]), FalsifierStatus::AlgorithmLevelDischarged);
    assert!(
        world.derive(&[pass(1)]).lacks.iter().any(|l| l.to_string().contains("no profile runs it there"))
    );
    world.dark.insert("cpu".to_owned(), "no profile".to_owned());
    assert_eq!(world.status(&[]), FalsifierStatus::Dark);
    assert_eq!(
        World::new(&["nowhere"]).derive(&[]).lacks[0].to_string(),
        "host nowhere: pv.toml declares no such host class"
    );
}

#[test]
fn reviews_count_until_they_expire_or_their_files_change() {
    let mut world = World::new(&["cpu"]);
    world.falsifier.test = None;
    let review = serde_json::json!({"by": "a", "date": "2026-01-01", "expires": "2026-06-30", "pins": {"f": "sha256:1"}});
    world.falsifier.review = Some(serde_json::from_value(review).expect("a review"));
    world.current.pins.insert("f".to_owned(), Some("sha256:1".to_owned()));
    assert_eq!(world.on(&[], Some("2026-06-30")).status, FalsifierStatus::Reviewed);
    assert_eq!(world.on(&[], Some("2026-07-01")).status, FalsifierStatus::Expired);
    assert_eq!(world.on(&[], None).status, FalsifierStatus::Reviewed);
    world.current.pins.insert("f".to_owned(), Some("sha256:2".to_owned()));
    assert_eq!(world.on(&[], None).status, FalsifierStatus::Stale);
    world.current.pins.clear();
    assert_eq!(world.on(&[], None).status, FalsifierStatus::Stale);
}

#[test]
fn a_waiver_stands_in_for_a_time_and_hides_nothing() {
    let mut world = World::new(&["cpu"]);
    let waiver = serde_json::json!({"reason": "r", "until": "2026-06-30"});
    world.falsifier.waiver = Some(serde_json::from_value(waiver).expect("a waiver"));
    let fail = RecordFacts { outcome: failed(Cause::Claim), ..pass(1) };
    let waived = world.on(std::slice::from_ref(&fail), Some("2026-06-30"));
    assert_eq!(waived.status, FalsifierStatus::Waived);
    assert_eq!(waived.without_waiver, Some(FalsifierStatus::Falsified));
    assert_eq!(world.on(&[fail], Some("2026-07-01")).status, FalsifierStatus::Expired);
    assert_eq!(world.on(&[pass(1), caught(2)], Some("2026-01-01")).status, FalsifierStatus::Discharged);
}

#[test]
fn nothing_bound_is_proposed_and_nothing_compiled_is_unresolved() {
    let mut world = World::new(&["cpu"]);
    world.binding = BindingFacts::Unresolved;
    let derived = world.derive(&[]);
    assert_eq!((derived.status, derived.unresolved), (FalsifierStatus::AlgorithmLevelDischarged, true));
    // A fresh record ran the very test: it is bound.
    assert!(!world.derive(&[pass(1)]).unresolved);
    assert_eq!(world.status(&[pass(1), caught(2)]), FalsifierStatus::Discharged);
    world.falsifier.test = None;
    assert_eq!(world.status(&[]), FalsifierStatus::Proposed);
    world.falsifier.proposed =
        Some(crate::schema::Proposed { reason: "later".to_owned(), needs: Vec::new() });
    assert_eq!(world.derive(&[pass(1)]).lacks[0].to_string(), "proposed: later");
}

#[test]
fn a_declared_status_above_the_derived_one_is_an_over_claim() {
    let mut world = World::new(&["cpu"]);
    for (declared, records, over) in [
        (FalsifierStatus::Discharged, vec![], true),
        (FalsifierStatus::Discharged, vec![pass(1)], true),
        (FalsifierStatus::Discharged, vec![pass(1), caught(2)], false),
        (FalsifierStatus::AlgorithmLevelDischarged, vec![], false),
        (FalsifierStatus::Proposed, vec![pass(1)], false),
        (FalsifierStatus::Functional, vec![RecordFacts { outcome: failed(Cause::Claim), ..pass(1) }], true),
    ] {
        world.falsifier.status = Some(declared);
        let derived = world.derive(&records);
        assert_eq!(derived.over_claimed().is_some(), over, "{declared} against {}", derived.status);
    }
}
