//! `pv run` over a little workspace whose tests end in every way that a test can.

use crate::fixture::Fixture;
use contract::evidence::Outcome;
use falsify::{Claim, falsifier};
use pv::evidence::store::Store;
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn pv(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pv"));
    command.args(["--root"]).arg(dir).args(args).current_dir(dir);
    // A run inside of a run is its own; a fault that is armed is armed in it, too, for it is what is tested.
    for name in ["PV_EVIDENCE_DIR", "PV_REQUIRE", "PV_GPU", "PV_ROOT"] {
        command.env_remove(name);
    }
    command
}

fn json(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// How each test of the workspace has to end.
const ENDS: &[(&str, &str)] = &[
    ("PASS", "passed"),
    ("MISS", "passed"),
    ("CLAIM", "failed claim"),
    ("RETURN", "failed returned"),
    ("PANIC", "failed panic"),
    ("EXIT", "error"),
    ("ABORT", "error"),
    ("HANG", "error"),
    ("SKIP", "skipped"),
    ("VACUOUS", "failed vacuous"),
    ("LATE", "error"),
];

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed { cause, .. } => {
            format!("failed {}", serde_json::to_value(cause).unwrap().as_str().unwrap())
        }
        Outcome::Skipped { .. } => "skipped".to_owned(),
        Outcome::Error { .. } => "error".to_owned(),
    }
}

#[falsifier("FALSIFY-RUN-ENDS-001")]
fn every_end_has_its_outcome(claim: &mut Claim) {
    let fixture = Fixture::of("run");
    let out = pv(fixture.dir(), &["run", "--format", "json"]).output().expect("pv starts");
    let report = json(&out);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    let records = Store::local(fixture.dir()).read().expect("the store").records;
    for (end, wanted) in ENDS {
        let id = format!("FALSIFY-END-{end}");
        let record =
            records.iter().find(|record| record.statement.predicate.pv_evidence.falsifier.as_str() == id);
        let got = record.map(|record| word(&record.statement.predicate.pv_evidence.outcome));
        let note = format!("is {got:?}, wanted {wanted}");
        claim.at("end", end.to_lowercase()).check(&note, got.as_deref() == Some(wanted));
    }
    // What is not run is listed, and a test that is not the falsifier's own is never run.
    let left = report["notRun"].as_array().expect("a list");
    let stray = left.iter().find(|one| one["falsifier"] == "FALSIFY-END-STRAY").expect("the stray one");
    assert_eq!(stray["broken"], true, "{stray}");
    let far = left.iter().find(|one| one["host"] == "elsewhere").expect("the other host class");
    assert_eq!(far["broken"], false, "{far}");
    assert_eq!(left.len(), 2, "{left:?}");
}

#[falsifier("FALSIFY-RUN-FAULTS-001")]
fn a_planted_fault_is_caught_or_named(claim: &mut Claim) {
    let fixture = Fixture::of("run");
    let out = pv(fixture.dir(), &["run", "--faults", "--only", "ends", "--format", "json"])
        .output()
        .expect("pv starts");
    let report = json(&out);
    claim.check("a missed fault fails the run", out.status.code() == Some(1));
    let result = |id: &str| {
        let results = report["results"].as_array().expect("a list");
        results.iter().find(|one| one["falsifier"] == id).cloned().expect("a result")
    };
    let (caught, missed) = (result("FALSIFY-END-PASS"), result("FALSIFY-END-MISS"));
    claim.check("the caught one is red", caught["outcome"]["kind"] == "failed");
    claim.check("by its claim", caught["outcome"]["cause"] == "claim");
    claim.check("and its site was reached", caught["faultHits"].as_u64() > Some(0));
    claim.check("the missed one is green", missed["outcome"]["kind"] == "passed");
    claim.check("though its site was reached", missed["faultHits"].as_u64() > Some(0));
    let alone = |id: &str| {
        let out = pv(fixture.dir(), &["run", "--faults", "--only", id]).output().expect("pv starts");
        out.status.code()
    };
    claim.check("with every fault caught it holds", alone("FALSIFY-END-PASS") == Some(0));
    claim.check("with nothing but a missed one it fails", alone("FALSIFY-END-MISS") == Some(1));
}

/// Waits for a process, at most a minute.
fn ended(child: &mut Child) {
    let start = Instant::now();
    while child.try_wait().expect("it is ours").is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[falsifier("FALSIFY-RUN-KILL-001")]
fn a_killed_run_leaves_no_pass_that_was_none(claim: &mut Claim) {
    let fixture = Fixture::of("run");
    let ids = "FALSIFY-END-PASS,FALSIFY-END-CLAIM,FALSIFY-END-EXIT,FALSIFY-END-RETURN";
    let arguments = ["run", "--only", ids];
    // The first one compiles.
    pv(fixture.dir(), &arguments).output().expect("pv starts");
    let start = Instant::now();
    pv(fixture.dir(), &arguments).output().expect("pv starts");
    let whole = start.elapsed().as_micros();
    // A linear congruential sequence: moments spread over the whole run, the same in every call.
    let mut seed: u64 = 0x5eed;
    for round in 0..100 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = u64::try_from((whole * u128::from(seed >> 33)) >> 31).expect("less than the whole");
        let group = if round % 2 == 0 { "runner" } else { "group" };
        let mut command = pv(fixture.dir(), &arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().expect("pv starts");
        std::thread::sleep(Duration::from_micros(moment));
        if group == "group" {
            let id = format!("-{}", child.id());
            // The group may have ended by itself.
            let _ = Command::new("kill").args(["-KILL", "--", &id]).stderr(Stdio::null()).status();
        }
        let _ = child.kill();
        ended(&mut child);
        let contents = Store::local(fixture.dir()).read().expect("the store can be read");
        claim.at("killed", group).check("every file is a record", contents.defects.is_empty());
        let lies = contents.records.iter().any(|record| {
            let record = &record.statement.predicate.pv_evidence;
            record.outcome.is_pass() && record.falsifier.as_str() != "FALSIFY-END-PASS"
        });
        claim.at("killed", group).check("only what passes is a pass", !lies);
    }
    let out = pv(fixture.dir(), &arguments).output().expect("pv starts");
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
}
