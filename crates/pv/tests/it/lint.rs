//! Every rule fires on its failing fixture and is silent on its passing one.
//!
//! A fixture is a folder in one text file: `-- path --` starts a file, `-- path hex --` one given in hexadecimal
//! digits, `-- path -> target --` is a link. `bindings.json` is what compiled tests would resolve to, `pv-baseline.json` a baseline.

use contract::date::Date;
use contract::diagnostic::Diagnostic;
use pv::binding::Bindings;
use pv::context::Context;
use pv::lint::known::{Baseline, Reach};
use pv::lint::levels::Levels;
use pv::lint::{self, Comments, RULES};
use pv::report::Format;
use pv::workspace::Workspace;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FIXTURES: &str = "tests/it/fixtures";
const RULE_FILES: &str = "src/lint/rules";

/// Lay out a fixture and lint it: the findings, and the report that a person would see.
fn lint(fixture: &str) -> (Vec<Diagnostic>, String) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for (header, content) in files(fixture) {
        lay_out(&root, header, content);
    }
    let today = Date::parse("2026-11-20").unwrap();
    let mut workspace = Workspace::read(&Context::at(&root, today), &[]).unwrap();
    let bindings: Option<Bindings> = fs::read_to_string(root.join("bindings.json"))
        .ok()
        .map(|text| serde_json::from_str(&text).expect("bindings.json"));
    let alone = workspace.take_findings();
    let levels = Levels::new(&workspace.repository).unwrap();
    let findings = lint::run(&workspace, alone, bindings.as_ref(), levels, Comments::Heeded);
    let mut report = workspace.report(findings, false);
    let path = root.join("pv-baseline.json");
    if path.exists() {
        let baseline = Baseline::read(&path, Path::new("pv-baseline.json")).unwrap();
        let reach = Reach { whole: true, named: &BTreeSet::new(), bindings: false };
        baseline.apply(&mut report, reach);
    }
    let mut text = Vec::new();
    report.print(Format::Text, &mut text).unwrap();
    (report.findings, String::from_utf8(text).unwrap())
}

fn files(fixture: &str) -> Vec<(&str, &str)> {
    let mut files = Vec::new();
    for part in fixture.split("\n-- ") {
        let part = part.strip_prefix("-- ").unwrap_or(part);
        files.push(part.split_once(" --\n").unwrap_or_else(|| (part.strip_suffix(" --").unwrap(), "")));
    }
    files
}

fn lay_out(root: &Path, header: &str, content: &str) {
    let full = |path: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    if let Some((path, target)) = header.split_once(" -> ") {
        std::os::unix::fs::symlink(target, full(path)).unwrap();
    } else if let Some(path) = header.strip_suffix(" hex") {
        let digits: Vec<u8> = content.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        fs::write(full(path), digits.chunks(2).map(byte).collect::<Vec<u8>>()).unwrap();
    } else {
        fs::write(full(header), format!("{}\n", content.trim_end_matches('\n'))).unwrap();
    }
}

#[test]
fn every_rule_fires_on_its_fixture_and_only_there() {
    for rule in RULES {
        let fixture = |kind: &str| {
            let path = format!("{FIXTURES}/{}.{kind}.txt", rule.id);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let (findings, report) = lint(&fixture("fail"));
        assert!(findings.iter().any(|finding| finding.rule == rule.id), "{} is silent:\n{report}", rule.id);
        insta::assert_snapshot!(rule.id, report);
        let (findings, report) = lint(&fixture("pass"));
        assert!(findings.iter().all(|finding| finding.rule != rule.id), "{} fires:\n{report}", rule.id);
    }
}

#[test]
fn every_file_of_the_folder_is_a_row_and_a_page() {
    let stems = |folder: &str| {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                PathBuf::from(entry.unwrap().file_name()).file_stem().unwrap().to_string_lossy().into_owned()
            })
            .collect();
        names.sort();
        names
    };
    let mut rows: Vec<String> = RULES.iter().map(|rule| rule.id.replace('-', "_")).collect();
    rows.sort();
    assert_eq!(stems(RULE_FILES), rows);
    let mut fixtures: Vec<String> =
        RULES.iter().flat_map(|rule| [format!("{}.fail", rule.id), format!("{}.pass", rule.id)]).collect();
    fixtures.sort();
    assert_eq!(stems(FIXTURES), fixtures);
    for rule in RULES {
        let page = rule.page();
        for heading in ["## Why is this bad?", "## Example", "## Instead"] {
            assert!(page.contains(heading), "{}: {heading} is missing", rule.id);
        }
        assert!(rule.summary().ends_with('.'), "{}: {}", rule.id, rule.summary());
    }
}

#[test]
fn this_repository_has_no_finding_with_every_rule_on() {
    let root = falsify::root().unwrap();
    let report = crate::report::json(&root, &["lint", "--no-config", "--no-allow", "--format", "json"]);
    assert!(report["counts"]["falsifiers"].as_u64().unwrap() > 90, "{}", report["counts"]);
    assert_eq!((&report["errors"], &report["warnings"]), (&0.into(), &0.into()), "{}", report["findings"]);
}
