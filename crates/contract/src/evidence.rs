//! Evidence: what one run of one falsifier on one host showed, as an in-toto Statement with the test-result predicate.
//!
//! A record is written once and never edited; its name is its start and its digest. It holds no host name, user
//! or absolute path. The types say what was measured and on what content; whether that still counts is computed
//! elsewhere, from the tree. Nothing here reads a clock, a file or the environment.

pub mod number;
pub mod staged;
pub mod tally;

use crate::claim::{Bound, Cell, Metric};
use crate::hash::Digest;
use crate::id::{ContractId, FalsifierId, FaultName};
use number::Number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The type of an in-toto Statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of the test-result predicate.
pub const PREDICATE_TYPE: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// The newest version of [`Record`]; every version up to it can be read.
pub const SCHEMA: u32 = 1;

/// The JSON Schema (draft-07) of a stored record.
#[cfg(feature = "schema")]
#[must_use]
pub fn json_schema() -> serde_json::Value {
    crate::schema::draft07::<Statement>()
}

/// An in-toto Statement about the tree and the test binary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The source tree (`gitTree`, without evidence and reports) and the test binary (`sha256`).
    pub subject: Vec<Descriptor>,
    /// [`PREDICATE_TYPE`].
    pub predicate_type: String,
    /// The result.
    pub predicate: TestResult,
}

/// A thing and its digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Descriptor {
    /// `source`, `tests/test:it`, `contracts/moe-router-v1.yaml`.
    pub name: String,
    /// Algorithm to lower-case hexadecimal: `gitTree`, `sha256`.
    pub digest: BTreeMap<String, String>,
}

impl Descriptor {
    /// A thing with one digest.
    #[must_use]
    pub fn new(name: impl Into<String>, algorithm: &str, hex: impl Into<String>) -> Self {
        Self { name: name.into(), digest: BTreeMap::from([(algorithm.to_owned(), hex.into())]) }
    }
}

/// The test-result predicate with our record beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// The outcome in the predicate's three words.
    pub result: Verdict,
    /// The contract file.
    pub configuration: Vec<Descriptor>,
    /// `package/target/path` of the tests that passed.
    pub passed_tests: Vec<String>,
    /// Of those that were skipped.
    pub warned_tests: Vec<String>,
    /// Of those that failed or could not finish.
    pub failed_tests: Vec<String>,
    /// What the predicate has no place for.
    pub pv_evidence: Record,
}

/// The predicate's words for an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The claim held.
    Passed,
    /// Nothing was learnt.
    Warned,
    /// The claim did not hold, or the run broke.
    Failed,
}

/// One run of one falsifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The version of this form.
    pub schema: u32,
    /// The contract.
    pub contract: ContractId,
    /// The falsifier.
    pub falsifier: FalsifierId,
    /// What happened, in more words than the predicate has; left out for a pass.
    #[serde(default, skip_serializing_if = "Outcome::is_pass")]
    pub outcome: Outcome,
    /// The planted fault that was armed. Such a record is never a result of the falsifier itself.
    pub fault: Option<FaultName>,
    /// How often a site of that fault was reached.
    pub fault_hits: u64,
    /// The content that was run.
    pub axes: Axes,
    /// Where it ran.
    pub host: Host,
    /// What was measured; `None` when the body was not judged.
    pub measure: Option<Measure>,
    /// The commit, for people.
    pub source: Source,
    /// The run (a ULID) that made the record.
    pub run: String,
    /// When the test started, `2026-11-20T10:15:02Z`.
    pub started: String,
    /// Seconds the test took.
    pub wall_s: f64,
    /// The version of the program that wrote the record.
    pub pv: String,
}

/// What happened to one run of a falsifier.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Outcome {
    /// The claim held.
    #[default]
    Passed,
    /// The claim did not hold, or the body could not establish it.
    Failed {
        /// How the failure came about.
        cause: Cause,
        /// The first line of what was printed.
        message: String,
    },
    /// A need was not met here.
    Skipped {
        /// Which one, as `require!` said it.
        reason: String,
    },
    /// The run broke: timeout, abort, exit without a verdict, wrong content.
    Error {
        /// What broke.
        message: String,
    },
}

