//! Whole passes, recorded and replayed, watched and not.

use super::collect::Collect;
use super::{alone, options};
use falsify::{Claim, falsifier};
use model::backend::Precision;
use model::cuda::Ops;
use model::sample::greedy;
use model::session::{Device, Model, Options, Out, Session};
use model::synth::{Mix, Plan, Preset};
use std::ops::ControlFlow;

fn session(model: &Model, device: Device) -> Result<Session, model::Error> {
    Session::new(model, &Options { device, cuda: options(), ..Options::cpu(Precision::Exact) })
}

/// Every made value of a prompt and decoded tokens, kept inside the kernels; and logits that nobody watches.
fn stages(model: &Model, precision: Precision, ops: Ops) -> Result<Collect, model::Error> {
    let cuda = model::cuda::Options { ops, ..options() };
    let options = Options { device: Device::Cuda, cuda, ..Options::cpu(precision) };
    let mut session = Session::new(model, &options)?;
    let mut seen = Collect { looks_only: true, ..Collect::default() };
    session.observe(&PROMPT, Out::Last, &mut seen)?;
    for token in [11, 12, 13] {
        session.observe(&[token], Out::Last, &mut seen)?;
    }
    for token in [21, 22, 23] {
        session.run(&[token], Out::Last)?;
        seen.values.entry("unwatched".to_owned()).or_default().extend(session.logits()?);
    }
    Ok(seen)
}

#[falsifier("FALSIFY-CUDA-KERNELS-FUSED-001")]
fn fused_stages_equal_composed_ones(claim: &mut Claim) {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    for (name, mix) in [("tiny", "q4_k_m"), ("tiny", "q8_0"), ("tiny-qwen3", "q4_k_m")] {
        let path = dir.path().join(format!("{name}.{mix}.gguf"));
        let shape = &Preset::from_name(name).unwrap().shape;
        let plan = Plan::new(name, shape, Mix::from_name(mix).unwrap(), 3).unwrap();
        let mut file = Vec::new();
        plan.write(&mut file, |_| ControlFlow::Continue(())).unwrap();
        std::fs::write(&path, file).unwrap();
        let model = Model::open(&path).unwrap();
        for precision in Precision::ALL {
            let here = |claim: &mut Claim, what: &str, holds: bool| {
                claim.at("model", name).at("precision", precision.name()).on(mix).check(what, holds);
            };
            match (stages(&model, precision, Ops::Composed), stages(&model, precision, Ops::Fused)) {
                (Ok(composed), Ok(fused)) => {
                    here(claim, "both see the same sites", composed.values.keys().eq(fused.values.keys()));
                    for (key, want) in &composed.values {
                        let Some(got) = fused.values.get(key) else { continue };
                        let at = claim.at("model", name).at("precision", precision.name());
                        at.on(format!("{mix} {key}")).compare(want, got);
                    }
                }
                (Err(e), _) | (_, Err(e)) => here(claim, &format!("the passes run: {e}"), false),
            }
        }
    }
}

/// A prompt, then tokens one by one: what the parts of each pass are.
const PROMPT: [u32; 3] = [5, 6, 7];
const STEPS: usize = 4;

fn watched(model: &Model, device: Device, looks_only: bool) -> Result<Collect, model::Error> {
    let mut session = session(model, device)?;
    let mut seen = Collect { looks_only, ..Collect::default() };
    session.observe(&PROMPT, Out::Last, &mut seen)?;
    for _ in 0..STEPS {
        let token = greedy(&session.logits()?).expect("a token");
        session.observe(&[token], Out::Last, &mut seen)?;
    }
    Ok(seen)
}

/// Logits of passes of these lengths: some are replayed, in between planes are made anew.
fn unwatched(model: &Model, device: Device, lengths: &[usize]) -> Result<Vec<Vec<f32>>, model::Error> {
    let mut session = session(model, device)?;
    let mut token = 0;
    let mut logits = Vec::new();
    for &n in lengths {
        let tokens: Vec<u32> = (0..n as u32).map(|i| (token + i * 37) % 500).collect();
        token += 101;
        session.run(&tokens, Out::Last)?;
        logits.push(session.logits()?);
    }
    Ok(logits)
}

#[falsifier("FALSIFY-CUDA-KERNELS-STEPS-001")]
fn decoded_steps_equal_those_of_the_cpu_watched_or_not(claim: &mut Claim) {
    let _alone = alone();
    let model = Model::open(&falsify::data("tiny.q4_k_m.gguf").unwrap()).unwrap();
    let want = watched(&model, Device::Cpu, false).unwrap();
    for (watch, looks_only) in [("inside", true), ("host", false)] {
        match watched(&model, Device::Cuda, looks_only) {
            Ok(got) => {
                let missing: Vec<_> = want.values.keys().filter(|k| !got.values.contains_key(*k)).collect();
                claim
                    .at("watch", watch)
                    .check(&format!("every value is seen: {missing:?}"), missing.is_empty());
                for (key, want) in &want.values {
                    if let Some(got) = got.values.get(key) {
                        claim.at("watch", watch).on(key.as_str()).compare(want, got);
                    }
                }
            }
            Err(e) => claim.at("watch", watch).check(&format!("the passes run: {e}"), false),
        }
    }
    // Three times the same step: run, recorded, replayed; then a longer one, which moves the planes; then back.
    let lengths = [1, 1, 1, 1, 5, 1, 1, 1];
    let want = unwatched(&model, Device::Cpu, &lengths).unwrap();
    match unwatched(&model, Device::Cuda, &lengths) {
        Ok(got) => {
            for (i, (want, got)) in want.iter().zip(&got).enumerate() {
                claim.at("watch", "nobody").on(format!("pass {i}")).compare(want, got);
            }
        }
        Err(e) => claim.at("watch", "nobody").check(&format!("the passes run: {e}"), false),
    }
}
