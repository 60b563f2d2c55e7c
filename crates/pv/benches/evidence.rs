//! How long a status takes on a large repository. Run with
//!
//! ```text
//! cargo bench -p pv --bench evidence
//! ```
//!
//! 200 contracts declare 4,000 falsifiers, each with five records of two host classes, two of the ten of a planted
//! fault; the records of one class are signed. $PV_SCALE_PV is another pv than the one that cargo built for this. The
//! binding is known, as after `pv check`. "Nothing known" is a fresh clone: nothing is kept in target/pv. The tree is made
//! once in a folder of its own, target/pv-scale/evidence or $PV_SCALE_DIR/evidence.

use contract::binding::Target;
use contract::evidence::{Statement, file_stem};
use contract::hash::Digest;
use contract::marker::Marker;
use contract::root::Root;
use contract::settings::Settings;
use pv::binding::build::{self, Flavour};
use pv::binding::executable::{Executable, Listed, Listing};
use pv::binding::inventory::{Build, Inventory};
use pv::binding::snapshot::{Files, Snapshot};
use pv::content::Content;
use pv::evidence::dsse::{Envelope, PrivateKey};
use pv::evidence::store;
use pv::stamp::Stamp;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CONTRACTS: usize = 200;
const FALSIFIERS: usize = 20;
const TARGETS: usize = 40;
const PER_TARGET: usize = CONTRACTS * FALSIFIERS / TARGETS;
/// Records per falsifier and host class, one of them of a planted fault.
const RECORDS: usize = 5;
const RUNS: usize = 11;

fn main() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/pv-scale");
    let place = PathBuf::from(std::env::var_os("PV_SCALE_DIR").unwrap_or_else(|| place.into()));
    let dir = place.join("evidence");
    if !dir.join("made").is_file() {
        let _ = fs::remove_dir_all(&dir);
        make(&dir);
        put(&dir.join("made"), "whole\n");
    }
    let kept = dir.join("target/pv");
    let site = dir.join("target/site");
    let site = site.to_str().expect("text");
    let (status, dashboard): (&[&str], &[&str]) = (&["status"], &["dashboard", "-o", site]);
    println!(
        "{} falsifiers, {} records, of which {} are signed",
        CONTRACTS * FALSIFIERS,
        CONTRACTS * FALSIFIERS * RECORDS * 2,
        CONTRACTS * FALSIFIERS * RECORDS
    );
    println!("{:40} {:>10} {:>10}", "", "median", "least");
    for (name, args, known) in [
        ("pv status, nothing known", status, false),
        ("pv status, nothing changed", status, true),
        ("pv dashboard, nothing known", dashboard, false),
        ("pv dashboard, nothing changed", dashboard, true),
    ] {
        if known {
            bind(&dir);
            run(&dir, args);
        }
        let mut times: Vec<Duration> = (0..RUNS)
            .map(|_| {
                if !known {
                    let _ = fs::remove_dir_all(&kept);
                }
                let start = Instant::now();
                run(&dir, args);
                start.elapsed()
            })
            .collect();
        times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("{name:40} {:7.0} ms {:7.0} ms", ms(times[RUNS / 2]), ms(times[0]));
    }
}

/// Runs `pv` as a process of its own; its output goes nowhere.
fn run(dir: &Path, args: &[&str]) {
    let other = std::env::var_os("PV_SCALE_PV").unwrap_or_else(|| env!("CARGO_BIN_EXE_pv").into());
    let mut command = Command::new(other);
    command.args(args).current_dir(dir).env_remove("PV_ROOT");
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("pv runs");
    assert!(ended.code().is_some_and(|code| code < 2), "{args:?}: {ended}");
}

fn id(number: usize) -> String {
    format!("FALSIFY-LARGE-{number:04}")
}

