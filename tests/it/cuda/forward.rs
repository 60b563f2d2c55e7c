//! Whole passes of the device against the CPU's and against the reference: every layer and stage, verdict by verdict.
//!
//! On a device the models are those that `PV_MODEL` names, or else made for the purpose; on the simulator a tiny one.

use super::collect::Collect;
use super::{alone, options};
use falsify::{Claim, falsifier, require};
use model::backend::{Precision, Routes};
use model::compare::{Comparison, Verdict};
use model::observer::{Observer, RouteValue, Value};
use model::sample::greedy;
use model::session::{Device, Model, Options, Out, Session};
use model::stage::{Class, Site, Stage};
use model::synth::{Mix, Plan, Preset, Shape};
use model::tap::Stop;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Names a GGUF file to be used instead of one that is made.
const MODEL: &str = "PV_MODEL";

fn session(
    model: &Model,
    device: Device,
    precision: Precision,
    eager: bool,
) -> Result<Session, model::Error> {
    let cuda = model::cuda::Options { eager, ..options() };
    Session::new(model, &Options { device, cuda, ..Options::cpu(precision) })
}

/// A model file, and the folder that holds it while it was made for this test.
struct Made {
    model: Model,
    _dir: Option<tempfile::TempDir>,
}

impl Made {
    /// The model that the environment names, or one of this shape on a device, or the tiny one on the simulator.
    fn new(shape: &Shape) -> Self {
        let named = std::env::vars_os().find(|(name, _)| name == MODEL).map(|(_, path)| PathBuf::from(path));
        if let Some(path) = named {
            return Self { model: Model::open(&path).unwrap(), _dir: None };
        }
        if falsify::gpu().is_none() {
            let path = falsify::data("tiny.q4_k_m.gguf").unwrap();
            return Self { model: Model::open(&path).unwrap(), _dir: None };
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made.gguf");
        let plan = Plan::new("made", shape, Mix::from_name("q4_k_m").unwrap(), 1).unwrap();
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        plan.write(&mut file, |_| ControlFlow::Continue(())).unwrap();
        drop(file);
        Self { model: Model::open(&path).unwrap(), _dir: Some(dir) }
    }

    /// As deep as the model that is served, as narrow as a test allows.
    fn deep() -> Self {
        let tiny = Preset::from_name("tiny").unwrap().shape.clone();
        Self::new(&Shape { layers: 48, hidden: 512, experts: 32, used: 4, ..tiny })
    }
}

/// Tokens of the prompt, spread over the vocabulary.
fn prompt(model: &Model, n: usize) -> Vec<u32> {
    let vocab = model.config().vocab;
    (0..n).map(|i| ((i * 7919 + 5) % vocab) as u32).collect()
}

/// Values of one pass, by the keys of their sites; routes by layer.
#[derive(Default)]
struct Pass {
    values: BTreeMap<String, Vec<f32>>,
    routes: BTreeMap<usize, Routes>,
}

/// Keeps every value, and puts another pass's in its place: every operation works on the same operands then.
struct Forced<'a> {
    by: Option<&'a Pass>,
    seen: Pass,
}

impl Observer for Forced<'_> {
    fn wants(&self, site: Site) -> bool {
        site.stage.row().class == Class::Made
    }
    fn value(&mut self, site: Site, value: &mut dyn Value) -> Result<(), Stop> {
        let key = site.to_string();
        if let Some(values) = self.by.and_then(|by| by.values.get(&key)) {
            self.seen.values.insert(key, value.read()?);
            return value.write(values);
        }
        self.seen.values.insert(key, value.read()?);
        Ok(())
    }
    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        let found = route.read()?;
        if let Some(routes) = self.by.and_then(|by| by.routes.get(&layer)) {
            route.write(routes)?;
        }
        for (stage, values) in [
            (Stage::MoeRouter, found.weights.clone()),
            (Stage::MoeRouterIndices, found.ids.iter().map(|&id| id as f32).collect()),
        ] {
            self.seen.values.insert(Site { layer: Some(layer), stage }.to_string(), values);
        }
        self.seen.routes.insert(layer, found);
        Ok(())
    }
}

