//! Random falsifiers with random histories: bound or not, on one host class or two, with records that pass, fail,
//! skip and break, on this content or another.

use contract::evidence::{Axes, Cause, Host, Outcome};
use contract::id::{FalsifierId, FaultName};
use contract::schema::Falsifier;
use contract::settings::Settings;
use contract::status::derive::{Derived, Inputs, derive};
use contract::status::facts::{BindingFacts, Current, MeasureFacts, RecordFacts};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// A falsifier and what its status follows from, but for the records.
pub(crate) struct World {
    pub(crate) falsifier: Falsifier,
    pub(crate) binding: BindingFacts,
    dark: BTreeMap<String, String>,
    current: Current,
}

impl World {
    pub(crate) fn derive(&self, records: &[RecordFacts]) -> Derived {
        derive(Inputs {
            falsifier: &self.falsifier,
            settings: &SETTINGS,
            binding: &self.binding,
            dark: &self.dark,
            current: &self.current,
            records,
            today: None,
        })
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on {:?}, dark {:?}", self.binding, self.falsifier.hosts, self.dark)
    }
}

/// Compiling the patterns of host classes takes longer than a derivation.
static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let text = "pv = \"0.1\"\n[host.cpu]\nmatch = { arch = \"x86_64\" }\n\
        [host.gpu]\nmatch = { gpu = \"NVIDIA H200*\", arch = \"x86_64\" }\n[profile]\nlight = { host = \"cpu\" }\n";
    Settings::parse(text).expect("the settings are right")
});

fn now(axis: &str) -> String {
    format!("{axis} now")
}

pub(crate) fn failed(cause: Cause) -> Outcome {
    Outcome::Failed { cause, message: "too far".to_owned() }
}

/// A fresh pass on `cpu` that hit every cell.
pub(crate) fn pass(serial: u32) -> RecordFacts {
    RecordFacts {
        file: format!("evidence/{serial:08}.json"),
        falsifier: FalsifierId::parse("F-1").expect("an id"),
        outcome: Outcome::Passed,
        fault: None,
        fault_hits: 0,
        axes: Axes {
            claim: now("claim"),
            statement: now("statement"),
            test: now("test"),
            subjects: now("subjects"),
            deps: now("deps"),
            toolchain: now("toolchain"),
            profile: "test".to_owned(),
            features: Vec::new(),
            models: BTreeMap::new(),
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
            metric: contract::claim::Metric::MaxAbs,
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

/// The same record from a machine of the class `gpu`.
pub(crate) fn on_gpu(record: RecordFacts) -> RecordFacts {
    let gpu = Some("NVIDIA H200 NVL".to_owned());
    let driver = Some("580.1".to_owned());
    let host = Host { class: "gpu".to_owned(), gpu, driver, ..(*record.host).clone() };
    RecordFacts { host: host.into(), ..record }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Passed),
        2 => Just(failed(Cause::Claim)),
        1 => Just(failed(Cause::Panic)),
        1 => Just(failed(Cause::Vacuous)),
        1 => Just(Outcome::Skipped { reason: "s".to_owned() }),
        1 => Just(Outcome::Error { message: "e".to_owned() }),
    ]
}

prop_compose! {
    fn any_record()(
        outcome in any_outcome(),
        faulty in prop::bool::weighted(0.4),
        hits in 0..3_u64,
        stale in prop::sample::subsequence(vec![0, 1, 2, 3, 4], 0..=2),
        fresh in prop::bool::weighted(0.8),
        gpu in any::<bool>(),
        hit in prop_oneof![2 => Just(3_u64), 1 => 0..3_u64],
        measured in prop::bool::weighted(0.9),
        serial in 0..1000_u32,
    ) -> RecordFacts {
        let outcome = if faulty && outcome == Outcome::Passed { failed(Cause::Claim) } else { outcome };
        let mut record = RecordFacts { outcome, ..pass(serial) };
        if faulty {
            record.fault = Some(FaultName::parse("x").expect("a fault"));
            record.fault_hits = hits;
        }
        for axis in if fresh { Vec::new() } else { stale } {
            let axes = Arc::make_mut(&mut record.axes);
            match axis {
                0 => axes.claim = "old".to_owned(),
                1 => axes.test = "old".to_owned(),
                2 => axes.subjects = "old".to_owned(),
                3 => axes.deps = "old".to_owned(),
                _ => Arc::make_mut(&mut record.host).arch = "old".to_owned(),
            }
        }
        match &mut record.measure {
            Some(measure) if measured => measure.hit = hit,
            measure => *measure = None,
        }
        if gpu { on_gpu(record) } else { record }
    }
}

/// Up to eight records, in any order. Half of the histories have no failing result, so that the upper rungs are
/// reached too.
pub(crate) fn any_history() -> impl Strategy<Value = Vec<RecordFacts>> {
    let records = prop::collection::vec(any_record(), 0..8);
    (records, any::<bool>()).prop_map(|(mut records, green)| {
        if green {
            records.retain(|r| r.fault.is_some() || !matches!(r.outcome, Outcome::Failed { .. }));
        }
        records
    })
}

/// A falsifier that is bound, or not, and needs one host class or two.
pub(crate) fn any_world() -> impl Strategy<Value = World> {
    let bound = BindingFacts::Bound { tests: vec!["tests/test:it/a::b".to_owned()] };
    let binding = prop_oneof![
        6 => Just(bound),
        2 => Just(BindingFacts::Unresolved),
        1 => Just(BindingFacts::Unbound { reasons: vec!["gone".to_owned()] }),
        1 => Just(BindingFacts::Vacuous { reasons: vec!["empty".to_owned()] }),
    ];
    let hosts = prop_oneof![Just(vec!["cpu"]), Just(vec!["gpu"]), Just(vec!["cpu", "gpu"])];
    (binding, hosts, prop::bool::weighted(0.2)).prop_map(|(binding, hosts, dark)| {
        let falsifier = serde_json::json!({
            "id": "F-1", "rule": "r", "prediction": "p", "if_fails": "i",
            "claim": {"metric": "max_abs", "bound": {"at_most": 1.0}, "why": "w"},
            "test": {"package": "tests", "target": "test:it", "path": "a::b"},
            "hosts": hosts,
            "faults": ["x"],
        });
        let current = |axis: &str| Some(now(axis));
        let dark = hosts.iter().filter(|_| dark).map(|host| ((*host).to_owned(), "dark".to_owned()));
        World {
            falsifier: serde_json::from_value(falsifier).expect("the falsifier is right"),
            binding,
            dark: dark.collect(),
            current: Current {
                claim: current("claim"),
                statement: current("statement"),
                test: current("test"),
                subjects: current("subjects"),
                deps: current("deps"),
                toolchain: current("toolchain"),
                ..Current::default()
            },
        }
    })
}
