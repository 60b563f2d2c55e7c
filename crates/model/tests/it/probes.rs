//! Probes on a run: stopping at what is not finite, another run's experts, injected tensors; recordings as sides of a
//! bisection; and what is refused.

use crate::apr::{apr, text};
use crate::bisect::{Case, PROMPT, options, tiny};
use crate::collect::Collect;
use crate::data;
use crate::perturbed::{Fault, Perturbed, TABLE, When, Wrong};
use falsify::{Claim, falsifier};
use model::Error;
use model::backend::Precision;
use model::bisect::{Guard, Recorded, Reference, Script, Which, bisect_recorded};
use model::session::{Out, Session};
use model::stage::Stage;
use model::trace::Trace;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::rc::Rc;

fn perturbed(wrong: Wrong, layer: usize, precision: Precision) -> Session {
    let fault = Fault { wrong, layer, when: When::Prompt };
    let model = tiny();
    Session::on(Perturbed::new(precision, 0, fault, Rc::default()), &model, 0..2).unwrap()
}

#[falsifier("FALSIFY-BISECT-GUARD-001")]
fn the_first_value_that_is_not_finite_stops_the_run(claim: &mut Claim) {
    let cases = [
        ("nan", Wrong::ProductIsNan(Stage::AttnOut), "attn_out", 3),
        ("infinity", Wrong::ProductIsInfinite(Stage::MoeExpertUp), "moe_expert_up", 6 * 2 * 256 - 1),
        ("router", Wrong::ProductIsNan(Stage::MoeRouterLogits), "moe_router_logits", 1),
    ];
    for (case, wrong, stage, index) in cases {
        for layer in [0, 1] {
            let mut session = perturbed(wrong, layer, Precision::Exact);
            session.attach(Box::new(Guard::new(&tiny(), 2)));
            let found = match session.run(&PROMPT, Out::Last) {
                Err(Error::NotFinite(found)) => format!("{} {}", found.site, found.element.index),
                other => format!("{other:?}"),
            };
            let want = format!("layers.{layer}.{stage} {index}");
            claim.at("case", case).check(&format!("{want}, found {found}"), found == want);
        }
    }
    // Operands: the expert's row of weights and the row of its input.
    let mut session = perturbed(Wrong::Format("ffn_down_exps"), 0, Precision::Fast);
    session.attach(Box::new(Guard::new(&tiny(), 2)));
    let Err(Error::NotFinite(found)) = session.run(&PROMPT, Out::Last) else { panic!("it is finite") };
    let element = &found.element;
    let weights = element.weights.as_ref().unwrap();
    let told = element.expert.is_some()
        && (weights.tensor.as_str(), weights.format.as_str()) == ("blk.0.ffn_down_exps.weight", "Q4_K")
        && weights.range.not_finite == 0
        && element.inputs.iter().all(|i| i.not_finite == 0 && i.of == "layers.0.moe_expert_swigl");
    claim.at("case", "operands").check(&found.to_string(), told);
    // A healthy run is not stopped, and does not change.
    let mut plain = Session::new(&tiny(), &options(Precision::Fast)).unwrap();
    plain.run(&PROMPT, Out::Last).unwrap();
    let mut guarded = Session::new(&tiny(), &options(Precision::Fast)).unwrap();
    guarded.attach(Box::new(Guard::new(&tiny(), 2)));
    guarded.run(&PROMPT, Out::Last).unwrap();
    claim
        .at("case", "healthy")
        .check("the same logits", plain.logits().unwrap() == guarded.logits().unwrap());
}