impl Outcome {
    /// Whether the claim held.
    #[must_use]
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Passed)
    }
    /// The outcome in the predicate's words.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Passed => Verdict::Passed,
            Self::Skipped { .. } => Verdict::Warned,
            Self::Failed { .. } | Self::Error { .. } => Verdict::Failed,
        }
    }
}

/// How a falsifier failed. Only [`Cause::Claim`] shows that the claim itself can be refuted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// A comparison, a measure or a check was outside the bound.
    Claim,
    /// The body panicked.
    Panic,
    /// The body returned an error.
    Returned,
    /// The body compared nothing.
    Vacuous,
    /// The body computed something other than the claim: another metric, an unknown cell, a wrong unit.
    Misuse,
    /// A weak record of an outcome alone, from a foreign report.
    Reported,
}

/// The content a run was of. Digests read `sha256:<64 hex>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Axes {
    /// The claim and the binding.
    pub claim: String,
    /// Rule, prediction and advice; a change only warns.
    pub statement: String,
    /// The test's body and the sources of its target.
    pub test: String,
    /// The files the claim is about.
    pub subjects: String,
    /// The resolved dependencies of the test's package.
    pub deps: String,
    /// The compiler, `1.95.0`.
    pub toolchain: String,
    /// The cargo profile.
    pub profile: String,
    /// The cargo features.
    pub features: Vec<String>,
    /// The model files the test needs, by their name in pv.toml.
    pub models: BTreeMap<String, String>,
}

/// Where a run took place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The host class of pv.toml.
    pub class: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
    /// The processor's model name.
    pub cpu: String,
    /// The accelerator's name.
    pub gpu: Option<String>,
    /// Its driver's version.
    pub driver: Option<String>,
}

/// What a run measured, worst first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measure {
    /// The metric that was really computed.
    pub metric: Metric,
    /// How many comparisons, measures and checks were made.
    pub comparisons: u64,
    /// How many elements they looked at.
    pub elements: u64,
    /// The value nearest to, or furthest beyond, the bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Number>,
    /// The cell where that was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at: BTreeMap<String, Cell>,
    /// The element where that was, where the metric has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<u64>,
    /// What else the body said of the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The bound, when it is one from above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The bound, when it is one from below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The bound, when the value must be exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<f64>,
    /// The unit of all of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How many times the worst value fits into the bound; over 1 while the claim holds. Left out when the worst
    /// value is zero, or the bound is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<f64>,
    /// How many NaN were seen, on either side.
    pub nan: u64,
    /// How much of the claim's domain was reached.
    pub cells: Cells,
    /// Values that the body reported beside the claim's metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub also: BTreeMap<String, Quantity>,
    /// Of a generated test that failed on a drawn case: the case, as small as one could be found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counterexample: BTreeMap<String, Cell>,
}

impl Measure {
    /// The bound as the claim wrote it.
    #[must_use]
    pub fn bound(&self) -> Bound {
        Bound { at_most: self.at_most, at_least: self.at_least, equals: self.equals, unit: self.unit.clone() }
    }
}

/// How much of a claim's domain a run reached.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cells {
    /// The size of the product of the claim's sets; 0 when it ranges over nothing.
    pub declared: u64,
    /// How many of them a comparison reached.
    pub hit: u64,
    /// The first of the others, at most [`Cells::SHOWN`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<BTreeMap<String, Cell>>,
}

impl Cells {
    /// How many missed cells a record names.
    pub const SHOWN: usize = 16;
}

/// A value with its unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Quantity {
    /// The last value reported under the name.
    pub value: Number,
    /// Its unit; empty for a plain number.
    pub unit: String,
}

/// The commit a run was made on. Squashing and merging change it without changing the content, so it never counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its 40 hexadecimal digits; `None` outside a repository.
    pub commit: Option<String>,
    /// Whether the tree that was run is no commit's tree.
    pub dirty: bool,
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON of this form.
    #[error("not an evidence statement: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind of statement.
    #[error("{field} is `{found}` (accepted: `{accepted}`)")]
    Type {
        /// `_type` or `predicateType`.
        field: &'static str,
        /// What stood there.
        found: String,
        /// What may stand there.
        accepted: &'static str,
    },
    /// A record of a later version.
    #[error("the record has schema {found}; this program reads up to {SCHEMA}")]
    Newer {
        /// The version found.
        found: u64,
    },
    /// A record whose parts contradict each other.
    #[error("the record contradicts itself: {0}")]
    Contradiction(String),
}

