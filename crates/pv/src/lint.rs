//! The linter: a table of rules, run over a workspace; then what comments and pv.toml say about their findings.
//!
//! A rule is one file under `rules/` and one row of [`RULES`]. Its doc comment is the page that `pv explain`
//! prints. Rules find; how much a finding weighs in a repository is decided here, after all have run.

pub mod allow;
pub mod known;
pub mod levels;
mod rules;

use crate::binding::{Bindings, Resolution};
use crate::workspace::{File, Workspace, by_place};
use contract::Loaded;
use contract::diagnostic::{Diagnostic, Severity, Span};
use contract::id::FalsifierId;
use contract::outline::Outline;
use contract::schema::Falsifier;
use contract::source::Source;
use contract::walk::Dialect;
use contract::yaml::Node;
use levels::Levels;
use rayon::prelude::*;
pub use rules::RULES;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::LazyLock;

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
    /// What one readable file defines and mentions, alone; cached like [`Check::File`].
    Outline(fn(&Loaded, &Outline, &mut Sink<'_>)),
    /// One file in the light of all others.
    Beside(fn(&Workspace, &File, &mut Sink<'_>)),
    /// All files, the sources and pv.toml.
    Workspace(fn(&Workspace, &mut Sink<'_>)),
    /// The compiled tests too.
    Bindings(fn(&Workspace, &Bindings, &mut Sink<'_>)),
    /// The comments that allow findings.
    Allow,
    /// The file of findings that are known already.
    Baseline,
}

/// The rows of the table by their names.
static ROWS: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| RULES.iter().enumerate().map(|(row, rule)| (rule.id, row)).collect());

impl Rule {
    /// The rule of that name.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        RULES.get(Self::row(id)?)
    }

    /// The row of the table that the rule of a name is.
    #[must_use]
    pub fn row(id: &str) -> Option<usize> {
        ROWS.get(id).copied()
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
pub fn check_file(loaded: &Loaded, outline: &Outline) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (rule, check) in checks() {
        let mut sink = Sink { rule, findings: &mut findings };
        match check {
            Check::File(check) => check(loaded, &mut sink),
            Check::Outline(check) => check(loaded, outline, &mut sink),
            _ => {}
        }
    }
    findings
}

/// Everything found in a workspace, with what comments allow taken out and pv.toml's severities set. `alone` are the
/// findings of each file alone, as [`Workspace::take_findings`] gives them.
#[must_use]
pub fn run(
    workspace: &Workspace,
    alone: Vec<Vec<Diagnostic>>,
    bindings: Option<&Bindings>,
    levels: Levels<'_>,
    comments: Comments,
) -> Vec<Diagnostic> {
    workspace.load_bound();
    workspace.look_up();
    let (of_all, beside) = rayon::join(
        || check_workspace(workspace, bindings),
        || workspace.files.par_iter().map(|file| check_beside(workspace, file)).collect::<Vec<_>>(),
    );
    // Names of files are compared as bytes: as paths, part by part, it would take most of the time.
    let mut rows: HashMap<&OsStr, usize> = HashMap::with_capacity(workspace.files.len());
    for (row, file) in workspace.files.iter().enumerate() {
        rows.entry(file.source.path().as_os_str()).or_insert(row);
    }
    let mut found = beside;
    let mut elsewhere = Vec::new();
    for finding in of_all {
        match rows.get(finding.location.path.as_os_str()) {
            Some(row) => found[*row].push(finding),
            None => elsewhere.extend(levels.apply(finding, Dialect::Schema1)),
        }
    }
    let of_file = |((file, mut findings), found): ((&File, Vec<Diagnostic>), Vec<Diagnostic>)| {
        findings.extend(found);
        if comments == Comments::Heeded {
            allow::apply(&file.source, &file.analysis.allows, &mut findings);
        }
        let levelled = findings.into_iter().filter_map(|found| levels.apply(found, file.analysis.dialect));
        let mut findings: Vec<Diagnostic> = levelled.collect();
        findings.sort_by(by_place);
        findings
    };
    let findings: Vec<Vec<Diagnostic>> =
        workspace.files.par_iter().zip(alone).zip(found).map(of_file).collect();
    // There may be so many that growing the list would move them several times.
    let mut all = Vec::with_capacity(findings.iter().map(Vec::len).sum::<usize>() + elsewhere.len());
    findings.into_iter().for_each(|mut of_file| all.append(&mut of_file));
    all.append(&mut elsewhere);
    all
}

/// Run the rules that look at one file in the light of all others.
fn check_beside(workspace: &Workspace, file: &File) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (rule, check) in checks() {
        if let Check::Beside(check) = check {
            check(workspace, file, &mut Sink { rule, findings: &mut findings });
        }
    }
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
    /// Which falsifier of the file, and which of its bindings.
    at: (usize, usize),
    id: &'a FalsifierId,
    resolution: &'a Resolution,
}

impl Resolved<'_> {
    /// Where it is written.
    fn span(&self) -> Span {
        let (index, nth) = self.at;
        let one = format!("/falsification_tests/{index}/test");
        let several = format!("{one}/{nth}");
        let written = [format!("{several}/path"), several, format!("{one}/path"), one];
        let tree = self.file.tree();
        let node = tree.and_then(|tree| written.iter().find_map(|pointer| tree.at(pointer)));
        node.map_or(self.file.start(), Node::head)
    }
}

/// Every declared binding of the workspace that was resolved.
fn resolutions<'a>(workspace: &'a Workspace, bindings: &'a Bindings) -> impl Iterator<Item = Resolved<'a>> {
    workspace.bound().flat_map(move |(file, contract)| {
        contract.falsification_tests.iter().enumerate().flat_map(move |(index, falsifier)| {
            let id = &falsifier.id;
            let found = bindings.falsifiers.get(id).map(Vec::as_slice).unwrap_or_default();
            // An id that two contracts define has the bindings of both.
            let own = found.iter().filter(|resolution| resolution.contract == contract.metadata.id);
            own.enumerate().map(move |(nth, resolution)| Resolved { file, at: (index, nth), id, resolution })
        })
    })
}
