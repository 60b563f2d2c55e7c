//! A JUnit report as weak evidence: which tests passed and which failed, and nothing that was measured.
//!
//! A report says neither what was compared nor of which sources its tests were built, so the commit is named by
//! whoever takes it in, and a pass leaves a falsifier without its metrics. A case counts only when its name is that
//! of exactly one bound test. nextest names the executable of a case (`tests::it`, `model`, `pv::bin/pv`) and the
//! test in it; a report that names no executable cannot tell two tests of one path apart, and nothing of it counts.

use super::portable::portable;
use crate::run::record::{self, Build};
use contract::binding::{Target, TestBinding};
use contract::date::{moment, timestamp};
use contract::evidence::{
    Axes, Cause, Descriptor, Host, Outcome, PREDICATE_TYPE, Record, SCHEMA, STATEMENT_TYPE, Source,
    Statement, TestResult, sha256_hex,
};
use contract::host::HostClass;
use contract::id::FalsifierId;
use contract::schema::{Contract, Falsifier};
use contract::status::facts::Current;
use fault::fault;
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::BTreeMap;

/// The largest report that is read, in bytes.
pub const LARGEST: usize = 64 << 20;
/// The most XML nodes that a report may have.
const NODES: u32 = 4_000_000;
/// How deep its elements may be nested; JUnit has a handful of levels.
const DEEPEST: usize = 32;
/// How much of a message a record keeps, in characters.
const MESSAGE: usize = 200;

/// Why bytes are no report. Nothing of such a file counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JunitError {
    /// Too much of it.
    #[error("the report has {0} bytes (accepted: at most {LARGEST})")]
    Large(usize),
    /// No text.
    #[error("the report is not UTF-8: {0}")]
    Text(std::str::Utf8Error),
    /// Not well-formed, cut, or with a document type, which could define entities.
    #[error("not a JUnit report: {0}")]
    Xml(String),
    /// Another kind of document.
    #[error("not a JUnit report: its root is <{0}> (accepted: <testsuites>, <testsuite>)")]
    Root(String),
    /// Deeper than any report.
    #[error("line {line}: elements are nested deeper than {DEEPEST} levels")]
    Deep {
        /// The line, from 1.
        line: u32,
    },
    /// It reports nothing.
    #[error("the report holds no test case")]
    Empty,
    /// An element that could change what a case says.
    #[error("line {line}: <{found}> in a test case (accepted: {})", ELEMENTS.join(", "))]
    Element {
        /// The line, from 1.
        line: u32,
        /// Its name.
        found: String,
    },
    /// An attribute that every case needs.
    #[error("line {line}: a test case has no `{attribute}`")]
    Attribute {
        /// The line, from 1.
        line: u32,
        /// Which.
        attribute: &'static str,
    },
    /// A number or a time that is none.
    #[error("line {line}: {attribute} is `{found}` (accepted: {accepted})")]
    Value {
        /// The line, from 1.
        line: u32,
        /// Which.
        attribute: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        accepted: &'static str,
    },
    /// Counts and cases differ: the report was cut or edited.
    #[error("line {line}: {attribute} is {declared} and the report holds {found}: it was cut or edited")]
    Count {
        /// The line, from 1.
        line: u32,
        /// Which.
        attribute: &'static str,
        /// What it says.
        declared: usize,
        /// How many there are.
        found: usize,
    },
}

/// What may stand in a test case.
const ELEMENTS: &[&str] = &[
    "failure",
    "error",
    "skipped",
    "flakyFailure",
    "flakyError",
    "rerunFailure",
    "rerunError",
    "system-out",
    "system-err",
    "properties",
];

/// How a case ended, by how much that says, least first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Green.
    Passed,
    /// It was not run, or left itself.
    Skipped(String),
    /// The run broke: a timeout, an abort, an executable that does not start.
    Broke(String),
    /// Red.
    Failed(String),
}

/// One test case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The executable, as the case's class or else its suite names it.
    pub class: String,
    /// The test.
    pub name: String,
    /// How it ended.
    pub ending: Ending,
    /// When it started, in seconds since 1970; `None` when neither it nor its suite says.
    pub started: Option<u64>,
    /// Seconds it took.
    pub wall_s: f64,
}