fn forced(
    model: &Model,
    device: Device,
    precision: Precision,
    tokens: &[u32],
    by: Option<&Pass>,
) -> Result<Pass, model::Error> {
    let mut session = session(model, device, precision, false)?;
    let mut observer = Forced { by, seen: Pass::default() };
    session.observe(tokens, Out::All, &mut observer)?;
    Ok(observer.seen)
}

/// Enters every value of the left side and prints a table of verdicts, a line a stage.
fn judge(
    claim: &mut Claim,
    pass: &str,
    left: &BTreeMap<String, Vec<f32>>,
    right: Result<BTreeMap<String, Vec<f32>>, model::Error>,
) {
    const VERDICTS: [(Verdict, &str); 6] = [
        (Verdict::Match, "Match"),
        (Verdict::Diverge, "Diverge"),
        (Verdict::NanRight, "NanGpu"),
        (Verdict::NanLeft, "NanCpu"),
        (Verdict::NanBoth, "NanBoth"),
        (Verdict::Missing, "Missing"),
    ];
    let right = match right {
        Ok(right) => right,
        Err(error) => return claim.at("pass", pass).check(&format!("the pass runs: {error}"), false),
    };
    let bound = claim.bound().and_then(|bound| bound.at_most).unwrap_or(0.0);
    let mut table: BTreeMap<Stage, ([usize; 6], f64)> = BTreeMap::new();
    for (key, want) in left {
        let stage = key.parse::<Site>().map(|site| site.stage).unwrap_or(Stage::Embedding);
        let (counts, worst) = table.entry(stage).or_default();
        let verdict = match right.get(key) {
            None => {
                claim.at("pass", pass).on(key.as_str()).check("it is seen on the device", false);
                Verdict::Missing
            }
            Some(got) => {
                claim.at("pass", pass).on(key.as_str()).compare(want, got);
                let comparison = Comparison::of(want, got, None);
                *worst = comparison.as_ref().map_or(f64::NAN, |c| worst.max(c.nmse));
                comparison.map_or(Verdict::Missing, |c| c.verdict(bound))
            }
        };
        if let Some(at) = VERDICTS.iter().position(|(v, _)| *v == verdict) {
            counts[at] += 1;
        }
    }
    print!("{pass:20}");
    VERDICTS.iter().for_each(|(_, name)| print!(" {name:>8}"));
    println!("  worst NMSE");
    for (stage, (counts, worst)) in table {
        print!("{:20}", stage.name());
        counts.iter().for_each(|n| print!(" {n:8}"));
        println!("  {worst:.2e}");
    }
}

#[falsifier("FALSIFY-QW3-MOE-GPU-PARITY-001")]
fn every_layer_and_stage_equals_the_cpu(claim: &mut Claim) {
    let _alone = alone();
    let made = Made::deep();
    let model = &made.model;
    let tokens = prompt(model, 3);
    for precision in Precision::ALL {
        // Scalar kernels, which the CPU's others equal bit for bit, in the arithmetic of a device: in `fast`, a CPU's
        // activations in front of some formats have more scales.
        let arithmetic = model::session::Arithmetic::of("cuda", precision, model);
        let mut session = Session::arbiter(model, arithmetic, None, 0..model.config().layers).unwrap();
        let mut want = Forced { by: None, seen: Pass::default() };
        session.observe(&tokens, Out::All, &mut want).unwrap();
        let want = want.seen;
        if precision == Precision::Exact {
            let free = forced(model, Device::Cuda, precision, &tokens, None);
            judge(claim, "exact-free", &want.values, free.map(|p| p.values));
        }
        let got = forced(model, Device::Cuda, precision, &tokens, Some(&want));
        judge(claim, &format!("{}-forced", precision.name()), &want.values, got.map(|p| p.values));
    }
    // 64 tokens one by one: the same token each time, and the same logits at the end.
    let steps = if falsify::gpu().is_some() { 64 } else { 3 };
    let decode = |device| -> Result<BTreeMap<String, Vec<f32>>, model::Error> {
        let mut session = session(model, device, Precision::Exact, false)?;
        let mut decoded = Vec::new();
        session.run(&tokens, Out::Last)?;
        for _ in 0..steps {
            let token =
                greedy(&session.logits()?).ok_or(model::Error::NoToken { position: session.position() })?;
            decoded.push(token as f32);
            session.run(&[token], Out::Last)?;
        }
        let logits = session.logits()?;
        Ok(BTreeMap::from([("embedding".to_owned(), decoded), ("lm_head".to_owned(), logits)]))
    };
    judge(claim, "exact-decode", &decode(Device::Cpu).unwrap(), decode(Device::Cuda));
}

