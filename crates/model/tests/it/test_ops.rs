//! `apr test-ops`: every operation holds on this machine, and a wrong kernel does not.

use crate::apr::{apr, text};
use falsify::{Claim, falsifier};
use model::battery::Kind;
use model::quant::FORMATS;

#[falsifier("FALSIFY-TEST-OPS-001")]
fn every_operation_holds_on_every_format(claim: &mut Claim) {
    for kind in Kind::ALL.iter().map(|k| k.name()) {
        let args = ["test-ops", "--op", kind, "--on", "cpu:exact,cpu:fast", "--threads", "2", "--json"];
        let out = apr(&args);
        let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        let rows = report["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
        let failing: Vec<_> = rows.iter().filter(|r| r["holds"] != true).take(2).collect();
        let note = format!("{} rows, {failing:?}{}", rows.len(), text(&out.stderr));
        claim.at("operation", kind).on(note).check("exit code 0", out.status.code() == Some(0));
        for on in ["cpu:exact", "cpu:fast"] {
            let here: Vec<_> = rows.iter().filter(|r| r["on"] == on).collect();
            let weights = matches!(kind, "product" | "dequantize");
            let formats = FORMATS.iter().all(|f| here.iter().any(|r| r["format"] == f.name));
            let at = claim.at("operation", kind).on(on);
            at.check("there are results of every format", here.len() > 1 && (formats || !weights));
            let counted = here.iter().all(|r| r["elements"].as_u64().is_some_and(|n| n > 0));
            claim.at("operation", kind).on(on).check("every row compared something", counted);
        }
    }
}

#[test]
fn times_and_selections_are_shown() {
    let out = apr(&["test-ops", "--op", "product,norm", "--format", "q4_k", "--on", "cpu:fast", "--perf"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let shown = text(&out.stdout);
    assert!(shown.contains("| product | Q4_K | cpu:fast |") && shown.contains("GFLOP/s"), "{shown}");
    // A selection of formats leaves out what has none.
    assert!(!shown.contains("| norm |"), "{shown}");
    for (args, says) in [
        (["--op", "prodcut"], "unknown operation 'prodcut', did you mean 'product'?"),
        (["--format", "Q9"], "unknown format 'Q9', expected one of F32"),
        (["--on", "cpu"], "'cpu' names no backend and precision"),
        (["--on", "tpu:fast"], "unknown backend 'tpu'"),
    ] {
        let out = apr(&[&["test-ops"], &args[..]].concat());
        assert_eq!(out.status.code(), Some(3), "{args:?}");
        assert!(text(&out.stderr).contains(says), "{args:?}: {}", text(&out.stderr));
    }
    // Nothing is left of operations without weights when a format is asked for.
    assert_eq!(
        apr(&["test-ops", "--op", "norm", "--format", "Q4_K", "--on", "cpu:fast"]).status.code(),
        Some(2)
    );
}