/// The cases of a report.
///
/// # Errors
/// When it is none, was cut, or contradicts itself.
pub fn read(bytes: &[u8]) -> Result<Vec<Case>, JunitError> {
    if bytes.len() > LARGEST {
        return Err(JunitError::Large(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(JunitError::Text)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = ParsingOptions { nodes_limit: NODES, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(text, options).map_err(|error| JunitError::Xml(error.to_string()))?;
    let root = document.root_element();
    if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
        return Err(JunitError::Root(root.tag_name().name().to_owned()));
    }
    let mut cases = Vec::new();
    for node in root.descendants() {
        if node.ancestors().nth(DEEPEST).is_some() {
            return Err(JunitError::Deep { line: line(node) });
        }
        match node.tag_name().name() {
            "testsuites" | "testsuite" => counts(node)?,
            "testcase" => cases.push(case(node)?),
            _ => {}
        }
    }
    if cases.is_empty() { Err(JunitError::Empty) } else { Ok(cases) }
}

fn line(node: Node<'_, '_>) -> u32 {
    node.document().text_pos_at(node.range().start).row
}

fn elements<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

/// A suite that declares more than it holds was cut.
fn counts(suite: Node<'_, '_>) -> Result<(), JunitError> {
    let inside = || suite.descendants().filter(|node| node.has_tag_name("testcase"));
    let with = |name: &str| inside().filter(|case| elements(*case).any(|e| e.has_tag_name(name))).count();
    for (attribute, found) in
        [("tests", inside().count()), ("failures", with("failure")), ("errors", with("error"))]
    {
        let Some(declared) = suite.attribute(attribute) else { continue };
        let Ok(declared) = declared.trim().parse::<usize>() else {
            let (line, found, accepted) = (line(suite), declared.to_owned(), "a count");
            return Err(JunitError::Value { line, attribute, found, accepted });
        };
        if declared > found {
            return Err(JunitError::Count { line: line(suite), attribute, declared, found });
        }
    }
    Ok(())
}

fn case(node: Node<'_, '_>) -> Result<Case, JunitError> {
    let lacks = |attribute| JunitError::Attribute { line: line(node), attribute };
    let wrong = |attribute, found: &str, accepted| {
        let (line, found) = (line(node), found.to_owned());
        JunitError::Value { line, attribute, found, accepted }
    };
    let name = node.attribute("name").ok_or_else(|| lacks("name"))?;
    let suites = || node.ancestors().filter(|above| above.has_tag_name("testsuite"));
    let suite = suites().find_map(|suite| suite.attribute("name"));
    let class = node.attribute("classname").or(suite);
    let class = class.ok_or_else(|| lacks("classname"))?;
    let wall_s = match node.attribute("time") {
        None => 0.0,
        Some(text) => {
            let seconds = text.trim().parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0);
            seconds.ok_or_else(|| wrong("time", text, "seconds"))?
        }
    };
    let when = node.ancestors().find_map(|above| above.attribute("timestamp"));
    let accepted = "2026-11-20T10:15:02.120+01:00; UTC without an offset";
    let started = when.map(|text| moment(text).ok_or_else(|| wrong("timestamp", text, accepted)));
    let (class, name) = (class.to_owned(), name.to_owned());
    Ok(Case { class, name, ending: ending(node)?, started: started.transpose()?, wall_s })
}

/// The worst that the elements of a case say. There are no retries: a case that failed once has failed.
fn ending(case: Node<'_, '_>) -> Result<Ending, JunitError> {
    let mut worst = Ending::Passed;
    for element in elements(case) {
        let name = element.tag_name().name();
        if !ELEMENTS.contains(&name) {
            return Err(JunitError::Element { line: line(element), found: name.to_owned() });
        }
        let kind = element.attribute("type").unwrap_or_default();
        let said = message(element);
        let found = match name {
            "failure" if kind.contains("timeout") || kind.contains("abort") => Ending::Broke(said),
            "failure" => Ending::Failed(said),
            "flakyFailure" | "rerunFailure" => {
                Ending::Failed(format!("failed before it was retried: {said}"))
            }
            "error" | "flakyError" | "rerunError" => Ending::Broke(said),
            "skipped" => Ending::Skipped(said),
            // What a falsifier says of itself when it leaves: a harness sees a pass.
            "system-out" | "system-err" if outputs(element).contains(": SKIPPED: ") => {
                Ending::Skipped("it says so in its output".to_owned())
            }
            _ => continue,
        };
        worst = worst.max(found);
    }
    if fault!("junit-reads-every-case-as-passed") { Ok(Ending::Passed) } else { Ok(worst) }
}

fn outputs(element: Node<'_, '_>) -> String {
    element.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect()
}

/// What an element says, in one line and without absolute paths, which no record holds.
fn message(element: Node<'_, '_>) -> String {
    let body = outputs(element);
    let first = body.lines().map(str::trim).find(|line| !line.is_empty());
    let kind = element.attribute("type").filter(|kind| !kind.is_empty());
    let said = element.attribute("message").and_then(|text| text.lines().next()).or(first);
    let parts: Vec<&str> = kind.into_iter().chain(said).collect();
    let words: Vec<&str> = parts.iter().flat_map(|part| part.split_whitespace()).map(relative).collect();
    let text: String = words.join(" ").chars().filter(|c| !c.is_control()).take(MESSAGE).collect();
    if text.is_empty() { "without a message".to_owned() } else { text }
}

/// The last part of an absolute path; any other word as it is.
fn relative(word: &str) -> &str {
    let bare = word.trim_start_matches(['\'', '"', '`', '(', '<', '[']);
    let drive = bare.get(1..3).is_some_and(|colon| colon == ":\\" || colon == ":/");
    if bare.starts_with('/') || drive { word.rsplit(['/', '\\']).next().unwrap_or_default() } else { word }
}

/// What a report is held against.
#[derive(Debug)]
pub struct Basis<'a> {
    /// The contracts with their files and the SHA-256 of these.
    pub contracts: &'a [(String, String, &'a Contract)],
    /// What the tree holds, per falsifier.
    pub current: &'a BTreeMap<FalsifierId, Current>,
    /// The class of the machine that ran.
    pub class: &'a HostClass,
    /// That machine.
    pub host: &'a Host,
    /// The id of the tree that ran.
    pub tree: &'a str,
    /// Its commit, 40 hexadecimal digits.
    pub commit: &'a str,
}