#[falsifier("FALSIFY-QW3-MOE-GPU-PARITY-002")]
fn the_tiny_model_equals_the_reference(claim: &mut Claim) {
    let _alone = alone();
    let f32s =
        |bytes: &[u8]| -> Vec<f32> { bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect() };
    let u32s =
        |bytes: &[u8]| -> Vec<u32> { bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect() };
    for file in ["f16", "q8_0", "q4_k_m"] {
        let model = Model::open(&require!(data & format!("tiny.{file}.gguf"))).unwrap();
        let bytes = std::fs::read(require!(data & format!("tiny.{file}.reference.safetensors"))).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        for n in [1_i64, 7] {
            let tensor = |name: &str| reference.tensor(&format!("T{n}.{name}")).unwrap().data().to_vec();
            let at = |claim: &mut Claim, key: &str, got: Option<&Vec<f32>>, want: &[f32]| {
                let at = claim.at("file", file).at("tokens", n).on(key);
                match got {
                    Some(got) => at.compare(want, got),
                    None => at.check("it is seen on the device", false),
                }
            };
            let tokens = u32s(&tensor("tokens"));
            let mut seen = Collect { looks_only: true, ..Collect::default() };
            let run = session(&model, Device::Cuda, Precision::Exact, false)
                .and_then(|mut session| session.observe(&tokens, Out::All, &mut seen));
            if let Err(error) = run {
                claim.at("file", file).at("tokens", n).check(&format!("the pass runs: {error}"), false);
                continue;
            }
            for layer in 0..model.config().layers {
                for (stage, name) in [
                    ("attention", "attn_heads"),
                    ("post_attn_residual", "post_attn_residual"),
                    ("moe_router", "router_weights"),
                    ("moe_ffn_out", "moe_ffn_out"),
                    ("post_ffn_residual", "post_ffn_residual"),
                ] {
                    let key = format!("layers.{layer}.{stage}");
                    let want = f32s(&tensor(&format!("blk.{layer}.{name}")));
                    at(claim, &key, seen.values.get(&key), &want);
                }
            }
            at(claim, "lm_head", seen.values.get("lm_head"), &f32s(&tensor("logits")));
        }
    }
}