fn show(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn file(name: &str) -> String {
    show(&data::path(name))
}

/// Records all stages and positions of some tokens.
fn record(target: &Path, file: &str, tokens: &str, more: &[&str]) {
    let dir = show(target);
    let mut args = vec!["trace", file, "--tokens", tokens, "--save-tensor", "all", "--save-tensor-dir", &dir];
    args.extend(["--positions", "all", "--threads", "1"]);
    args.extend(more);
    let out = apr(&args);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
}

#[falsifier("FALSIFY-BISECT-ROUTE-001")]
fn experts_of_a_recording_are_used(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let model = file("tiny.q4_k_m.gguf");
    record(&at("other"), &model, "300,2,77,41,5", &["--precision", "exact"]);
    let from = show(&at("other"));
    record(&at("forced"), &model, "9,8,7,6,5", &["--precision", "fast", "--route-from", &from]);
    record(&at("free"), &model, "9,8,7,6,5", &["--precision", "fast"]);
    let [other, forced, free] = ["other", "forced", "free"].map(|n| Trace::open(&at(n)).unwrap());
    for layer in [0, 1] {
        let (want, got) = (other.experts(layer).unwrap(), forced.experts(layer).unwrap());
        assert_ne!(want, free.experts(layer).unwrap(), "the case would show nothing");
        claim.at("layer", layer as i64).compare(&want, &got);
    }
    let told = forced.manifest().interventions == [format!("route-from {from}")];
    claim.check("the manifest says so", told && free.manifest().interventions.is_empty());
}

#[falsifier("FALSIFY-BISECT-INJECT-001")]
fn an_injected_value_is_what_the_rest_computes_from(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let model = file("tiny.q4_k_m.gguf");
    record(&at("donor"), &model, "300,2,77,41,5", &["--precision", "exact", "--format", "npy"]);
    let donor = Trace::open(&at("donor")).unwrap();
    // With the same residual after layer 0 everything later is the same, but for keys and values before it.
    for (layer, stage) in [(0, "post_ffn_residual"), (1, "post_ffn_residual")] {
        let target = at(&format!("injected-{layer}"));
        let inject =
            format!("{stage}@{layer}={}", show(&at("donor").join(format!("layers.{layer}.{stage}.npy"))));
        record(&target, &model, "9,8,7,6,5", &["--precision", "exact", "--inject", &inject]);
        let injected = Trace::open(&target).unwrap();
        let (want, got) = (donor.values("lm_head").unwrap(), injected.values("lm_head").unwrap());
        claim.at("layer", layer as i64).compare(&want, &got);
    }
}

#[falsifier("FALSIFY-BISECT-TRACES-001")]
fn a_fault_is_named_from_recordings_alone(claim: &mut Claim) {
    let case = Case::new(tiny(), 0);
    let (mut all, mut missed) = (0, Vec::new());
    for (i, &(wrong, stage, class)) in TABLE.iter().enumerate() {
        for precision in Precision::ALL {
            let layer = i % 2;
            let right = Script::record(&mut perturbed(wrong, layer, precision), &PROMPT, 0, 2).unwrap();
            let report = bisect_recorded(&Recorded {
                model: &case.model,
                left: Reference { name: "left", precision: Precision::Exact, script: &case.script },
                right: Reference { name: "right", precision, script: &right },
                threads: NonZeroUsize::new(1),
                capsule: false,
                alive: &|| true,
            });
            let report = report.unwrap();
            let key = match stage.row().scope.in_layers() {
                true => format!("layers.{layer}.{stage}"),
                false => stage.to_string(),
            };
            all += 1;
            match &report.finding {
                Some(f) if (f.class, f.side, &f.key) == (class, Which::Right, &key) => {}
                _ => missed
                    .push(format!("{wrong:?} {precision:?}: expected {class} at {key}: {}", report.sentence)),
            }
        }
    }
    let ratio = (all - missed.len()) as f64 / all as f64;
    claim.on(missed.join("\n")).measure("ratio", ratio, "");
}

#[falsifier("FALSIFY-BISECT-REFUSE-001")]
fn what_cannot_be_bisected_or_changed_is_refused(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (q4, q8) = (file("tiny.q4_k_m.gguf"), file("tiny.q8_0.gguf"));
    let exact = ["--precision", "exact"];
    record(&at("good"), &q4, "1,2,3", &exact);
    record(&at("model"), &q8, "1,2,3", &exact);
    record(&at("tokens"), &q4, "1,2,4", &exact);
    record(&at("layers"), &q4, "1,2,3", &["--layers", "1"]);
    record(&at("part"), &q4, "1,2,3", &["--save-tensor-layers", "0..1"]);
    record(&at("stats"), &q4, "1,2,3", &["--stats-only"]);
    for name in ["corrupt", "unfinished", "cut", "changed"] {
        record(&at(name), &q4, "1,2,3", &exact);
    }
    fs::write(at("corrupt").join("manifest.json"), "{\"schema\": 1, \"to").unwrap();
    fs::remove_file(at("unfinished").join("manifest.json")).unwrap();
    let tensors = at("cut").join("trace.safetensors");
    let bytes = fs::read(&tensors).unwrap();
    fs::write(&tensors, &bytes[..bytes.len() / 2]).unwrap();
    let manifest = at("changed").join("manifest.json");
    let changed = fs::read_to_string(&manifest)
        .unwrap()
        .replace("\"tensors\": [", "\"interventions\": [\"inject x\"], \"tensors\": [");
    fs::write(&manifest, changed).unwrap();
    fs::write(at("short.npy"), npy(100)).unwrap();

    let against = |name: &str| {
        vec![
            "bisect".to_owned(),
            q4.clone(),
            "--trace".into(),
            show(&at("good")),
            "--trace".into(),
            show(&at(name)),
        ]
    };
    let live = |more: &[&str]| {
        let base: [&str; 4] = ["bisect", &q4, "--tokens", "1,2,3"];
        base.iter().chain(more).map(|s| (*s).to_owned()).collect::<Vec<_>>()
    };
    let run = |more: &[&str]| {
        let base: [&str; 4] = ["run", &q4, "--tokens", "1,2,3"];
        base.iter().chain(more).map(|s| (*s).to_owned()).collect::<Vec<_>>()
    };
    let short = format!("attn_out@0={}", show(&at("short.npy")));
    let (good, stats) = (show(&at("good")), show(&at("stats")));
    let cases: Vec<(&str, Vec<String>, &str)> = vec![
        ("model", against("model"), "is of tiny.q8_0.gguf"),
        ("tokens", against("tokens"), "tokens differ"),
        ("layers", against("layers"), "layers"),
        ("part", against("part"), "holds layers 0..1"),
        ("statistics", against("stats"), "only the statistics"),
        ("missing", against("nowhere"), "nowhere"),
        ("corrupt", against("corrupt"), "manifest.json"),
        ("unfinished", against("unfinished"), "still being written"),
        ("cut", against("cut"), "trace.safetensors"),
        ("changed", against("changed"), "its pass was changed"),
        ("backend", live(&["--right", "tpu:fast"]), "unknown backend 'tpu'"),
        ("precision", live(&["--right", "cpu:half"]), "unknown precision 'half'"),
        ("side", live(&["--left", "cpu"]), "cpu:exact"),
        ("range", live(&["--layers", "1..9"]), "expected 1 to 2"),
        ("empty", live(&["--layers", "1..1"]), "no range of layers"),
        ("size", live(&["--max-bytes", "1000"]), "--max-bytes"),
        ("inject-length", run(&["--inject", &short]), "expected a multiple of 256"),
        ("inject-stage", run(&["--inject", "attn@0=x.npy"]), "the name of a stage"),
        ("inject-layer", run(&["--inject", "attn_out@7=x.npy"]), "a layer below 2"),
        ("inject-file", run(&["--inject", "attn_out@0=nowhere.npy"]), "nowhere.npy"),
        ("route-short", run(&["--route-from", &good, "-n", "4"]), "at least"),
        ("route-statistics", run(&["--route-from", &stats]), "only the statistics"),
    ];
    for (case, args, named) in &cases {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let out = apr(&args);
        let errors = text(&out.stderr);
        let line = errors.trim_end().lines().last().unwrap_or("");
        let refused = out.status.code() == Some(3) && line.contains(named) && line.starts_with("apr: ");
        claim.at("case", *case).check(&format!("a line with '{named}' and exit code 3: {errors}"), refused);
    }
    let out = apr(&against("good").iter().map(String::as_str).collect::<Vec<_>>());
    claim.at("case", "good").check(text(&out.stdout), out.status.code() == Some(0));
}

/// A NumPy file of so many ones.
fn npy(n: usize) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n},), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16 + 1).to_le_bytes());
    bytes.extend(text.bytes().chain([b'\n']));
    bytes.extend((0..n).flat_map(|_| 1f32.to_le_bytes()));
    bytes
}

