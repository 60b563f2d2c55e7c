//! Schema 1: the typed form of a contract file.

use crate::binding::TestBinding;
use crate::claim::Claim;
use crate::generate::Generate;
use crate::id::{ContractId, FalsifierId, FaultName, ObligationId, StageId};
use crate::need::Need;
use crate::status::FalsifierStatus;
use crate::words::words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The JSON Schema (draft-07, which editors read) of a contract.
#[cfg(feature = "schema")]
#[must_use]
pub fn json_schema() -> serde_json::Value {
    draft07::<Contract>()
}

/// The JSON Schema (draft-07) of a type.
#[cfg(feature = "schema")]
pub(crate) fn draft07<T: schemars::JsonSchema>() -> serde_json::Value {
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

/// One contract: one YAML file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The version of the contract language: 1.
    pub schema: u32,
    /// Who and what.
    pub metadata: Metadata,
    /// The mathematics that the obligations speak of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub equations: BTreeMap<String, Equation>,
    /// What must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proof_obligations: Vec<Obligation>,
    /// In which steps it is built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub implementation_stages: Vec<Stage>,
    /// How each claim could be shown false.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub falsification_tests: Vec<Falsifier>,
    /// What a release of the subject is held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qa_gate: Option<QaGate>,
    /// Bounded model checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kani_harnesses: Vec<KaniHarness>,
    /// Free prose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// The head of a contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The stem of the file.
    pub id: ContractId,
    /// Semantic version of the claims.
    pub version: String,
    /// What kind of subject it is.
    pub kind: Kind,
    /// A few words.
    pub title: String,
    /// A few sentences.
    pub description: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Papers, pages, files.
    pub references: Vec<String>,
    /// Contracts whose claims this one builds on.
    #[serde(default)]
    pub depends_on: Vec<ContractId>,
    /// Former or foreign names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

words! {
    /// What kind of subject a contract has.
    pub enum Kind {
        /// A numerical kernel.
        Kernel = "kernel",
        /// A way of doing things that holds across modules.
        Pattern = "pattern",
        /// A file or data format.
        Schema = "schema",
        /// A command line or library surface.
        Interface = "interface",
        /// A speed or memory claim.
        Benchmark = "benchmark",
    }
}

/// One equation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Equation {
    /// The formula, in plain text.
    pub formula: String,
    /// What goes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What comes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codomain: Option<String>,
    /// What always holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<String>,
}

words! {
    /// The kinds of obligations.
    #[expect(missing_docs, reason = "the names are the terms of the field and say all there is")]
    pub enum ObligationType {
        Invariant = "invariant",
        Equivalence = "equivalence",
        Bound = "bound",
        Monotonicity = "monotonicity",
        Ordering = "ordering",
        Conservation = "conservation",
        Precondition = "precondition",
        Postcondition = "postcondition",
        Idempotency = "idempotency",
        Completeness = "completeness",
        Soundness = "soundness",
        Linearity = "linearity",
        Symmetry = "symmetry",
        Associativity = "associativity",
        Determinism = "determinism",
        Safety = "safety",
        Liveness = "liveness",
    }
}

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Obligation {
    /// Its id, needed as soon as something cites it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ObligationId>,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: ObligationType,
    /// In words.
    pub property: String,
    /// In symbols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formal: Option<String>,
    /// An equation's name, `all`, or `path/file.rs::Symbol`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies_to: Option<String>,
    /// Free prose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// One step of the implementation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its id.
    pub id: StageId,
    /// What is built.
    pub description: String,
    /// Stages that come before.
    #[serde(default)]
    pub after: Vec<StageId>,
    /// Falsifiers that must hold for the stage to be shipped.
    pub accepts: Vec<FalsifierId>,
    /// Files it is made of.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// Free prose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// One falsifier: a claim and what could show it false.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Falsifier {
    /// Its id, unique over the contract root.
    pub id: FalsifierId,
    /// What is claimed, in words.
    pub rule: String,
    /// What a run will show if the claim holds.
    pub prediction: String,
    /// Where to look first if it does not.
    pub if_fails: String,
    /// The obligations it bears on.
    #[serde(default)]
    pub obligations: Vec<ObligationId>,
    /// The claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Tests, one or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Tests>,
    /// A review by people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// A program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandBinding>,
    /// Nothing yet, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Proposed>,
    /// Host classes that each need a fresh pass.
    #[serde(default = "default_hosts")]
    pub hosts: Vec<String>,
    /// Files or globs the claim is about; the package's closure when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<String>>,
    /// Axes on which evidence must be fresh.
    #[serde(default = "default_fresh")]
    pub fresh: Vec<Axis>,
    /// Planted faults it must catch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Faults>,
    /// How its test is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// A claim given up for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waiver>,
    /// What the author expects; checked, never believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<FalsifierStatus>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Former or foreign names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Free prose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

fn default_hosts() -> Vec<String> {
    vec!["cpu".to_owned()]
}

fn default_fresh() -> Vec<Axis> {
    vec![Axis::Claim, Axis::Test, Axis::Subjects, Axis::Deps]
}

words! {
    /// What evidence can be fresh or stale in.
    #[derive(PartialOrd, Ord)]
    pub enum Axis {
        /// The claim and the binding.
        Claim = "claim",
        /// The test's body and its target's sources.
        Test = "test",
        /// The files the claim is about.
        Subjects = "subjects",
        /// The dependencies, by lock file.
        Deps = "deps",
        /// The compiler.
        Toolchain = "toolchain",
        /// The model files the test needs.
        Model = "model",
        /// The GPU driver, as the host class bounds it.
        Driver = "driver",
        /// The host class: its patterns match the machine of the record. It always counts.
        Host = "host",
    }
}

/// One test binding or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Tests {
    /// `cargo test -p P --test T path`, parsed strictly.
    Shorthand(String),
    /// The long form.
    One(Box<TestBinding>),
    /// Several tests.
    Many(Vec<TestBinding>),
}

/// A falsifier that people look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Who looked.
    pub by: String,
    /// When, `2026-11-20`.
    pub date: String,
    /// Until when it counts.
    pub expires: String,
    /// File to `sha256:...` of the content that was looked at.
    pub pins: BTreeMap<String, String>,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

/// A falsifier that is a program run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommandBinding {
    /// Program and arguments; never a shell line.
    pub argv: Vec<String>,
    /// The exit code that means the claim holds.
    #[serde(default)]
    pub exit: i32,
    /// What the host must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Seconds after which a run is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// A falsifier that nothing is bound to yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// Why nothing is bound.
    pub reason: String,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// A claim given up for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Why.
    pub reason: String,
    /// The last day, `2026-12-31`.
    pub until: String,
}

/// The planted faults of a falsifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Faults {
    /// Each must be caught.
    Named(Vec<FaultName>),
    /// There is none, and why.
    None(NoFaults),
}

/// Why a falsifier has no planted fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NoFaults {
    /// The reason, counted and shown.
    pub none: String,
}

/// What a release of the subject is held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QaGate {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Falsifiers that must hold.
    pub checks: Vec<FalsifierId>,
}

/// One bounded model check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KaniHarness {
    /// Its id.
    pub id: String,
    /// The obligation it checks.
    pub obligation: ObligationId,
    /// `path/file.rs::function`.
    pub harness: String,
    /// The unwinding bound.
    pub bound: u32,
}
