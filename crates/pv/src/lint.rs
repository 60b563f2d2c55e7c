//! The linter: a table of rules, run over a workspace; then what comments and pv.toml say about their findings.
//!
//! A rule is one file under `rules/` and one row of [`RULES`]. Its doc comment is the page that `pv explain`
//! prints. Rules find; how much a finding weighs in a repository is decided here, after all have run.

pub mod allow;
pub mod known;
pub mod levels;
mod rules;

use crate::binding::{Bindings, Resolution};
use crate::workspace::{File, Workspace};
use contract::Loaded;
use contract::diagnostic::{Diagnostic, Severity, Span};
use contract::id::FalsifierId;
use contract::schema::Falsifier;
use contract::source::Source;
use contract::walk::Dialect;
use contract::yaml::Node;
use levels::Levels;
pub use rules::RULES;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, which reads well after "allow".
    pub id: &'static str,
    /// What a finding weighs unless something says otherwise.
    pub severity: Severity,
    /// Its page, as doc comment lines.
    doc: &'static str,
    /// What it looks at.
    pub checks: &'static [Check],
}

/// What a rule looks at, and so when it can run.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// The structure of a file: found while it is read, by crate `contract`.
    Reading,
    /// One readable file, alone. Depends on nothing else, so its findings are cached with the file.
    File(fn(&Loaded, &mut Sink<'_>)),
    /// All files, the sources and pv.toml.
    Workspace(fn(&Workspace, &mut Sink<'_>)),
    /// The compiled tests too.
    Bindings(fn(&Workspace, &Bindings, &mut Sink<'_>)),
    /// The comments that allow findings.
    Allow,
    /// The file of findings that are known already.
    Baseline,
}

impl Rule {
    /// The rule of that name.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.id == id)
    }

    /// What it finds, in a sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let first = self.doc.lines().take_while(|line| !line.trim().is_empty());
        first.map(str::trim).collect::<Vec<_>>().join(" ")
    }

    /// Its page, in Markdown.
    #[must_use]
    pub fn page(&self) -> String {
        let lines = self.doc.lines().map(|line| line.strip_prefix(' ').unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Whether its findings can be allowed by a comment or turned down by pv.toml in a file of schema 1. A
    /// structural error cannot: without a clean structure there is no typed contract to judge.
    #[must_use]
    pub fn is_adjustable(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check, Check::Reading | Check::Allow | Check::Baseline))
    }

    /// Whether it is about the structure of a file.
    #[must_use]
    pub fn is_structural(&self) -> bool {
        self.checks.iter().any(|check| matches!(check, Check::Reading))
    }
}

/// Where a rule puts what it finds.
#[derive(Debug)]
pub struct Sink<'a> {
    rule: &'static Rule,
    findings: &'a mut Vec<Diagnostic>,
}

impl Sink<'_> {
    /// Report something in a file, and hand it back for its label, help and fix.
    pub fn add(&mut self, source: &Source, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let finding = Diagnostic::new(self.rule.id, self.rule.severity, source.location(span), message);
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Report something about the value at a JSON pointer of a file.
    pub fn at(&mut self, loaded: &Loaded, pointer: &str, message: impl Into<String>) -> &mut Diagnostic {
        let node = loaded.tree.as_ref().and_then(|tree| tree.at(pointer));
        self.add(&loaded.source, node.map(Node::head).unwrap_or_default(), message)
    }
}

/// Every check of the table.
fn checks() -> impl Iterator<Item = (&'static Rule, Check)> {
    RULES.iter().flat_map(|rule| rule.checks.iter().map(move |check| (rule, *check)))
}

/// Run the rules that look at one file.
#[must_use]
pub fn check_file(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (rule, check) in checks() {
        if let Check::File(check) = check {
            check(loaded, &mut Sink { rule, findings: &mut findings });
        }
    }
    findings
}

/// Everything found in a workspace, with what comments allow taken out and pv.toml's severities set.
#[must_use]
pub fn run(
    workspace: &Workspace,
    bindings: Option<&Bindings>,
    levels: Levels<'_>,
    comments: Comments,
) -> Vec<Diagnostic> {
    // Names of files are compared as bytes: as paths, part by part, it would take most of the time.
    let mut found: BTreeMap<OsString, Vec<Diagnostic>> = BTreeMap::new();
    for finding in check_workspace(workspace, bindings) {
        found.entry(finding.location.path.as_os_str().to_owned()).or_default().push(finding);
    }
    let mut findings: Vec<Diagnostic> = Vec::new();
    for file in &workspace.files {
        let mut of_file = file.analysis.findings.clone();
        of_file.extend(found.remove(file.source.path().as_os_str()).into_iter().flatten());
        if comments == Comments::Heeded {
            allow::apply(&file.source, &file.analysis.allows, &mut of_file);
        }
        let dialect = file.analysis.dialect;
        findings.extend(of_file.into_iter().filter_map(|finding| levels.apply(finding, dialect)));
    }
    let others = found.into_values().flatten();
    findings.extend(others.filter_map(|finding| levels.apply(finding, Dialect::Schema1)));
    findings
}

/// Whether comments that allow findings count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// They do.
    Heeded,
    /// Everything is reported.
    Ignored,
}

/// Run the rules that look at everything; those about compiled tests only when there are any.
fn check_workspace(workspace: &Workspace, bindings: Option<&Bindings>) -> Vec<Diagnostic> {
    workspace.load_typed();
    let mut findings = Vec::new();
    for (rule, check) in checks() {
        let mut sink = Sink { rule, findings: &mut findings };
        match (check, bindings) {
            (Check::Workspace(check), _) => check(workspace, &mut sink),
            (Check::Bindings(check), Some(bindings)) => check(workspace, bindings, &mut sink),
            _ => {}
        }
    }
    findings
}

/// The falsifiers of a typed contract, each with its JSON pointer.
fn falsifiers(loaded: &Loaded) -> impl Iterator<Item = (String, &Falsifier)> {
    let all = loaded.contract.iter().flat_map(|contract| &contract.falsification_tests);
    all.enumerate().map(|(index, falsifier)| (format!("/falsification_tests/{index}"), falsifier))
}

/// A declared binding, where it is written, and what it resolves to.
struct Resolved<'a> {
    file: &'a File,
    span: Span,
    id: &'a FalsifierId,
    resolution: &'a Resolution,
}

/// Every declared binding of the workspace that was resolved.
fn resolutions<'a>(workspace: &'a Workspace, bindings: &'a Bindings) -> impl Iterator<Item = Resolved<'a>> {
    workspace.contracts().flat_map(move |(file, contract)| {
        contract.falsification_tests.iter().enumerate().flat_map(move |(index, falsifier)| {
            let id = &falsifier.id;
            let found = bindings.falsifiers.get(id).map(Vec::as_slice).unwrap_or_default();
            // An id that two contracts define has the bindings of both.
            let own = found.iter().filter(|resolution| resolution.contract == contract.metadata.id);
            own.enumerate().map(move |(nth, resolution)| {
                let one = format!("/falsification_tests/{index}/test");
                let several = format!("{one}/{nth}");
                let tree = file.loaded().and_then(|loaded| loaded.tree.as_ref());
                let written = [format!("{several}/path"), several, format!("{one}/path"), one];
                let node = tree.and_then(|tree| written.iter().find_map(|pointer| tree.at(pointer)));
                Resolved { file, span: node.map_or(file.start(), Node::head), id, resolution }
            })
        })
    })
}
