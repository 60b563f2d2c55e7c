//! Synthetic files: whole, readable, the same for a seed, and nothing left behind when they fail.

use crate::apr::{apr, text};
use falsify::{Claim, falsifier};
use model::backend::Precision;
use model::footprint::Footprint;
use model::gguf::{self, Metadata};
use model::quant::Format;
use model::session::{Device, Model, Options, Out, Session};
use model::synth::{Error, Mix, PRESETS, Plan, Preset, Shape};
use std::ops::ControlFlow;

fn write(shape: &Shape, mix: &str, seed: u64, threads: usize) -> Vec<u8> {
    let plan = Plan::new("test", shape, Mix::from_name(mix).unwrap(), seed).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut out = Vec::new();
    pool.install(|| plan.write(&mut out, |_| ControlFlow::Continue(()))).unwrap();
    assert_eq!(out.len(), plan.bytes());
    out
}

fn tiny() -> Shape {
    Preset::from_name("tiny").unwrap().shape.clone()
}

#[falsifier("FALSIFY-SYNTH-SEED-001")]
fn a_seed_means_the_same_bytes_on_any_number_of_threads(claim: &mut Claim) {
    let one = write(&tiny(), "q4_k_m", 5, 1);
    for threads in [2, 7] {
        claim.at("threads", threads as i64).compare(&one, &write(&tiny(), "q4_k_m", 5, threads));
    }
    assert_ne!(write(&tiny(), "q4_k_m", 6, 1), one);
}

#[test]
fn every_preset_lays_out_and_every_small_one_is_read_back() {
    for preset in PRESETS {
        let mix = Mix::from_name("q4_k_m").unwrap();
        let plan = Plan::new(preset.name, &preset.shape, mix, 0).unwrap();
        if !preset.name.starts_with("tiny") {
            assert!(plan.bytes() > 1_000_000_000, "{}", preset.name);
            continue;
        }
        let bytes = write(&preset.shape, "q4_k_m", 0, 2);
        let file = gguf::File::parse(&bytes).unwrap();
        assert_eq!(file.tensors.len(), plan.weights().0);
        let tokens: &[String] = file.metadata.required("tokenizer.ggml.tokens").unwrap();
        assert_eq!(tokens.len(), preset.shape.vocab);
        for tensor in &file.tensors {
            let mut weights = vec![0.0; tensor.weights()];
            tensor.format.dequantize(&bytes[tensor.bytes.clone()], &mut weights).unwrap();
            assert!(weights.iter().all(|w| w.is_finite()), "{}", tensor.name);
        }
    }
}

/// Gigabytes, tensors, and per token GB of weights and KiB of keys and values: of the published Q4_K_M files, and computed
/// by hand from the published dimensions.
const LARGE: [(&str, f64, usize, f64, u64); 3] = [
    ("qwen3-30b-a3b", 18.56, 579, 1.919, 96),
    ("qwen3-235b-a22b", 142.1, 1131, 13.08, 188),
    ("qwen3-coder-480b-a35b", 290.0, 747, 20.90, 248),
];

fn large(name: &str) -> (Plan, &'static Shape) {
    let shape = &Preset::from_name(name).unwrap().shape;
    (Plan::new(name, shape, Mix::from_name("q4_k_m").unwrap(), 0).unwrap(), shape)
}

#[falsifier("FALSIFY-SYNTH-SIZE-001")]
fn the_large_presets_have_the_sizes_of_the_real_models(claim: &mut Claim) {
    for (name, gigabytes, tensors, ..) in LARGE {
        let (plan, _) = large(name);
        let size = plan.bytes() as f64 / 1e9 / gigabytes;
        claim.at("preset", name).compare(&1.0, &size);
        claim.at("preset", name).check("as many tensors", plan.weights().0 == tensors);
    }
}

#[falsifier("FALSIFY-SYNTH-COST-001")]
fn a_token_costs_what_was_computed_by_hand(claim: &mut Claim) {
    for (name, _, _, active, cached) in LARGE {
        let (plan, shape) = large(name);
        let cost = Footprint::new(&shape.config().unwrap(), plan.tensors());
        claim.at("preset", name).compare(&1.0, &(cost.active as f64 / 1e9 / active));
        claim.at("preset", name).check("keys and values", cost.cached == cached * 1024);
    }
}

#[falsifier("FALSIFY-SYNTH-RANGE-001")]
fn every_small_preset_runs(claim: &mut Claim) {
    let dir = tempfile::tempdir().unwrap();
    for preset in PRESETS.iter().filter(|p| p.name.starts_with("tiny")) {
        let path = dir.path().join(preset.name);
        std::fs::write(&path, write(&preset.shape, "q4_k_m", 0, 2)).unwrap();
        let model = Model::open(&path).unwrap();
        assert_eq!(model.config().architecture, preset.shape.architecture);
        let options = Options {
            device: Device::Cpu,
            precision: Precision::Exact,
            threads: None,
            layers: None,
            cuda: Default::default(),
        };
        let mut session = Session::new(&model, &options).unwrap();
        session.run(&[1, 2, 3], Out::Last).unwrap();
        let logits = session.logits().unwrap();
        let squares: f64 = logits.iter().map(|&l| f64::from(l) * f64::from(l)).sum();
        claim.at("preset", preset.name).compare(&4.0, &(squares / logits.len() as f64).sqrt());
    }
}

