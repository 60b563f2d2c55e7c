use super::*;

/// The record of the specification's example, as its page prints it but for the digests written out.
fn example() -> serde_json::Value {
    serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "source", "digest": {"gitTree": "9b1c0b9dbb4f3ff1d1c4a2b7a1c5d2e3f4a5b6c7"}},
            {"name": "tests/test:it", "digest": {"sha256": "00"}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "PASSED",
            "configuration": [{"name": "contracts/moe-router-v1.yaml", "digest": {"sha256": "01"}}],
            "passedTests": ["tests/test:it/router::weights"], "warnedTests": [], "failedTests": [],
            "pvEvidence": {
                "schema": 1, "contract": "moe-router-v1", "falsifier": "FALSIFY-MOE-ROUTER-001",
                "fault": null, "faultHits": 0,
                "axes": {"claim": "sha256:02", "statement": "sha256:03", "test": "sha256:04",
                    "subjects": "sha256:05", "deps": "sha256:06", "toolchain": "1.95.0", "profile": "test",
                    "features": [], "models": {}},
                "host": {"class": "cpu", "arch": "x86_64", "cpu": "any", "gpu": null, "driver": null},
                "measure": {"metric": "max_abs", "comparisons": 3, "elements": 24, "worst": 2.1e-7,
                    "at": {"case": "ties"}, "atMost": 1e-6, "headroom": 4.76, "nan": 0,
                    "cells": {"declared": 3, "hit": 3}},
                "source": {"commit": "c6c31a0a5f1c5b2a3f4e5d6c7b8a99887766554f", "dirty": false},
                "run": "01JD4M3S2H3Q6R7T8V9W0X1Y2Z", "started": "2026-11-20T10:15:02Z", "wallS": 0.021,
                "pv": "0.1.0"}}})
}

fn read(value: &serde_json::Value) -> Result<Statement, RecordError> {
    Statement::from_bytes(&serde_json::to_vec(value).unwrap())
}

fn refusal(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut value = example();
    change(&mut value);
    read(&value).unwrap_err().to_string()
}

#[test]
fn the_documented_record_is_read_and_written_unchanged() {
    let statement = read(&example()).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&statement.to_bytes().unwrap()).unwrap();
    assert_eq!(written, example());
    let bytes = statement.to_bytes().unwrap();
    assert_eq!(Statement::from_bytes(&bytes).unwrap().to_bytes().unwrap(), bytes);
    let digest = Digest::of(&bytes);
    let stem = file_stem(&statement.predicate.pv_evidence.started, &digest);
    assert_eq!(stem, format!("20261120T101502Z-{}", &digest.to_string()["sha256:".len()..][..8]));
}

#[test]
fn a_record_that_contradicts_itself_is_refused() {
    let seen = refusal(|v| v["predicate"]["result"] = "FAILED".into());
    assert!(seen.contains("the result is Failed and the outcome is Passed"), "{seen}");
    let seen = refusal(|v| v["predicate"]["pvEvidence"]["measure"]["worst"] = 2e-6.into());
    assert!(seen.contains("outside its own bound"), "{seen}");
    let seen = refusal(|v| v["predicate"]["pvEvidence"]["measure"]["worst"] = "NaN".into());
    assert!(seen.contains("outside its own bound"), "{seen}");
    let seen = refusal(|v| v["predicate"]["pvEvidence"]["measure"]["cells"]["hit"] = 4.into());
    assert!(seen.contains("4 cells were hit of 3"), "{seen}");
    let seen = refusal(|v| v["predicate"]["pvEvidence"]["faultHits"] = 1.into());
    assert!(seen.contains("1 hits of no fault"), "{seen}");
    let seen = refusal(|v| v["predicate"]["failedTests"] = serde_json::json!(["tests/lib/x"]));
    assert!(seen.contains("listed as Failed"), "{seen}");
    let seen = refusal(|v| v["predicate"]["passedTests"] = serde_json::json!([]));
    assert!(seen.contains("no test is listed"), "{seen}");
    let seen = refusal(|v| v["predicate"]["pvEvidence"]["wallS"] = (-1).into());
    assert!(seen.contains("-1 seconds"), "{seen}");
}

#[test]
fn foreign_and_later_forms_are_named() {
    let seen = refusal(|v| v["_type"] = "https://in-toto.io/Statement/v0.1".into());
    assert!(seen.contains("_type is `https://in-toto.io/Statement/v0.1`"), "{seen}");
    let seen = refusal(|v| v["predicateType"] = "https://slsa.dev/provenance/v1".into());
    assert!(seen.contains("predicateType is"), "{seen}");
    let seen = refusal(|v| v["predicate"]["pvEvidence"]["schema"] = 2.into());
    assert_eq!(seen, "the record has schema 2; this program reads up to 1");
    let seen = refusal(|v| v["predicate"]["pvEvidence"]["verified"] = true.into());
    assert!(seen.contains("unknown field `verified`"), "{seen}");
}

#[test]
fn values_outside_json_survive_as_words() {
    for (value, text) in
        [(f64::NAN, "\"NaN\""), (f64::INFINITY, "\"Infinity\""), (f64::NEG_INFINITY, "\"-Infinity\"")]
    {
        assert_eq!(serde_json::to_string(&Number(value)).unwrap(), text);
        assert_eq!(serde_json::from_str::<Number>(text).unwrap(), Number(value));
    }
    assert_eq!(serde_json::from_str::<Number>("3").unwrap(), Number(3.0));
    assert!(serde_json::from_str::<Number>("\"nan\"").is_err());
    assert!(serde_json::from_str::<Number>("null").is_err());
    let shown = [0.0, 0.5, 2.1e-7, 1e9, f64::NAN].map(|v| Number(v).to_string());
    assert_eq!(shown, ["0", "0.5", "2.1e-7", "1e9", "NaN"]);
}
