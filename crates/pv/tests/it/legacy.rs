//! The legacy dialect: a corpus of real contracts reads, and is found fault with only where its maintainers would
//! agree.

use crate::report::corpus;
use contract::diagnostic::Severity;
use pv::context::Context;
use pv::lint::levels::Levels;
use pv::lint::{self, Comments};
use pv::workspace::Workspace;
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[test]
fn the_corpus_reads_with_these_findings() {
    let root = corpus();
    let today = contract::date::Date::parse("2026-11-20").unwrap();
    let paths = ["upstream", "upstream-aprender"].map(Into::into);
    let mut workspace = Workspace::read(&Context::at(&root, today), &paths).unwrap();
    assert_eq!(workspace.files.len(), 101);
    let alone = workspace.take_findings();
    let findings = lint::run(&workspace, alone, None, Levels::DEFAULT, Comments::Heeded);
    let report = workspace.report(findings, false);
    let mut counts: BTreeMap<(Severity, &str), usize> = BTreeMap::new();
    for finding in &report.findings {
        *counts.entry((finding.severity, &finding.rule)).or_default() += 1;
    }
    let mut text = format!("{:?}\n\n", report.counts);
    for ((severity, rule), count) in counts.iter().rev() {
        writeln!(text, "{:8} {count:4} {rule}", severity.name()).unwrap();
    }
    text.push('\n');
    for finding in report.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        let at = &finding.location;
        writeln!(text, "{}:{}: {}", at.path.display(), at.start.line, finding.message).unwrap();
    }
    insta::assert_snapshot!(text);
}
