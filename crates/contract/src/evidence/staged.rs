//! Staged records: what a test process leaves for its runner.
//!
//! A process knows what its body did and nothing of hosts, trees or hashes of files. It writes a `started` entry
//! before the body and a `finished` entry after it, each whole, under names no other process uses; the runner
//! turns pairs into evidence and a start without a finish into an error.

use super::{Measure, Outcome};
use crate::id::{ContractId, FalsifierId, FaultName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The version of this form.
pub const SCHEMA: u32 = 1;
/// The end of the file name of an entry without a finish.
pub const STARTED: &str = ".started.json";
/// The end of the file name of an entry with one.
pub const FINISHED: &str = ".finished.json";

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Staged {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Joins the start and the finish of one call of one test; unique within a run.
    pub key: String,
    /// The contract.
    pub contract: ContractId,
    /// The falsifier.
    pub falsifier: FalsifierId,
    /// The path of the test as `--list` prints it, without the name of a case.
    pub test: String,
    /// The hash of the claim that was compiled in, `sha256:...`.
    pub claim: String,
    /// The token hash of the test function that was compiled in, `sha256:...`.
    pub body: String,
    /// Whether the binary carries planted faults.
    pub faults_compiled: bool,
    /// The fault armed in the process.
    pub fault: Option<FaultName>,
    /// Milliseconds since 1970 at the start of the body.
    pub started_ms: u64,
    /// How it ended; `None` while the body is about to run.
    pub finish: Option<Box<Finish>>,
}

/// What the body did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finish {
    /// What happened.
    pub outcome: Outcome,
    /// What was measured; `None` when the body skipped before any comparison.
    pub measure: Option<Measure>,
    /// The cells that were reached, as places in the product of the claim's sets.
    pub hit: BTreeSet<u64>,
    /// How often a site of the armed fault was reached, in all processes of the run of this test.
    pub fault_hits: u64,
    /// Seconds the body took.
    pub wall_s: f64,
    /// The models of pv.toml that bodies of the process had asked for by then.
    pub models: Vec<String>,
}
