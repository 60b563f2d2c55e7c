//! What the derivation of a status looks at, and nothing more: what is bound, what the tree holds now, and of
//! each record what bears on a status.

use crate::claim::Cell;
use crate::claim::Metric;
use crate::evidence::{Axes, Cause, Host, Outcome, Statement};
use crate::id::{FalsifierId, FaultName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a falsifier's tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "binding", rename_all = "kebab-case")]
pub enum BindingFacts {
    /// Nothing was compiled: only records can tell.
    Unresolved,
    /// Every declared test is compiled and could fail. Each is named `package/target/path`.
    Bound {
        /// The test functions that must pass.
        tests: Vec<String>,
    },
    /// Some declared test is not there, or is ignored, or is not this falsifier's.
    Unbound {
        /// Why, one sentence per test.
        reasons: Vec<String>,
    },
    /// Some declared test cannot fail.
    Vacuous {
        /// Why, one sentence per test.
        reasons: Vec<String>,
    },
}

/// The content of the checked-out tree, per axis, for one falsifier. An axis that cannot be computed, because a
/// file or a test is gone, is `None` and matches no record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Current {
    /// The claim and the binding.
    pub claim: Option<String>,
    /// Rule, prediction and advice.
    pub statement: Option<String>,
    /// The test's body and the sources of its target.
    pub test: Option<String>,
    /// The files the claim is about.
    pub subjects: Option<String>,
    /// The resolved dependencies.
    pub deps: Option<String>,
    /// The compiler that the tree pins.
    pub toolchain: Option<String>,
    /// The digests that pv.toml declares for the models the falsifier needs.
    pub models: BTreeMap<String, String>,
    /// Of each file that a review pins, its digest now; `None` when it is gone.
    pub pins: BTreeMap<String, Option<String>>,
}

/// What of one record bears on a status.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordFacts {
    /// Where it lies, relative to the root; names it in reports.
    pub file: String,
    /// The falsifier.
    pub falsifier: FalsifierId,
    /// What happened.
    pub outcome: Outcome,
    /// The fault that was armed.
    pub fault: Option<FaultName>,
    /// How often a site of the fault was reached.
    pub fault_hits: u64,
    /// The content that was run.
    pub axes: Arc<Axes>,
    /// Where.
    pub host: Arc<Host>,
    /// What was measured; `None` in a record of an outcome alone.
    pub measure: Option<MeasureFacts>,
    /// `package/target/path` of the tests that passed.
    pub passed: Vec<String>,
    /// When the test started; for people, and to show the newest first.
    pub started: String,
    /// The commit; for people.
    pub commit: Option<String>,
    /// Seconds it took.
    pub wall_s: f64,
    /// The public key whose valid signature covers the record.
    pub signed_by: Option<String>,
}

/// What of a measure bears on a status, or is shown beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasureFacts {
    /// The metric that was really computed.
    pub metric: Metric,
    /// How many comparisons.
    pub comparisons: u64,
    /// The worst value, as text, with its unit.
    pub worst: Option<String>,
    /// How many times the worst value fits into the bound.
    pub headroom: Option<f64>,
    /// The size of the claim's domain.
    pub declared: u64,
    /// How much of it was reached.
    pub hit: u64,
    /// The first cells that were not.
    pub missed: Vec<BTreeMap<String, Cell>>,
}

impl RecordFacts {
    /// The facts of a statement that was read from `file`.
    #[must_use]
    pub fn of(statement: Statement, file: String, signed_by: Option<String>) -> Self {
        let predicate = statement.predicate;
        let record = predicate.pv_evidence;
        let measure = record.measure.map(|measure| {
            let unit = measure.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
            MeasureFacts {
                metric: measure.metric,
                comparisons: measure.comparisons,
                worst: measure.worst.map(|worst| format!("{}{unit}", worst.0)),
                headroom: measure.headroom,
                declared: measure.cells.declared,
                hit: measure.cells.hit,
                missed: measure.cells.missed,
            }
        });
        Self {
            file,
            falsifier: record.falsifier,
            outcome: record.outcome,
            fault: record.fault,
            fault_hits: record.fault_hits,
            axes: record.axes.into(),
            host: record.host.into(),
            measure,
            passed: predicate.passed_tests,
            started: record.started,
            commit: record.source.commit,
            wall_s: record.wall_s,
            signed_by,
        }
    }

    /// Whether the run compared nothing, whatever it says of itself.
    #[must_use]
    pub fn is_vacuous(&self) -> bool {
        match &self.outcome {
            Outcome::Passed => self.measure.as_ref().is_some_and(|measure| measure.comparisons == 0),
            Outcome::Failed { cause, .. } => *cause == Cause::Vacuous,
            Outcome::Skipped { .. } | Outcome::Error { .. } => false,
        }
    }
}