/// A case that is no evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unattributed {
    /// Its class and name.
    pub case: String,
    /// Why.
    pub reason: String,
}

/// What a report amounts to.
#[derive(Debug, Default)]
pub struct Attributed {
    /// One record per falsifier.
    pub statements: Vec<Statement>,
    /// The other cases, in the order of the report.
    pub others: Vec<Unattributed>,
}

/// One falsifier with the file of its contract.
#[derive(Clone, Copy)]
struct Owner<'a> {
    file: &'a str,
    digest: &'a str,
    contract: &'a Contract,
    falsifier: &'a Falsifier,
}

/// A falsifier with its cases, each under the name that records have for its test.
type Taken<'a> = (Owner<'a>, Vec<(String, Case)>);

/// How nextest names a test executable.
fn binary_id(package: &str, target: &Target) -> String {
    match target {
        Target::Lib => package.to_owned(),
        Target::Bin(name) => format!("{package}::bin/{name}"),
        Target::Test(name) => format!("{package}::{name}"),
    }
}

/// Whether a binding means a test of its executable. A test of several cases appears as each of them.
fn means(binding: &TestBinding, name: &str) -> bool {
    match (&binding.path, &binding.prefix) {
        (Some(path), _) => {
            name == path || name.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with("::case_"))
        }
        (None, Some(prefix)) => name.starts_with(prefix.as_str()),
        (None, None) => false,
    }
}