#[falsifier("FALSIFY-QW3-MOE-GPU-INVARIANTS-001")]
fn values_are_finite_and_routes_are_routes(claim: &mut Claim) {
    let _alone = alone();
    let made = Made::deep();
    let model = &made.model;
    for precision in Precision::ALL {
        let check = |claim: &mut Claim, invariant: &str, what: &str, holds: bool| {
            claim.at("invariant", invariant).at("precision", precision.name()).check(what, holds);
        };
        let pass = forced(model, Device::Cuda, precision, &prompt(model, 3), None);
        let pass = match pass {
            Ok(pass) => pass,
            Err(error) => {
                check(claim, "finite", &format!("the pass runs: {error}"), false);
                continue;
            }
        };
        for (key, values) in &pass.values {
            check(claim, "finite", &format!("{key} is finite"), values.iter().all(|v| v.is_finite()));
        }
        let experts = model.config().experts.expect("experts");
        for (layer, route) in &pass.routes {
            let rows = route.ids.chunks_exact(route.chosen).zip(route.weights.chunks_exact(route.chosen));
            for (ids, weights) in rows {
                let mut sorted = ids.to_vec();
                sorted.sort_unstable();
                sorted.dedup();
                let distinct =
                    sorted.len() == ids.len() && ids.iter().all(|&id| (id as usize) < experts.count);
                check(claim, "experts", &format!("layer {layer}: distinct experts: {ids:?}"), distinct);
                // Rounding of a few weights in f32.
                let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
                check(
                    claim,
                    "sum",
                    &format!("layer {layer}: weights add up to {sum}"),
                    (sum - 1.0).abs() <= 1e-6,
                );
            }
        }
        let logits = pass.values.get("lm_head").map_or(0, Vec::len);
        check(claim, "length", &format!("{logits} logits"), logits == 3 * model.config().vocab);
    }
}

#[falsifier("FALSIFY-QW3-MOE-GPU-DETERMINISM-001")]
fn runs_repeat_bit_for_bit_recorded_or_not(claim: &mut Claim) {
    let _alone = alone();
    let made = Made::deep();
    let model = &made.model;
    let run = |precision, eager| -> Result<Vec<f32>, model::Error> {
        let mut session = session(model, Device::Cuda, precision, eager)?;
        let mut logits = Vec::new();
        // Single steps are recorded and replayed; a longer one moves the planes in between.
        for n in [3, 1, 1, 1, 5, 1, 1] {
            session.run(&prompt(model, n), Out::Last)?;
            logits.extend(session.logits()?);
        }
        Ok(logits)
    };
    for precision in Precision::ALL {
        let first = run(precision, false);
        for (name, eager) in [("again", false), ("eager", true)] {
            let at = claim.at("precision", precision.name()).at("run", name);
            match (&first, run(precision, eager)) {
                (Ok(first), Ok(other)) => at.compare(first, &other),
                (Err(error), _) => at.check(&format!("the passes run: {error}"), false),
                (_, Err(error)) => at.check(&format!("the passes run: {error}"), false),
            }
        }
    }
}

#[falsifier("FALSIFY-QW3-MOE-GPU-MEMORY-001")]
fn the_reported_memory_is_what_the_device_lost(claim: &mut Claim) {
    require!(cuda);
    let _alone = alone();
    // Layers of the model that is served, enough to dwarf what the driver takes for itself.
    let shape = Preset::from_name("qwen3-30b-a3b").unwrap().shape.clone();
    let made = Made::new(&Shape { layers: 6, ..shape });
    for precision in Precision::ALL {
        let mut session = session(&made.model, Device::Cuda, precision, false).unwrap();
        session.run(&prompt(&made.model, 3), Out::Last).unwrap();
        let memory = session.memory().unwrap().expect("a device of its own");
        let here = format!("{memory:?}");
        let at = claim.at("precision", precision.name()).on(here);
        at.compare(&[memory.drop() as f64], &[memory.taken() as f64]);
    }
}

#[falsifier("FALSIFY-QW3-MOE-GPU-PRELOAD-001")]
fn a_mixture_loads_and_passes_the_check_after_loading(claim: &mut Claim) {
    let _alone = alone();
    let made = Made::deep();
    let model = &made.model;
    for precision in Precision::ALL {
        let options = Options { device: Device::Cuda, cuda: options(), ..Options::cpu(precision) };
        let checked = Session::new(model, &options)
            .and_then(|mut session| model::loadcheck::check(model, &mut session, &options));
        let what = format!("{} layers of experts load and agree: {checked:?}", model.config().layers);
        claim.at("precision", precision.name()).check(&what, checked.is_ok());
    }
}
