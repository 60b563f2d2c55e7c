//! A job's result as a record of evidence: what was run, on which content, on which machine.

use super::fold::Folded;
use super::job::Job;
use super::machine::Machine;
use crate::evidence::portable::portable;
use crate::evidence::source::SourceTree;
use contract::date::timestamp;
use contract::evidence::{
    Axes, Descriptor, Outcome, PREDICATE_TYPE, Record, SCHEMA, STATEMENT_TYPE, Source, Statement, TestResult,
};
use contract::id::FaultName;
use contract::status::facts::Current;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

/// What is the same for every record of a run.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) run: &'a str,
    pub(super) machine: &'a Machine,
    /// `None` outside a git repository.
    pub(super) source: Option<&'a SourceTree>,
}

/// How the tests of a record were built.
pub(crate) struct Build<'a> {
    pub(crate) toolchain: &'a str,
    pub(crate) profile: &'a str,
    pub(crate) features: &'a [String],
}

/// The content of the tree that the falsifier is about; an axis without a digest has no record.
pub(crate) fn axes(held: &Current, build: &Build<'_>, models: BTreeMap<String, String>) -> Option<Axes> {
    Some(Axes {
        claim: held.claim.clone()?,
        statement: held.statement.clone()?,
        test: held.test.clone()?,
        subjects: held.subjects.clone()?,
        deps: held.deps.clone()?,
        toolchain: build.toolchain.to_owned(),
        profile: build.profile.to_owned(),
        features: build.features.to_vec(),
        models,
    })
}

impl<'a> Build<'a> {
    /// That of a job's profile by a compiler.
    pub(super) fn of(job: &Job<'a>, toolchain: &'a str) -> Self {
        Self { toolchain, profile: &job.profile.cargo_profile, features: &job.profile.features }
    }
}

/// The statement of a job's result. `binaries` are the executables by name with their SHA-256, `configuration` is
/// the SHA-256 of the contract's file.
pub(super) fn statement(
    frame: &Frame<'_>,
    job: &Job<'_>,
    axes: Axes,
    binaries: &BTreeMap<String, String>,
    configuration: &str,
    fault: Option<&FaultName>,
    folded: Folded,
) -> Statement {
    let Folded { outcome, measure, fault_hits, wall_s, started_ms, tests, .. } = folded;
    let source = frame.source.map(|source| Descriptor::new("source", "gitTree", &source.tree));
    let binaries = binaries.iter().map(|(name, digest)| Descriptor::new(name, "sha256", digest));
    let named = |keep: fn(&Outcome) -> bool| -> Vec<String> {
        tests.iter().filter(|(_, outcome)| keep(outcome)).map(|(name, _)| name.clone()).collect()
    };
    let mut statement = Statement {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: source.into_iter().chain(binaries).collect(),
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: TestResult {
            result: outcome.verdict(),
            configuration: vec![Descriptor::new(job.file, "sha256", configuration)],
            passed_tests: named(Outcome::is_pass),
            warned_tests: named(|outcome| matches!(outcome, Outcome::Skipped { .. })),
            failed_tests: named(|outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Error { .. })),
            pv_evidence: Record {
                schema: SCHEMA,
                contract: job.contract.clone(),
                falsifier: job.falsifier.id.clone(),
                outcome,
                fault: fault.cloned(),
                fault_hits: if fault.is_some() { fault_hits } else { 0 },
                axes,
                host: frame.machine.host(job.host),
                measure,
                source: Source {
                    commit: frame.source.and_then(|source| source.commit.clone()),
                    dirty: frame.source.is_none_or(|source| source.dirty),
                },
                run: frame.run.to_owned(),
                started: timestamp(started_ms.unwrap_or_default()),
                wall_s,
                pv: env!("CARGO_PKG_VERSION").to_owned(),
            },
        },
    };
    portable(&mut statement.predicate.pv_evidence);
    statement
}

/// The SHA-256 of a file of any size, 64 hexadecimal digits.
pub(super) fn digest(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
