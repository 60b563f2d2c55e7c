//! `diff` and `graph`: what changed between states, and what builds on what.

use crate::report::{git, json, pv, repository};
use serde_json::json;
use std::fs;

const GOOD: &str = "schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
falsification_tests:
- id: FALSIFY-A-1
  rule: r
  prediction: p
  if_fails: i
  claim: {metric: max_abs, bound: {at_most: 1.0e-6}, why: w, reference: {kind: analytic, name: n}}
  proposed: {reason: later}
";

/// A repository with one commit of a contract, and another state of it in the work tree.
pub(crate) fn changed(before: &str, after: &str) -> tempfile::TempDir {
    let dir = repository(&[("contracts/a-v1.yaml", before)]);
    git(dir.path(), &["init", "-q", "-b", "main"]);
    git(dir.path(), &["add", "."]);
    git(dir.path(), &["commit", "-qm", "before"]);
    fs::write(dir.path().join("contracts/a-v1.yaml"), after).unwrap();
    dir
}

#[test]
fn a_weaker_claim_needs_a_major_version() {
    let weaker = GOOD.replace("1.0e-6", "1.0e-3");
    let dir = changed(GOOD, &weaker);
    let out = pv(dir.path(), &["diff", "HEAD", "--exit-code"]);
    assert_eq!(out.status.code(), Some(1));
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("a-v1 1.0.0 (needs a major version, has no new)"), "{text}");
    assert!(text.contains("weakened     FALSIFY-A-1: at_most 1e-6 -> 0.001"), "{text}");
    fs::write(dir.path().join("contracts/a-v1.yaml"), weaker.replace("1.0.0", "2.0.0")).unwrap();
    assert_eq!(pv(dir.path(), &["diff", "HEAD", "--exit-code"]).status.code(), Some(0));
    let report = json(dir.path(), &["diff", "HEAD", "--format", "json"]);
    assert_eq!(report[0]["changes"][0]["direction"], "weakened");
    let markdown = pv(dir.path(), &["diff", "HEAD", "--format", "markdown"]).stdout;
    assert!(
        String::from_utf8(markdown).unwrap().contains("| a-v1 1.0.0 -> 2.0.0 | FALSIFY-A-1 | **weakened**")
    );
}

#[test]
fn both_sides_may_be_files_or_revisions() {
    let dir = changed(GOOD, &GOOD.replace("1.0e-6", "1.0e-9"));
    fs::write(dir.path().join("other.yaml"), GOOD).unwrap();
    // Outside of the contracts a file may have any name, as long as its id says whose state it is.
    let stem = dir.path().join("old/a-v1.yaml");
    fs::create_dir(stem.parent().unwrap()).unwrap();
    fs::write(&stem, GOOD).unwrap();
    for args in [
        &["diff", "old/a-v1.yaml", "contracts/a-v1.yaml"][..],
        &["diff", "HEAD", "contracts"],
        &["diff", "main", "."],
        &["diff", "old"],
    ] {
        let text = String::from_utf8(pv(dir.path(), args).stdout).unwrap();
        assert!(text.contains("strengthened FALSIFY-A-1"), "{args:?}: {text}");
    }
    let same = String::from_utf8(pv(dir.path(), &["diff", "HEAD", "old"]).stdout).unwrap();
    assert_eq!(same, "0 of 1 contracts changed\n");
    for wrong in [&["diff", "nowhere"][..], &["diff", "HEAD", "pv.toml"]] {
        assert_eq!(pv(dir.path(), wrong).status.code(), Some(3), "{wrong:?}");
    }
}

#[test]
fn the_graph_shows_every_edge_in_every_format() {
    let user = GOOD
        .replace("a-v1", "b-v1")
        .replace("FALSIFY-A", "FALSIFY-B")
        .replace("references:", "depends_on: [a-v1, c-v1], references:");
    let dir = repository(&[("contracts/a-v1.yaml", GOOD), ("contracts/b-v1.yaml", &user)]);
    let out = pv(dir.path(), &["graph"]);
    assert_eq!(out.status.code(), Some(1), "a contract is missing");
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(text, "a-v1\nb-v1 -> a-v1, c-v1\nc-v1 (missing)\n3 nodes, 2 edges\n");
    let object = json(dir.path(), &["graph", "--format", "json"]);
    assert_eq!(object["edges"], json!([{"from": "b-v1", "to": "a-v1"}, {"from": "b-v1", "to": "c-v1"}]));
    let dot = String::from_utf8(pv(dir.path(), &["graph", "--format", "dot"]).stdout).unwrap();
    assert!(dot.contains("\"b-v1\" -> \"a-v1\";"), "{dot}");
    let mermaid = String::from_utf8(pv(dir.path(), &["graph", "--format", "mermaid"]).stdout).unwrap();
    assert!(mermaid.contains("n1 --> n0") && mermaid.contains("n2[\"c-v1\"]:::missing"), "{mermaid}");
    fs::remove_file(dir.path().join("contracts/b-v1.yaml")).unwrap();
    assert_eq!(pv(dir.path(), &["graph"]).status.code(), Some(0));
    let parts = String::from_utf8(pv(dir.path(), &["graph", "--contract", "a-v1"]).stdout).unwrap();
    assert_eq!(parts, "FALSIFY-A-1\n1 nodes, 0 edges\n");
    assert_eq!(pv(dir.path(), &["graph", "--contract", "z"]).status.code(), Some(3));
}

#[test]
fn shells_and_manuals_know_every_command() {
    let dir = repository(&[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = String::from_utf8(pv(dir.path(), &["completions", shell]).stdout).unwrap();
        for command in ["validate", "lint", "migrate"] {
            assert!(text.contains(command), "{shell} does not know {command}");
        }
    }
    assert_eq!(pv(dir.path(), &["man", "pages"]).status.code(), Some(0));
    for page in ["pv.1", "pv-lint.1", "pv-new-falsifier.1"] {
        let text = fs::read_to_string(dir.path().join("pages").join(page)).unwrap();
        assert!(text.contains("Example"), "{page}");
    }
}