impl Statement {
    /// The canonical bytes: JSON, one line, a newline at the end. The digest of a record is of these.
    ///
    /// # Errors
    /// When a plain number is not finite; the fields that can hold such a value are [`Number`]s.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads one record and checks that its parts agree.
    ///
    /// # Errors
    /// When the bytes are no such statement, are of a later schema, or contradict themselves.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        /// Of what does not read as a record, the version, so that a later form is named as such.
        #[derive(Deserialize)]
        struct Head {
            predicate: HeadPredicate,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct HeadPredicate {
            pv_evidence: HeadRecord,
        }
        #[derive(Deserialize)]
        struct HeadRecord {
            schema: u64,
        }
        let read = serde_json::from_slice::<Self>(bytes);
        let found = match &read {
            Ok(statement) => u64::from(statement.predicate.pv_evidence.schema),
            Err(_) => serde_json::from_slice(bytes).map_or(0, |head: Head| head.predicate.pv_evidence.schema),
        };
        if found > u64::from(SCHEMA) {
            return Err(RecordError::Newer { found });
        }
        let statement = read?;
        statement.check()?;
        Ok(statement)
    }

    fn check(&self) -> Result<(), RecordError> {
        let typed = |field, found: &str, accepted| {
            if found == accepted {
                Ok(())
            } else {
                Err(RecordError::Type { field, found: found.to_owned(), accepted })
            }
        };
        typed("_type", &self.statement_type, STATEMENT_TYPE)?;
        typed("predicateType", &self.predicate_type, PREDICATE_TYPE)?;
        let against = |what: String| Err(RecordError::Contradiction(what));
        let predicate = &self.predicate;
        let record = &predicate.pv_evidence;
        let verdict = record.outcome.verdict();
        if predicate.result != verdict {
            return against(format!("the result is {:?} and the outcome is {verdict:?}", predicate.result));
        }
        let listed = [
            (Verdict::Passed, &predicate.passed_tests),
            (Verdict::Warned, &predicate.warned_tests),
            (Verdict::Failed, &predicate.failed_tests),
        ];
        for (kind, tests) in listed {
            if kind == verdict && tests.is_empty() {
                return against(format!("the result is {verdict:?} and no test is listed so"));
            }
            if verdict == Verdict::Passed && kind != verdict && !tests.is_empty() {
                return against(format!("the result is {verdict:?} and a test is listed as {kind:?}"));
            }
        }
        if record.fault.is_none() && record.fault_hits > 0 {
            return against(format!("{} hits of no fault", record.fault_hits));
        }
        if !record.wall_s.is_finite() || record.wall_s < 0.0 {
            return against(format!("it took {} seconds", record.wall_s));
        }
        if let Some(measure) = &record.measure {
            if measure.cells.hit > measure.cells.declared {
                let Cells { declared, hit, .. } = measure.cells;
                return against(format!("{hit} cells were hit of {declared}"));
            }
            if record.outcome.is_pass() && !measure.holds() {
                return against("it passed with a value outside its own bound".to_owned());
            }
        }
        Ok(())
    }
}

impl Measure {
    /// Whether the recorded worst value lies within the recorded bound. Without a bound the metric counts
    /// violations and zero of them hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        let Some(Number(worst)) = self.worst else { return self.comparisons == 0 };
        match (self.at_most, self.at_least, self.equals) {
            (Some(bound), None, None) => worst <= bound,
            (None, Some(bound), None) => worst >= bound,
            (None, None, Some(bound)) => worst == bound,
            (None, None, None) => worst == 0.0,
            _ => false,
        }
    }
}

/// The SHA-256 of bytes, in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Digest::of(bytes).hex()
}

/// The name of a record's file, without what says of which form it is: its start without punctuation and the first
/// eight digits of the digest of its bytes, `20261120T101502Z-3f9ac1d2`.
#[must_use]
pub fn file_stem(started: &str, digest: &Digest) -> String {
    let mut stem: String = started.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    stem.push('-');
    stem.push_str(&digest.hex()[..8]);
    stem
}

#[cfg(test)]
mod tests;