fn make(dir: &Path) {
    let key = PrivateKey::generate().expect("random numbers");
    let settings = format!(
        "pv = \"0.1\"\ngate = {{ require_signature = [\"h200\"], trusted_keys = [\"{}\"] }}\n\
         [host.cpu]\nmatch = {{ arch = \"x86_64\" }}\n[host.h200]\nmatch = {{ gpu = \"NVIDIA H200*\" }}\n\
         [profile]\nlight = {{ host = \"cpu\" }}\ngpu = {{ host = \"h200\" }}\n",
        key.public()
    );
    put(&dir.join("pv.toml"), &settings);
    let package = "[package]\nname = \"large\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    put(&dir.join("Cargo.toml"), package);
    put(&dir.join("Cargo.lock"), "version = 4\n[[package]]\nname = \"large\"\nversion = \"0.1.0\"\n");
    put(&dir.join("src/lib.rs"), "");
    for target in 0..TARGETS {
        let mut tests = String::new();
        for test in 0..PER_TARGET {
            let id = id(target * PER_TARGET + test);
            let _ = writeln!(
                tests,
                "mod m{test} {{\n    /// What it shows.\n    #[falsifier(\"{id}\")]\n    fn holds(claim: &mut Claim) {{\n        \
                 for case in [\"a\", \"b\"] {{\n            let (want, got) = super::load(case, {test});\n            \
                 claim.at(\"case\", case).compare(&want, &got);\n        }}\n    }}\n}}"
            );
        }
        put(&dir.join(format!("tests/t{target}.rs")), &tests);
        put(&dir.join(format!("src/m{target}.rs")), &format!("pub fn f() -> u32 {{ {target} }}\n"));
    }
    for contract in 0..CONTRACTS {
        let mut text = format!(
            "schema: 1\nmetadata:\n  id: large-{contract:03}-v1\n  version: 1.0.0\n  kind: kernel\n  title: Part {contract}\n  \
             description: One of many.\n  references: [README.md]\n  depends_on: [{}]\nproof_obligations:\n\
             - {{id: OBL-{contract:03}, type: equivalence, property: it equals the reference}}\nfalsification_tests:\n",
            if contract > 0 { format!("large-{:03}-v1", contract / 2) } else { String::new() }
        );
        for falsifier in 0..FALSIFIERS {
            let number = contract * FALSIFIERS + falsifier;
            let (id, target, test) = (id(number), number / PER_TARGET, number % PER_TARGET);
            let _ = write!(
                text,
                "- id: {id}\n  rule: part {number} equals the float64 reference\n  prediction: the largest difference stays under the bound\n  \
                 if_fails: the order of sums in m{target}.rs\n  obligations: [OBL-{contract:03}]\n  claim:\n    metric: max_abs\n    bound: {{at_most: 1.0e-6}}\n    \
                 why: eight units in the last place\n    over: {{case: [a, b]}}\n    reference: {{kind: analytic, name: float64}}\n  \
                 test: {{package: large, target: \"test:t{target}\", path: \"m{test}::holds\"}}\n  hosts: [cpu, h200]\n  subjects: [src/m{target}.rs]\n  \
                 faults: [large-{number:04}]\n"
            );
        }
        put(&dir.join(format!("contracts/large-{contract:03}-v1.yaml")), &text);
    }
    records(dir, &settings, &key);
}

/// Every record is written as the store would, but not flushed to the disk one by one.
fn records(dir: &Path, settings: &str, key: &PrivateKey) {
    let settings = Settings::parse(settings).expect("the settings");
    let loaded = Root::at(dir).load_all();
    let mut content = Content::read(Path::new("cargo"), dir, &settings).expect("the tree");
    let contracts: Vec<_> = loaded.iter().filter_map(|file| file.contract.as_ref()).collect();
    assert_eq!(contracts.len(), CONTRACTS, "every contract is read");
    let mut serial = 0_usize;
    for contract in contracts {
        for falsifier in &contract.falsification_tests {
            let held = content.of(falsifier);
            assert!(held.missing.is_empty(), "{:?}", held.missing);
            let binding = &falsifier.test.as_ref().expect("a test").bindings().expect("a binding")[0];
            for class in ["cpu", "h200"] {
                for number in 0..RECORDS {
                    serial += 1;
                    let statement = statement(
                        contract.metadata.id.as_str(),
                        falsifier.id.as_str(),
                        &binding.to_string(),
                        class,
                        number,
                        serial,
                        &held.current,
                    );
                    let bytes = statement.to_bytes().expect("bytes");
                    let record = &statement.predicate.pv_evidence;
                    let stem = file_stem(&record.started, &Digest::of(&bytes));
                    let folder =
                        dir.join("evidence").join(store::folder(&contract.metadata.id, &falsifier.id, class));
                    fs::create_dir_all(&folder).expect("a folder");
                    let (name, bytes) = if class == "h200" {
                        (format!("{stem}.dsse.json"), Envelope::sign(&bytes, key).to_bytes())
                    } else {
                        (format!("{stem}.json"), bytes)
                    };
                    fs::write(folder.join(name), bytes).expect("a record");
                }
            }
        }
    }
}

