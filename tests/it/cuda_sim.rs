//! The CUDA simulator against itself: correct programs must be right and quiet, and every planted mistake must be
//! named. Builds it and runs its self-test; what a case is stands in `tests/cuda-sim/selftest`.

use crate::simulator;
use falsify::{Claim, falsifier};
use fault::fault;
use std::process::Command;

/// Multiprocessors to run with: a few, and those of an H200. Nothing may depend on them.
const PROCESSORS: [u32; 2] = [4, 132];

/// What the self-test said of one case.
struct Case {
    name: String,
    /// Titles of findings, of which one is right; empty for none.
    expected: String,
    found: String,
    ok: bool,
}

/// Runs the cases of one kind whose names begin so. `blind` names a class of findings that the simulator overlooks.
fn selftest(kind: &str, only: &str, mode: &str, processors: u32, blind: Option<&str>) -> Vec<Case> {
    let mut command = Command::new(simulator::folder().join("selftest"));
    command.arg(falsify::root().expect("the workspace"));
    command.args(["--kind", kind, "--only", only, "--mode", mode, "--sms", &processors.to_string()]);
    if let Some(class) = blind {
        command.env("CUDA_SIM_BLIND", class);
    }
    let output = command.output().expect("the self-test starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let cases: Vec<Case> = text
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let case = Case {
                name: columns.next()?.to_owned(),
                expected: columns.next()?.to_owned(),
                found: columns.next()?.to_owned(),
                ok: columns.next()? == "ok",
            };
            Some(case)
        })
        .collect();
    assert!(!cases.is_empty(), "no case of {kind} {only}: {text}{}", String::from_utf8_lossy(&output.stderr));
    cases
}

#[falsifier("FALSIFY-CUDA-SIM-QUIET-001")]
fn correct_programs_are_right_and_quiet(claim: &mut Claim) {
    // With barriers that order nothing, every correct program looks like a race.
    let blind = fault!("cuda-sim-barriers-order-nothing").then_some("barrier-order");
    for processors in PROCESSORS {
        for mode in ["checked", "quick"] {
            for case in selftest("correct", "", mode, processors, blind) {
                claim
                    .at("processors", u64::from(processors))
                    .at("mode", mode)
                    .on(format!("{}: {}", case.name, case.found))
                    .measure("count", f64::from(u8::from(!case.ok)), "");
            }
        }
    }
}

/// Enters one missed mistake for every case of the group that is not named as it should be.
fn missed(claim: &mut Claim, group: &str, blind: Option<&str>) {
    for processors in PROCESSORS {
        for case in selftest("planted", group, "checked", processors, blind) {
            claim
                .at("processors", u64::from(processors))
                .on(format!("{}: expected {}, found {}", case.name, case.expected, case.found))
                .measure("count", f64::from(u8::from(!case.ok)), "");
        }
    }
}

#[falsifier("FALSIFY-CUDA-SIM-BARRIER-001")]
fn removed_barriers_are_found(claim: &mut Claim) {
    missed(claim, "sums/", fault!("cuda-sim-blind-to-races").then_some("races"));
}

#[falsifier("FALSIFY-CUDA-SIM-BLOCKS-001")]
fn unordered_blocks_are_found(claim: &mut Claim) {
    missed(claim, "grids/", fault!("cuda-sim-blind-between-blocks").then_some("races"));
}

#[falsifier("FALSIFY-CUDA-SIM-BOUNDS-001")]
fn accesses_that_may_not_be_are_found(claim: &mut Claim) {
    let blind = if fault!("cuda-sim-blind-to-bounds") {
        Some("bounds")
    } else if fault!("cuda-sim-blind-to-uninitialised") {
        Some("uninitialised")
    } else {
        None
    };
    missed(claim, "bounds/", blind);
}

#[falsifier("FALSIFY-CUDA-SIM-MEETING-001")]
fn threads_that_do_not_meet_are_found(claim: &mut Claim) {
    missed(claim, "meetings/", fault!("cuda-sim-blind-to-divergence").then_some("barriers"));
}

#[falsifier("FALSIFY-CUDA-SIM-COPIES-001")]
fn copies_nobody_waits_for_are_found(claim: &mut Claim) {
    missed(claim, "copies/", fault!("cuda-sim-blind-to-copies").then_some("copies"));
}

#[falsifier("FALSIFY-CUDA-SIM-TENSORS-001")]
fn wrong_use_of_tensor_cores_is_found(claim: &mut Claim) {
    missed(claim, "tensors/", fault!("cuda-sim-blind-to-tile-races").then_some("races"));
}

#[falsifier("FALSIFY-CUDA-SIM-DEPENDENT-001")]
fn accesses_before_the_dependency_wait_are_found(claim: &mut Claim) {
    missed(claim, "dependents/", fault!("cuda-sim-blind-to-dependencies").then_some("dependencies"));
}

#[falsifier("FALSIFY-CUDA-SIM-HOST-001")]
fn mistakes_of_the_host_are_found(claim: &mut Claim) {
    let blind = if fault!("cuda-sim-blind-to-streams") {
        Some("operations")
    } else if fault!("cuda-sim-blind-to-leaks") {
        Some("leaks")
    } else {
        None
    };
    missed(claim, "host/", blind);
}