#[falsifier("FALSIFY-DIFF-DIGEST-001")]
fn digests_tell_machines_apart_in_kilobytes(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { dir.path().join(name) };
    let model = file("tiny.q4_k_m.gguf");
    record(&at("left"), &model, "1,2,3", &["--precision", "exact", "--stats-only"]);
    record(&at("same"), &model, "1,2,3", &["--precision", "exact", "--stats-only"]);
    record(&at("whole"), &model, "1,2,3", &["--precision", "exact"]);
    record(&at("other"), &model, "1,2,3", &["--precision", "fast", "--stats-only"]);
    // 8-bit activations first show where the first product reads them.
    for (case, exit, first) in
        [("same", 0, "null"), ("whole", 0, "null"), ("other", 1, "\"layers.0.qkv_matmul\"")]
    {
        let out = apr(&["diff", &show(&at("left")), &show(&at(case)), "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let found = (out.status.code(), report["first"].to_string());
        claim.at("case", case).check(&format!("{found:?}"), found == (Some(exit), first.to_owned()));
    }
}

#[test]
fn an_observer_sees_what_an_intervention_left() {
    let model = tiny();
    let mut session = Session::new(&model, &options(Precision::Exact)).unwrap();
    let mut interventions = model::intervene::Interventions::new(model.config());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ones.npy");
    fs::write(&path, npy(256)).unwrap();
    interventions.inject(&format!("attn_out@1={}", show(&path)), model.config(), 2).unwrap();
    session.attach(Box::new(interventions));
    let mut seen = Collect { only: vec![Stage::AttnOut], ..Collect::default() };
    session.observe(&PROMPT, Out::Last, &mut seen).unwrap();
    let values = &seen.values["layers.1.attn_out"];
    assert!(values[..256].iter().all(|v| *v == 1.0) && values[256..].iter().any(|v| *v != 1.0));
    assert!(seen.values["layers.0.attn_out"].iter().any(|v| *v != 1.0));
}