/// The records of a report's cases. `report` are its bytes, whose digest takes the place of a run.
#[must_use]
pub fn records(basis: &Basis<'_>, report: &[u8], cases: Vec<Case>) -> Attributed {
    let mut bound: BTreeMap<String, Vec<(TestBinding, Owner<'_>)>> = BTreeMap::new();
    for (file, digest, contract) in basis.contracts {
        for falsifier in &contract.falsification_tests {
            let tests = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
            for binding in tests {
                let owner = Owner { file, digest, contract, falsifier };
                bound.entry(binary_id(&binding.package, &binding.target)).or_default().push((binding, owner));
            }
        }
    }
    let mut found = Attributed::default();
    let mut taken: BTreeMap<&FalsifierId, Taken<'_>> = BTreeMap::new();
    for case in cases {
        match attribute(basis, &bound, &case) {
            Ok((name, owner)) => {
                taken.entry(&owner.falsifier.id).or_insert((owner, Vec::new())).1.push((name, case));
            }
            Err(reason) => {
                found.others.push(Unattributed { case: format!("{} {}", case.class, case.name), reason });
            }
        }
    }
    let run = format!("junit:{}", sha256_hex(report));
    for (owner, cases) in taken.into_values() {
        match statement(basis, &run, owner, &cases) {
            Ok(statement) => found.statements.push(statement),
            Err(reason) => {
                let name = |case: &Case| format!("{} {}", case.class, case.name);
                let others =
                    cases.iter().map(|(_, case)| Unattributed { case: name(case), reason: reason.clone() });
                found.others.extend(others);
            }
        }
    }
    found
}

/// The test that a case is of, as records name it, and its falsifier; or why it is of none.
fn attribute<'a>(
    basis: &Basis<'_>,
    bound: &BTreeMap<String, Vec<(TestBinding, Owner<'a>)>>,
    case: &Case,
) -> Result<(String, Owner<'a>), String> {
    let of_path = |(_, tests): (&String, &Vec<(TestBinding, Owner<'a>)>)| -> Vec<(TestBinding, Owner<'a>)> {
        tests.iter().filter(|(binding, _)| means(binding, &case.name)).cloned().collect()
    };
    let tests = if fault!("junit-forgets-the-executable") {
        bound.iter().flat_map(of_path).collect()
    } else {
        match bound.get_key_value(&case.class) {
            Some(executable) => of_path(executable),
            None => return Err(format!("no contract binds a test of the executable `{}`", case.class)),
        }
    };
    let (binding, owner) = match tests.as_slice() {
        [] => return Err("no contract binds this test".to_owned()),
        [one] => one,
        several => {
            let ids: Vec<_> = several.iter().map(|(_, owner)| owner.falsifier.id.to_string()).collect();
            return Err(format!("several bindings mean this test: {}", ids.join(", ")));
        }
    };
    let class = &basis.class.name;
    if !owner.falsifier.hosts.contains(class) {
        return Err(format!("{} needs no run on host class {class}", owner.falsifier.id));
    }
    if case.ending == Ending::Passed
        && let Some(need) = binding.needs.first()
    {
        return Err(format!("the test needs {need} and leaves where that is missing, which reads as a pass"));
    }
    let path = binding.path.as_ref().unwrap_or(&case.name);
    Ok((format!("{}/{}/{path}", binding.package, binding.target), *owner))
}

/// The record of a falsifier's cases, the worst of which decides; or why there is none.
fn statement(
    basis: &Basis<'_>,
    run: &str,
    owner: Owner<'_>,
    cases: &[(String, Case)],
) -> Result<Statement, String> {
    let worst = cases.iter().map(|(_, case)| &case.ending).max().unwrap_or(&Ending::Passed);
    let outcome = match worst {
        Ending::Passed => Outcome::Passed,
        Ending::Failed(message) => Outcome::Failed { cause: Cause::Reported, message: message.clone() },
        Ending::Skipped(reason) => return Err(format!("it was skipped, which shows nothing: {reason}")),
        Ending::Broke(message) => return Err(format!("it broke, which shows nothing: {message}")),
    };
    let started = cases.iter().filter_map(|(_, case)| case.started).min();
    let started = started.ok_or("neither the case nor its suite says when it ran (`timestamp`)")?;
    let held = basis.current.get(&owner.falsifier.id);
    let axes = held.and_then(axes).ok_or("the tree does not hold all that the claim is about")?;
    let named = |wanted: fn(&Ending) -> bool| {
        let mut names: Vec<String> =
            cases.iter().filter(|(_, case)| wanted(&case.ending)).map(|(name, _)| name.clone()).collect();
        names.dedup();
        names
    };
    let mut statement = Statement {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: vec![Descriptor::new("source", "gitTree", basis.tree)],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: TestResult {
            result: outcome.verdict(),
            configuration: vec![Descriptor::new(owner.file, "sha256", owner.digest)],
            passed_tests: named(|ending| *ending == Ending::Passed),
            warned_tests: named(|ending| matches!(ending, Ending::Skipped(_))),
            failed_tests: named(|ending| matches!(ending, Ending::Failed(_) | Ending::Broke(_))),
            pv_evidence: Record {
                schema: SCHEMA,
                contract: owner.contract.metadata.id.clone(),
                falsifier: owner.falsifier.id.clone(),
                outcome,
                fault: None,
                fault_hits: 0,
                axes,
                host: basis.host.clone(),
                measure: None,
                source: Source { commit: Some(basis.commit.to_owned()), dirty: false },
                run: run.to_owned(),
                started: timestamp(started * 1000),
                wall_s: cases.iter().map(|(_, case)| case.wall_s).sum(),
                pv: env!("CARGO_PKG_VERSION").to_owned(),
            },
        },
    };
    portable(&mut statement.predicate.pv_evidence);
    Ok(statement)
}

/// What of the tree a report can be of. With which compiler and on which model files its tests ran it does not say,
/// so a falsifier that counts one of these finds the record stale in it.
fn axes(held: &Current) -> Option<Axes> {
    const UNREPORTED: &str = "unreported";
    record::axes(held, &Build { toolchain: UNREPORTED, profile: UNREPORTED, features: &[] }, BTreeMap::new())
}
