//! What `pv` prints: positions that hold in every format, fingerprints that outlive edits elsewhere, exit codes.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GOOD: &str = "schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
falsification_tests:
- id: FALSIFY-A-1
  rule: r
  prediction: p
  if_fails: i
  proposed: {reason: later}
";

/// A repository with these files and an empty pv.toml.
pub(crate) fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in [("pv.toml", "pv = \"0.1\"\n")].iter().chain(files) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// Git in a folder, as a person without settings.
pub(crate) fn git(dir: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
    let out = Command::new("git").arg("-C").arg(dir).args(identity).args(args).output().unwrap();
    assert!(out.status.success(), "git {args:?}: {out:?}");
}

/// Makes a repository of a folder, with one commit of all that it holds.
pub(crate) fn committed(dir: &Path) {
    git(dir, &["init", "--quiet"]);
    git(dir, &["add", "."]);
    git(dir, &["commit", "--quiet", "-m", "all"]);
}

pub(crate) fn pv(cwd: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pv"));
    command.args(args).current_dir(cwd).env_remove("PV_ROOT").output().unwrap()
}

pub(crate) fn json(cwd: &Path, args: &[&str]) -> Value {
    let out = pv(cwd, args);
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out:?}"))
}

fn bad() -> String {
    GOOD.replace("if_fails", "if_fail").replace("title: t", "title: 'Größe', titel: x")
}

#[test]
fn json_holds_true_positions_and_fixes() {
    let text = bad();
    let dir = repository(&[("contracts/a-v1.yaml", &text)]);
    let report = json(dir.path(), &["validate", "--format", "json"]);
    assert_eq!(report["counts"]["files"], 1);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3);
    for finding in findings {
        let (start, end) = (&finding["location"]["start"], &finding["location"]["end"]);
        let byte = |at: &Value| at["byte"].as_u64().unwrap() as usize;
        let before = &text[..byte(start)];
        let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
        assert_eq!(start["line"], line, "{finding}");
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        assert_eq!(start["column"], column, "{finding}");
        if finding["rule"] == "unknown-key" {
            let marked = &text[byte(start)..byte(end)];
            assert!(["if_fail", "titel"].contains(&marked), "{marked}");
        }
    }
    let fixes: Vec<&Value> = findings.iter().map(|f| &f["fix"]).filter(|fix| !fix.is_null()).collect();
    assert_eq!(fixes[0]["edits"][0]["text"], "if_fails");
}

#[test]
fn fingerprints_outlive_edits_elsewhere() {
    let prints = |text: &str| -> Vec<String> {
        let dir = repository(&[("contracts/a-v1.yaml", text)]);
        let report = json(dir.path(), &["validate", "--format", "json"]);
        let findings = report["findings"].as_array().unwrap().clone();
        findings.iter().map(|f| f["fingerprint"].as_str().unwrap().to_owned()).collect()
    };
    let before = prints(&bad());
    let after = prints(&format!("# a new first line\n{}", bad().replace("rule: r", "rule: another rule")));
    assert_eq!(before, after);
    let mut distinct = before.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), before.len());
}

#[test]
fn sarif_is_valid_against_its_schema() {
    // The published pattern of a language holds a lone `]`, which not every dialect of regular expressions takes
    // for itself.
    let text = include_str!("data/sarif-2.1.0.schema.json").replace("{2}]?$", r"{2}\\]?$");
    let schema: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let other = GOOD.replace("a-v1", "ü b");
    let dir = repository(&[("contracts/a-v1.yaml", &bad()), ("contracts/ü b.yaml", &other)]);
    let log = json(dir.path(), &["lint", "--format", "sarif"]);
    let errors: Vec<String> = validator.iter_errors(&log).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), pv::lint::RULES.len());
    let results = run["results"].as_array().unwrap();
    assert!(results.len() >= 4, "{results:?}");
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(result["partialFingerprints"]["pv/v1"].is_string());
    }
    let uris: Vec<&str> = results
        .iter()
        .map(|r| r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap())
        .collect();
    assert!(uris.contains(&"contracts/%C3%BC%20b.yaml"), "{uris:?}");
    let fix = results.iter().find(|r| !r["fixes"].is_null()).unwrap();
    let change = &fix["fixes"][0]["artifactChanges"][0]["replacements"][0];
    assert!(change["deletedRegion"]["startLine"].as_u64().unwrap() > 1);
    let empty = repository(&[("contracts/a-v1.yaml", GOOD)]);
    let clean = json(empty.path(), &["lint", "--format", "sarif"]);
    assert!(validator.is_valid(&clean));
}