fn statement(
    contract: &str,
    falsifier: &str,
    test: &str,
    class: &str,
    number: usize,
    serial: usize,
    held: &contract::status::facts::Current,
) -> Statement {
    let fault = (number == RECORDS - 1).then(|| falsifier.to_lowercase().replace("falsify-", ""));
    let failed = fault.is_some();
    #[expect(clippy::cast_precision_loss, reason = "a made-up value")]
    let worst = if failed { 1.0 } else { 1e-7 * (1.0 + (serial % 97) as f64 / 97.0) };
    let (passed_tests, failed_tests) = if failed { (vec![], vec![test]) } else { (vec![test], vec![]) };
    let mut record = json!({
        "schema": 1, "contract": contract, "falsifier": falsifier, "fault": fault, "faultHits": if failed { 2 } else { 0 },
        "axes": {"claim": held.claim, "statement": held.statement, "test": held.test, "subjects": held.subjects,
                 "deps": held.deps, "toolchain": "1.95.0", "profile": "dev", "features": [], "models": {}},
        "host": {"class": class, "arch": "x86_64", "cpu": "A processor of this class",
                 "gpu": (class == "h200").then_some("NVIDIA H200 NVL"), "driver": (class == "h200").then_some("580.65.06")},
        "measure": {"metric": "max_abs", "comparisons": 2, "elements": 512, "worst": worst, "at": {"case": "b"},
                    "atMost": 1e-6, "headroom": 1e-6 / worst, "nan": 0, "cells": {"declared": 2, "hit": 2}},
        "source": {"commit": "2".repeat(40), "dirty": false}, "run": format!("{serial:026}"),
        "started": format!("2026-11-{:02}T{:02}:{:02}:{:02}Z", 1 + number, serial / 3600 % 24, serial / 60 % 60, serial % 60),
        "wallS": 0.021, "pv": "0.1.0"
    });
    if failed {
        record["outcome"] =
            json!({"kind": "failed", "cause": "claim", "message": "max_abs is 1 and must be at most 1e-6"});
    }
    let value = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "source", "digest": {"gitTree": "1".repeat(40)}}, {"name": "large/test:t0", "digest": {"sha256": "3".repeat(64)}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {"result": if failed { "FAILED" } else { "PASSED" },
            "configuration": [{"name": format!("contracts/{contract}.yaml"), "digest": {"sha256": "4".repeat(64)}}],
            "passedTests": passed_tests, "warnedTests": [], "failedTests": failed_tests, "pvEvidence": record}
    });
    serde_json::from_value(value).expect("a statement")
}

/// The binding as a compilation would leave it.
fn bind(dir: &Path) {
    let settings = fs::read_to_string(dir.join("pv.toml")).expect("pv.toml");
    let settings = Settings::parse(&settings).expect("the settings");
    let executable = |target: usize| {
        let path = format!("target/debug/t{target}");
        let marker = |test: usize| Marker {
            id: contract::id::FalsifierId::parse(&id(target * PER_TARGET + test)).expect("an id"),
            module: format!("t{target}::m{test}"),
            function: "holds".to_owned(),
            file: format!("tests/t{target}.rs"),
            line: 1,
            body: "body".to_owned(),
            claim: "claim".to_owned(),
        };
        Executable {
            package: "large".to_owned(),
            target: Target::Test(format!("t{target}")),
            crate_name: format!("t{target}"),
            source: dir.join(format!("tests/t{target}.rs")),
            folder: dir.to_owned(),
            path: dir.join(path),
            stamp: Stamp::default(),
            digest: "0".repeat(64),
            listing: Listing::Listed(
                (0..PER_TARGET)
                    .map(|test| Listed { path: format!("m{test}::holds"), ignored: false })
                    .collect(),
            ),
            markers: (0..PER_TARGET).map(marker).collect(),
        }
    };
    let builds = build::plans(&settings).into_iter().map(|plan| Build {
        plan,
        complete: true,
        packages: BTreeSet::from(["large".to_owned()]),
        executables: (0..TARGETS).map(executable).collect(),
    });
    let mut files = Files::default();
    files.refresh(dir).expect("the tree");
    for target in 0..TARGETS {
        let path = dir.join(format!("tests/t{target}.rs"));
        assert!(files.items(dir, &path).is_some(), "{} is read", path.display());
    }
    let inventory = Inventory { builds: builds.collect() };
    Snapshot::new(inventory, files).store(dir, Flavour::Plain).expect("the snapshot");
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("the file can be written");
}