/// A file large enough that the signal comes while it is written.
#[cfg(unix)]
#[falsifier("FALSIFY-SYNTH-WHOLE-001")]
fn an_interrupt_leaves_nothing_behind(claim: &mut Claim) {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    let path = dir.path().join("out.gguf");
    let mut child = Command::new(env!("CARGO_BIN_EXE_apr"))
        .args(["synth", "--preset", "qwen3-30b-a3b", "--layers", "8", "--quant", "f32", "-o"])
        .arg(&path)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while files() == 0 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let signalled = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    let out = child.wait_with_output().unwrap();
    claim.check("the signal came while it ran", signalled.success());
    claim.check("it ends with exit code 3", out.status.code() == Some(3));
    claim.check("it says so", text(&out.stderr).contains("interrupted after"));
    claim.check("the folder is as it was", files() == 0);
}

#[test]
fn the_mix_favours_values_and_down_projections_in_half_of_the_layers() {
    let shape = Shape { layers: 16, ..tiny() };
    let bytes = write(&shape, "q4_k_m", 0, 2);
    let file = gguf::File::parse(&bytes).unwrap();
    let format = |name: &str| file.tensor(name).unwrap().format;
    assert_eq!(format("blk.0.ffn_down_exps.weight"), Format::Q6K);
    assert_eq!(format("blk.2.ffn_down_exps.weight"), Format::Q4K);
    assert_eq!(format("blk.4.attn_v.weight"), Format::Q6K);
    assert_eq!(format("blk.0.attn_q.weight"), Format::Q4K);
    assert_eq!(format("blk.0.ffn_gate_inp.weight"), Format::F32);
    assert_eq!(format("output.weight"), Format::Q6K);
    assert_eq!(format("token_embd.weight"), Format::Q4K);
}

#[test]
fn every_format_fills_a_whole_file() {
    for name in Mix::names() {
        let bytes = write(&tiny(), &name, 3, 2);
        let file = gguf::File::parse(&bytes).unwrap();
        let meta: &Metadata = &file.metadata;
        assert_eq!(meta.required("general.architecture"), Ok("qwen3moe"), "{name}");
    }
}

#[test]
fn the_work_can_be_stopped() {
    let plan = Plan::new("test", &tiny(), Mix::from_name("f32").unwrap(), 0).unwrap();
    let mut calls = 0;
    let outcome = plan.write(&mut std::io::sink(), |_| {
        calls += 1;
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(
        matches!(outcome, Err(Error::Interrupted { total, written }) if written < total && total == plan.bytes())
    );
}

#[test]
fn shapes_that_are_no_model_are_refused() {
    let cases = [
        (Shape { layers: 0, ..tiny() }, "layers is 0"),
        (Shape { kv_heads: 3, ..tiny() }, "4 heads are no multiple of 3 kv-heads"),
        (Shape { used: 9, ..tiny() }, "9 of 8 experts"),
        (Shape { head_dim: 63, ..tiny() }, "head-dim 63 is odd"),
        (Shape { vocab: 100, ..tiny() }, "a vocabulary of 100"),
        (Shape { ff: usize::MAX, ..tiny() }, "does not fit 32 bits"),
    ];
    for (shape, says) in cases {
        let error = Plan::new("test", &shape, Mix::from_name("q8_0").unwrap(), 0).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn the_command_writes_a_file_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.gguf");
    let file = path.to_str().unwrap();
    let synth = |more: &[&str]| apr(&[&["synth", "-o", file, "--layers", "1"], more].concat());
    let out = synth(&["--seed", "9", "--threads", "3"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let first = std::fs::read(&path).unwrap();
    assert_eq!(first, {
        let shape = Shape { layers: 1, ..tiny() };
        let plan = Plan::new("synthetic-tiny", &shape, Mix::from_name("q4_k_m").unwrap(), 9).unwrap();
        let mut bytes = Vec::new();
        plan.write(&mut bytes, |_| ControlFlow::Continue(())).unwrap();
        bytes
    });
    let again = synth(&["--seed", "10"]);
    assert_eq!(again.status.code(), Some(3));
    assert!(text(&again.stderr).contains("exists, --force replaces it"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read(&path).unwrap(), first);
    assert_eq!(synth(&["--seed", "10", "--force"]).status.code(), Some(0));
    assert_ne!(std::fs::read(&path).unwrap(), first);
    for wrong in [["--preset", "huge"], ["--quant", "q9"], ["--heads", "0"]] {
        let out = synth(&[&wrong[..], &["--force"]].concat());
        assert_eq!(out.status.code(), Some(3), "{wrong:?}");
        assert_eq!(text(&out.stderr).lines().count(), 1, "{wrong:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
}
