//! Contracts are read by a quick reader as far as it goes, and by a YAML library beyond.

use crate::report::corpus;
use contract::diagnostic::Span;
use contract::source::Source;
use contract::yaml::{self, Data, Findings, Node, Tree};
use falsify::{Claim, falsifier};
use std::fs;
use std::path::PathBuf;

/// A document mark, which the quick reader leaves to the library.
const MARK: &str = "---\n";

fn files() -> Vec<PathBuf> {
    let folders = [
        corpus().join("upstream"),
        corpus().join("upstream-aprender"),
        falsify::root().unwrap().join("contracts"),
    ];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    files
}

/// What is read of a text, and what is said about it.
fn read(text: String) -> (Option<Tree>, Vec<String>) {
    let source = Source::new("x.yaml", text);
    let mut findings = Findings::new(&source);
    let tree = yaml::parse(&source, &mut findings);
    let said = findings.finish().into_iter().map(|finding| format!("{}: {}", finding.rule, finding.message));
    (tree, said.collect())
}

/// Every place of a tree as it is without the mark.
fn unmarked(tree: &mut Tree) {
    fn shift(span: &mut Span) {
        let mark = u32::try_from(MARK.len()).unwrap();
        (span.start, span.end) = (span.start.saturating_sub(mark), span.end.saturating_sub(mark));
    }
    fn node(of: &mut Node) {
        shift(&mut of.span);
        match &mut of.data {
            Data::List(items) => items.iter_mut().for_each(node),
            Data::Map(entries) => entries.iter_mut().for_each(|entry| {
                shift(&mut entry.key.span);
                node(&mut entry.value);
            }),
            _ => {}
        }
    }
    tree.comments.iter_mut().for_each(shift);
    node(&mut tree.root);
}

/// Values, places, comments and findings of each contract, and of each without one of its lines, for about sixteen.
#[falsifier("FALSIFY-PV-LINT-005")]
fn a_contract_reads_the_same_with_a_document_mark(claim: &mut Claim) {
    for path in files() {
        let whole = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = whole.split_inclusive('\n').collect();
        // Every line of a short contract.
        let step = lines.len().div_ceil(16);
        let without =
            (0..lines.len()).step_by(step).map(|line| [&lines[..line], &lines[line + 1..]].concat().concat());
        for (form, text) in
            std::iter::once(("whole", whole.clone())).chain(without.map(|text| ("a line less", text)))
        {
            let (quick, said) = read(text.clone());
            let (mut library, as_well) = read([MARK, &text].concat());
            library.iter_mut().for_each(unmarked);
            // Debug, because a NaN equals no other.
            let same = format!("{quick:?}") == format!("{library:?}") && said == as_well;
            claim.at("form", form).check(&path.display().to_string(), same);
        }
    }
}
