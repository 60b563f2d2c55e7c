//! `pv plan` and `pv can-merge`: what is asked for follows from committed evidence and from what a change touches.

use crate::fixture::Fixture;
use crate::report::{committed, json, pv, repository};
use std::fs;

#[test]
fn a_plan_asks_for_each_host_once_and_divides_it() {
    let fixture = Fixture::of("run");
    let plan = json(fixture.dir(), &["plan", "--format", "json", "--shards", "3"]);
    let tasks = plan["plan"]["tasks"].as_array().unwrap();
    let on = |host: &str| tasks.iter().filter(|task| task["host"] == host).count();
    assert!(on("cpu") > 5, "{plan}");
    assert_eq!(on("elsewhere"), 1, "only one falsifier names the other host class");
    assert!(tasks.iter().all(|task| task["measured"] == false && task["control"] == true), "{plan}");
    let matrix = json(fixture.dir(), &["plan", "--format", "github", "--shards", "3"]);
    let jobs = matrix["include"].as_array().unwrap();
    assert_eq!(jobs.iter().filter(|job| job["host"] == "cpu").count(), 3, "{matrix}");
    let named: usize = jobs.iter().map(|job| job["only"].as_str().unwrap().split(',').count()).sum();
    assert_eq!(named, tasks.len(), "every task is in one job: {matrix}");
    let one = json(fixture.dir(), &["plan", "--only", "FALSIFY-END-MISS", "--format", "json"]);
    assert_eq!(one["plan"]["tasks"].as_array().unwrap().len(), 1, "{one}");
    assert_eq!(pv(fixture.dir(), &["plan", "--only", "FALSIFY-END-MIS"]).status.code(), Some(3));
}

const CONTRACT: &str = "schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}
falsification_tests:
- id: FALSIFY-A-1
  rule: one
  prediction: p
  if_fails: i
  claim: {metric: predicate}
  command: {argv: [\"true\"]}
  subjects: [one.txt]
  fresh: [claim, subjects]
  faults: {none: a program}
- id: FALSIFY-A-2
  rule: two
  prediction: p
  if_fails: i
  claim: {metric: predicate}
  command: {argv: [\"true\"]}
  subjects: [two.txt]
  fresh: [claim, subjects]
  faults: {none: a program}
- id: FALSIFY-A-3
  rule: three
  prediction: p
  if_fails: i
  proposed: {reason: later}
";

const SETTINGS: &str =
    "pv = \"0.1\"\n[host.cpu]\nmatch = { arch = \"x86_64\" }\n[profile]\nlight = { host = \"cpu\" }\n";

#[test]
fn a_merge_waits_for_the_evidence_of_what_the_change_touches() {
    let files = [
        ("pv.toml", SETTINGS),
        ("contracts/a-v1.yaml", CONTRACT),
        ("one.txt", "1"),
        ("two.txt", "2"),
        (".gitignore", "target\n"),
    ];
    let dir = repository(&files);
    let dir = dir.path();
    committed(dir);
    let missing = |args: &[&str]| -> Vec<String> {
        let args: Vec<&str> = ["can-merge", "--format", "json"].iter().chain(args).copied().collect();
        let said = json(dir, &args);
        let missing = said["missing"].as_array().unwrap();
        missing.iter().map(|one| one["falsifier"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(missing(&[]), ["FALSIFY-A-1", "FALSIFY-A-2"]);
    assert_eq!(missing(&["--since", "HEAD"]), Vec::<String>::new());
    assert_eq!(pv(dir, &["can-merge", "--since", "HEAD"]).status.code(), Some(0));
    fs::write(dir.join("two.txt"), "another").unwrap();
    assert_eq!(missing(&["--since", "HEAD"]), ["FALSIFY-A-2"]);
    let out = pv(dir, &["can-merge", "--since", "HEAD"]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("host cpu: it has not run there"), "{said}");
    let plan = json(dir, &["plan", "--since", "HEAD", "--format", "json"]);
    assert_eq!(plan["plan"]["tasks"][0]["falsifier"], "FALSIFY-A-2", "{plan}");
    assert_eq!(plan["plan"]["tasks"].as_array().unwrap().len(), 1, "{plan}");
    // Another rule is another text and no other claim.
    let text = CONTRACT.replace("rule: one", "rule: first");
    fs::write(dir.join("contracts/a-v1.yaml"), text).unwrap();
    assert_eq!(missing(&["--since", "HEAD"]), ["FALSIFY-A-2"]);
    assert_eq!(pv(dir, &["can-merge", "--since", "no-such-revision"]).status.code(), Some(3));
}