#[test]
fn github_commands_are_one_line_each() {
    let dir = repository(&[("contracts/a-v1.yaml", &bad())]);
    let out = pv(dir.path(), &["validate", "--format", "github"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines.iter().all(|line| line.starts_with("::error file=contracts/a-v1.yaml,line=")), "{text}");
    assert!(
        text.contains("line=7,endLine=7,col=3,endColumn=10,title=unknown-key::`if_fail` is no key of a falsifier%0Adid you mean"),
        "{text}"
    );
}

type Files<'a> = &'a [(&'a str, &'a str)];

#[test]
fn exit_codes_follow_what_was_found() {
    let warned = GOOD.replace(
        "proposed: {reason: later}",
        "claim: {metric: predicate}\n  test: {package: m, target: lib, path: a}",
    );
    let cases: &[(&str, Files<'_>, &[&str], i32)] = &[
        ("clean", &[("contracts/a-v1.yaml", GOOD)], &["lint"], 0),
        ("a warning", &[("contracts/a-v1.yaml", &warned)], &["lint"], 0),
        ("an error", &[("contracts/a-v1.yaml", "schema: 1\n")], &["validate"], 1),
        (
            "one bad file among good ones",
            &[("contracts/a-v1.yaml", GOOD), ("contracts/b.yaml", "\t")],
            &["validate"],
            1,
        ),
        ("no contract", &[("README.md", "")], &["validate"], 2),
        ("an empty folder", &[("contracts/notes.txt", "")], &["lint"], 2),
        ("no such path", &[("contracts/a-v1.yaml", GOOD)], &["validate", "nowhere.yaml"], 3),
        (
            "no such path beside a bad one",
            &[("contracts/a-v1.yaml", "")],
            &["lint", "contracts", "nowhere"],
            3,
        ),
        ("an unknown format", &[("contracts/a-v1.yaml", GOOD)], &["lint", "--format", "xml"], 3),
        ("a wrong pv.toml", &[("pv.toml", "pv = 1\n"), ("contracts/a-v1.yaml", GOOD)], &["lint"], 3),
        ("another version", &[("pv.toml", "pv = \"9\"\n"), ("contracts/a-v1.yaml", GOOD)], &["validate"], 3),
        (
            "an unknown rule",
            &[("pv.toml", "pv = \"0.1\"\nlint.severity.cycel = \"off\"\n"), ("contracts/a-v1.yaml", GOOD)],
            &["lint"],
            3,
        ),
        (
            "an unknown level",
            &[("pv.toml", "pv = \"0.1\"\nlint.severity.cycle = \"banana\"\n"), ("contracts/a-v1.yaml", GOOD)],
            &["lint"],
            3,
        ),
    ];
    for (name, files, args, code) in cases {
        let dir = repository(files);
        let out = pv(dir.path(), args);
        let shown = String::from_utf8_lossy(if *code == 3 { &out.stderr } else { &out.stdout }).into_owned();
        assert_eq!(out.status.code(), Some(*code), "{name}: {shown}");
        assert!(!shown.is_empty(), "{name} says nothing");
        // Whoever prints an error does not exit with 0.
        assert_eq!(shown.contains("error["), *code == 1, "{name}: {shown}");
    }
}

#[test]
fn severities_and_scopes_of_pv_toml_count() {
    let bad = GOOD.replace("  proposed: {reason: later}\n", "");
    let lint = |settings: &str, extra: &[&str]| {
        let settings = format!("pv = \"0.1\"\n{settings}");
        let files = [("pv.toml", settings.as_str()), ("contracts/a-v1.yaml", bad.as_str())];
        let dir = repository(&files);
        let args: Vec<&str> = ["lint", "--format", "json"].iter().chain(extra).copied().collect();
        let report = json(dir.path(), &args);
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["severity"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(lint("", &[]), ["error"]);
    assert_eq!(lint("lint.severity.unbound-falsifier = \"warning\"", &[]), ["warning"]);
    assert_eq!(lint("lint.severity.unbound-falsifier = \"off\"", &[]), Vec::<String>::new());
    assert_eq!(lint("lint.severity.unbound-falsifier = \"off\"", &["--no-config"]), ["error"]);
    let scope = |paths: &str| {
        format!("[[lint.scope]]\npaths = [\"{paths}\"]\nseverity = {{ unbound-falsifier = \"note\" }}")
    };
    assert_eq!(lint(&scope("contracts/a-*"), &[]), ["note"]);
    assert_eq!(lint(&scope("contracts/b-*"), &[]), ["error"]);
}

#[test]
fn the_structure_of_schema_1_cannot_be_turned_down() {
    let settings = "pv = \"0.1\"\nlint.severity.unknown-key = \"off\"\n";
    let dir = repository(&[("pv.toml", settings), ("contracts/a-v1.yaml", &bad())]);
    assert_eq!(pv(dir.path(), &["lint"]).status.code(), Some(1));
}

#[test]
fn comments_allow_what_they_name_and_no_more() {
    let bad = GOOD.replace("  proposed: {reason: later}\n", "");
    let count = |text: &str, extra: &[&str]| {
        let dir = repository(&[("contracts/a-v1.yaml", text)]);
        let args: Vec<&str> = ["lint", "--format", "json"].iter().chain(extra).copied().collect();
        json(dir.path(), &args)["findings"].as_array().unwrap().len()
    };
    let allow = "# pv: allow(unbound-falsifier): decided next week\n";
    let above = bad.replace("- id: FALSIFY", &format!("{allow}- id: FALSIFY"));
    assert_eq!(count(&above, &[]), 0);
    assert_eq!(count(&above, &["--no-allow"]), 1);
    let beside = bad.replace("FALSIFY-A-1\n", &format!("FALSIFY-A-1   {allow}"));
    assert_eq!(count(&beside, &[]), 0);
    let whole = format!("# pv: allow-file(unbound-falsifier): decided next week\n{bad}");
    assert_eq!(count(&whole, &[]), 0);
    // At the wrong place it allows nothing, and is reported beside what it missed.
    assert_eq!(count(&format!("{allow}{bad}"), &[]), 2);
}

#[test]
fn a_bad_file_hides_no_other_and_makes_no_reference_dangle() {
    let broken = GOOD.replace("if_fails", "if_fail");
    let user = GOOD
        .replace("a-v1", "b-v1")
        .replace("FALSIFY-A-1", "FALSIFY-B-1")
        .replace("references:", "depends_on: [a-v1, c-v1], references:");
    let dir = repository(&[
        ("contracts/a-v1.yaml", &broken),
        ("contracts/b-v1.yaml", &user),
        ("contracts/c-v1.yaml", "{not yaml"),
    ]);
    let report = json(dir.path(), &["lint", "--format", "json"]);
    let found: Vec<(&str, &str)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["location"]["path"].as_str().unwrap(), f["rule"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("contracts/a-v1.yaml", "missing-key"),
            ("contracts/a-v1.yaml", "unknown-key"),
            ("contracts/c-v1.yaml", "syntax"),
        ]
    );
}

#[test]
fn a_named_file_is_judged_with_its_neighbours_and_reported_alone() {
    let other = GOOD.replace("a-v1", "b-v1");
    let dir = repository(&[("contracts/a-v1.yaml", GOOD), ("contracts/b-v1.yaml", &other)]);
    let report = json(dir.path(), &["lint", "contracts/a-v1.yaml", "--format", "json"]);
    assert_eq!(report["counts"]["files"], 1);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["rule"], "duplicate-id");
    assert_eq!(findings[0]["location"]["path"], "contracts/a-v1.yaml");
}

#[test]
fn the_text_of_a_long_line_is_cut_around_the_mark() {
    let long =
        format!("{{schema: 1, x-a: \"{}\", titel: 1, x-b: \"{}\"}}", "é".repeat(5_000), "b".repeat(5_000));
    let dir = repository(&[("contracts/a-v1.yaml", &long)]);
    let text = String::from_utf8(pv(dir.path(), &["validate"]).stdout).unwrap();
    assert!(text.contains("contracts/a-v1.yaml:1:5022"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() < 400), "{text}");
}

/// The corpus of the repository.
pub(crate) fn corpus() -> PathBuf {
    falsify::root().unwrap().join("tests/data/corpus")
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let out = pv(&corpus(), &["schema"]);
    let schema: Value = serde_json::from_slice(&out.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let contracts = falsify::root().unwrap().join("contracts");
    let mut seen = 0;
    for entry in fs::read_dir(contracts).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let value: Value = serde_yaml::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
        seen += 1;
    }
    assert!(seen > 0);
    let bad: Value = serde_yaml::from_str(&bad()).unwrap();
    assert!(!validator.is_valid(&bad));
}
