//! A repository with many findings on its first day: only new ones fail, and those agreed on become fewer.

use crate::report::{corpus, git, json, pv, repository};
use contract::date::Date;
use falsify::{Claim, falsifier};
use pv::commands::lint::{Args, judged};
use pv::context::Context;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The corpus as a repository of its own, committed.
fn first_day() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let contracts = dir.path().join("contracts");
    fs::create_dir(&contracts).unwrap();
    for entry in fs::read_dir(corpus().join("upstream")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, contracts.join(path.file_name().unwrap())).unwrap();
        }
    }
    fs::write(dir.path().join("pv.toml"), "pv = \"0.1\"\n").unwrap();
    git(dir.path(), &["init", "--quiet"]);
    commit(dir.path());
    dir
}

fn commit(dir: &Path) {
    git(dir, &["add", "--all"]);
    git(dir, &["commit", "--quiet", "--message", "x"]);
}

fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join("contracts").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn rules(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap()).collect()
}

const FILE: &str = "softmax-kernel-v1.yaml";

#[test]
fn only_what_is_new_since_a_revision_is_reported() {
    let dir = first_day();
    let args = ["lint", "--new-from", "HEAD", "--format", "json"];
    assert_eq!(pv(dir.path(), &["lint"]).status.code(), Some(1), "the corpus has errors");
    let report = json(dir.path(), &args);
    assert_eq!(rules(&report), Vec::<&str>::new());
    assert!(
        report["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("left out"))
    );
    // Old findings move with their text.
    edit(dir.path(), FILE, "metadata:", "# one line more\nmetadata:");
    assert_eq!(rules(&json(dir.path(), &args)), Vec::<&str>::new());
    edit(dir.path(), FILE, "falsification_tests:", "falsification_test:");
    assert_eq!(rules(&json(dir.path(), &args)), ["contract-without-falsifier", "unknown-key"]);
    assert_eq!(pv(dir.path(), &args).status.code(), Some(1));
    let path = format!("contracts/{FILE}");
    let one = json(dir.path(), &[&args[..], &[path.as_str()]].concat());
    assert_eq!(rules(&one), ["contract-without-falsifier", "unknown-key"]);
    // A new file has no past.
    fs::write(dir.path().join("contracts/new-v1.yaml"), "schema: 1\n").unwrap();
    let report =
        json(dir.path(), &["lint", "--new-from", "HEAD", "--format", "json", "contracts/new-v1.yaml"]);
    assert!(rules(&report).contains(&"missing-key"), "{report}");
    assert_eq!(pv(dir.path(), &["lint", "--new-from", "nowhere"]).status.code(), Some(3));
}

#[test]
fn a_baseline_becomes_shorter_and_never_longer() {
    let dir = first_day();
    let lint = |extra: &[&str]| {
        let args = ["lint", "--baseline", "pv-baseline.json", "--format", "json"];
        let out = pv(dir.path(), &[&args[..], extra].concat());
        let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        (out.status.code(), report)
    };
    let length = || fs::read_to_string(dir.path().join("pv-baseline.json")).unwrap().lines().count();
    assert_eq!(lint(&[]).0, Some(3), "there is none yet");
    let (code, report) = lint(&["--update-baseline"]);
    assert_eq!((code, rules(&report)), (Some(0), Vec::new()));
    let whole = length();
    assert!(whole > 500, "{whole}");
    commit(dir.path());
    assert_eq!(lint(&[]).0, Some(0));

    // A new finding fails, and stays new when the baseline is brought up to date.
    edit(dir.path(), FILE, "    if_fails:", "    if_fail:");
    for extra in [&[][..], &["--update-baseline"], &[]] {
        let (code, report) = lint(extra);
        assert_eq!((code, rules(&report)), (Some(1), vec!["missing-key", "unknown-key"]), "{extra:?}");
    }
    assert_eq!(length(), whole);
    git(dir.path(), &["checkout", "--quiet", "contracts"]);

    // A repaired finding is asked for, and gone for good.
    let text = fs::read_to_string(dir.path().join("contracts").join(FILE)).unwrap();
    let test = text.lines().find(|line| line.trim_start().starts_with("test:")).unwrap().to_owned();
    edit(dir.path(), FILE, &test, "    test: cargo test -p softmax --test it first");
    let (code, report) = lint(&[]);
    assert_eq!((code, rules(&report)), (Some(1), vec!["stale-baseline"]));
    assert_eq!(report["findings"][0]["location"]["path"], "pv-baseline.json");
    assert!(report["findings"][0]["location"]["start"]["line"].as_u64().unwrap() > 3);
    // Who asks about other files is not told.
    assert_eq!(lint(&["contracts/adamw-kernel-v1.yaml"]).0, Some(0));
    assert_eq!(lint(&["--update-baseline"]).0, Some(0));
    assert_eq!(length(), whole - 1);
    git(dir.path(), &["checkout", "--quiet", "contracts"]);
    assert_eq!(rules(&lint(&[]).1), ["prose-test"]);

    // An entry written by hand counts only if the base had it.
    git(dir.path(), &["add", "pv-baseline.json"]);
    git(dir.path(), &["commit", "--quiet", "--message", "shorter"]);
    git(dir.path(), &["checkout", "--quiet", "HEAD~1", "--", "pv-baseline.json"]);
    assert_eq!(rules(&lint(&[]).1), Vec::<&str>::new());
    assert_eq!(rules(&lint(&["--baseline-from", "HEAD"]).1), ["prose-test"]);
}

#[test]
fn what_is_no_baseline_is_refused() {
    let dir = first_day();
    for text in [
        "",
        "[]",
        "{\"baseline\": 2, \"findings\": []}",
        "{\"baseline\": 1, \"findings\": [{\"path\": \"x\"}]}",
    ] {
        fs::write(dir.path().join("b.json"), text).unwrap();
        let out = pv(dir.path(), &["lint", "--baseline", "b.json"]);
        assert_eq!(out.status.code(), Some(3), "{text}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("b.json: is no baseline"), "{out:?}");
    }
    assert_eq!(pv(dir.path(), &["lint", "--update-baseline"]).status.code(), Some(3));
}

/// A repository with one finding, committed.
fn one_finding() -> tempfile::TempDir {
    let dir = repository(&[("contracts/a-v1.yaml", UNBOUND), ("contracts/b-v1.yaml", BOUND)]);
    git(dir.path(), &["init", "--quiet"]);
    commit(dir.path());
    dir
}

const UNBOUND: &str = "schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
falsification_tests:
- {id: FALSIFY-A-1, rule: r, prediction: p, if_fails: i}
";

const BOUND: &str = "schema: 1
metadata: {id: b-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
falsification_tests:
- {id: FALSIFY-B-1, rule: r, prediction: p, if_fails: i, proposed: {reason: later}}
";

/// The rules of what `pv lint` reports.
fn reported(dir: &Path, args: &Args) -> Vec<String> {
    let context = Context::at(dir, Date::parse("2026-11-20").unwrap());
    let rules = |finding: &contract::diagnostic::Diagnostic| finding.rule.to_string();
    judged(args, &context, |report| Ok(report.findings.iter().map(rules).collect())).unwrap()
}

#[falsifier("FALSIFY-PV-LINT-002")]
fn a_baseline_never_grows(claim: &mut Claim) {
    let dir = one_finding();
    let kept = Args { baseline: Some("b.json".into()), ..Args::default() };
    let updated = Args { update_baseline: true, baseline: Some("b.json".into()), ..Args::default() };
    let entries = || -> Vec<String> {
        let text = fs::read_to_string(dir.path().join("b.json")).unwrap();
        let form: Value = serde_json::from_str(&text).unwrap();
        form["findings"].as_array().unwrap().iter().map(|e| e["fingerprint"].to_string()).collect()
    };
    let mut step = |name: &str, before: &[&str], after: &[&str]| {
        let at_first = fs::metadata(dir.path().join("b.json")).is_ok().then(&entries);
        let mut said = vec![if at_first.is_some() { reported(dir.path(), &kept) } else { Vec::new() }];
        said.extend([reported(dir.path(), &updated), reported(dir.path(), &kept)]);
        let now = entries();
        let grown = at_first.is_some_and(|old| now.iter().any(|entry| !old.contains(entry)));
        claim.at("change", name).check(&format!("{} entries", now.len()), !grown);
        let told = said[0] == before && said[1] == after && said[2] == after;
        claim.at("change", name).check(&format!("{said:?}"), told);
    };
    step("none", &[], &[]);
    // What is new is said, and said again after an update.
    edit(dir.path(), "b-v1.yaml", ", proposed: {reason: later}", "");
    step("new", &["unbound-falsifier"], &["unbound-falsifier"]);
    git(dir.path(), &["checkout", "--quiet", "contracts"]);
    edit(dir.path(), "a-v1.yaml", "if_fails: i", "if_fails: i, proposed: {reason: later}");
    step("repaired", &["stale-baseline"], &[]);
    git(dir.path(), &["checkout", "--quiet", "contracts"]);
    step("back", &["unbound-falsifier"], &["unbound-falsifier"]);
}

#[falsifier("FALSIFY-PV-LINT-003")]
fn a_revision_hides_only_its_own_findings(claim: &mut Claim) {
    let dir = one_finding();
    let args = Args { new_from: Some("HEAD".to_owned()), ..Args::default() };
    let mut step = |name: &str, wanted: &[&str]| {
        let said = reported(dir.path(), &args);
        claim.at("change", name).check(&format!("{said:?}"), said == wanted);
    };
    step("none", &[]);
    edit(dir.path(), "a-v1.yaml", "falsification_tests:", "# two lines\n# more\nfalsification_tests:");
    step("moved", &[]);
    edit(dir.path(), "a-v1.yaml", "title: t", "titel: t");
    step("new", &["missing-key", "unknown-key"]);
    // The same rule at another falsifier is another finding.
    edit(dir.path(), "a-v1.yaml", "titel: t", "title: t");
    edit(dir.path(), "b-v1.yaml", ", proposed: {reason: later}", "");
    step("another", &["unbound-falsifier"]);
    git(dir.path(), &["checkout", "--quiet", "contracts"]);
    fs::write(dir.path().join("contracts/c-v1.yaml"), UNBOUND.replace("a-v1", "c-v1").replace("-A-", "-C-"))
        .unwrap();
    step("new file", &["unbound-falsifier"]);
}
