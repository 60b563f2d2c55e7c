//! The fast forward pass: a function of its operands alone, close to the reference, free of allocation.

use crate::collect::Collect;
use crate::data;
use crate::reference::{f32s, nmse, tiny, u32s};
use falsify::{Claim, falsifier};
use model::backend::{Precision, Routes};
use model::cpu::Cpu;
use model::cpu::simd::Level;
use model::generate::{Next, generate};
use model::observer::{Observer, RouteValue, Value};
use model::sample::{Sampler, Settings};
use model::session::{Device, Model, Options, Out, Session};
use model::stage::{Site, Stage};
use model::tap::Stop;
use safetensors::SafeTensors;
use std::num::NonZeroUsize;

fn fast(threads: usize) -> Options {
    Options {
        device: Device::Cpu,
        precision: Precision::Fast,
        threads: NonZeroUsize::new(threads),
        layers: None,
        cuda: Default::default(),
    }
}

fn logits(mut session: Session, parts: &[&[u32]]) -> Vec<u32> {
    let mut all = Vec::new();
    for part in parts {
        session.run(part, Out::All).unwrap();
        all.extend(session.logits().unwrap().iter().map(|v| v.to_bits()));
    }
    all
}

/// More than one chunk of 256 positions.
fn prompt(n: u32) -> Vec<u32> {
    (0..n).map(|i| (i * 37 + 11) % 500).collect()
}

#[test]
fn prefill_steps_threads_and_instructions_agree() {
    for format in ["q4_k_m", "q8_0", "f16"] {
        let model = tiny(format);
        let tokens = prompt(300);
        let want = logits(Session::new(&model, &fast(1)).unwrap(), &[&tokens]);
        let singles: Vec<&[u32]> = tokens.chunks(1).collect();
        assert_eq!(logits(Session::new(&model, &fast(1)).unwrap(), &singles), want, "single steps");
        let ragged = [&tokens[..1], &tokens[1..8], &tokens[8..70], &tokens[70..]];
        for threads in [2, 3, 5] {
            let session = Session::new(&model, &fast(threads)).unwrap();
            assert_eq!(logits(session, &ragged), want, "{threads} threads, ragged parts");
        }
        for level in Level::available() {
            // The scalar twin is slow: a part of the prompt will do for it.
            let n = if level == Level::SCALAR { 20 } else { tokens.len() };
            let cpu = Cpu::with_level(Precision::Fast, NonZeroUsize::new(2), level).unwrap();
            let session = Session::on(cpu, &model, 0..model.config().layers).unwrap();
            let got = logits(session, &[&tokens[..n]]);
            assert_eq!(got, want[..got.len()], "{level:?}");
        }
    }
}

/// Puts the reference's experts and weights in place of the router's.
struct Forced(Vec<Routes>);

impl Observer for Forced {
    fn wants(&self, site: Site) -> bool {
        site.stage == Stage::MoeRouter
    }
    fn value(&mut self, _: Site, _: &mut dyn Value) -> Result<(), Stop> {
        Ok(())
    }
    fn route(&mut self, layer: usize, route: &mut dyn RouteValue) -> Result<(), Stop> {
        route.write(&self.0[layer])
    }
}

/// The reference's logits of `n` tokens, and those of a pass that uses the reference's experts.
fn logits_with_forced_routes(model: &Model, reference: &SafeTensors<'_>, n: usize) -> [Vec<f32>; 2] {
    let tensor = |name: &str| reference.tensor(&format!("T{n}.{name}")).unwrap().data().to_vec();
    let layers = 0..model.config().layers;
    let mut forced = Forced(
        layers
            .map(|layer| Routes {
                chosen: model.config().chosen(),
                ids: u32s(&tensor(&format!("blk.{layer}.router_experts"))),
                weights: f32s(&tensor(&format!("blk.{layer}.router_weights"))),
                margin: vec![0.0; n],
            })
            .collect(),
    );
    let mut session = Session::new(model, &fast(2)).unwrap();
    session.observe(&u32s(&tensor("tokens")), Out::All, &mut forced).unwrap();
    [f32s(&tensor("logits")), session.logits().unwrap()]
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-008")]
fn forced_routes_stay_near_the_reference(claim: &mut Claim) {
    for format in ["f16", "q8_0", "q4_k_m"] {
        let bytes = std::fs::read(data::path(&format!("tiny.{format}.reference.safetensors"))).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        for n in [1, 7, 64] {
            let [want, got] = logits_with_forced_routes(&tiny(format), &reference, n);
            claim.at("file", format).at("tokens", n as i64).compare(&want, &got);
        }
    }
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-011")]
fn scales_of_halves_bring_q8_0_nearer(claim: &mut Claim) {
    let bytes = std::fs::read(data::path("tiny.q8_0.reference.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    for n in [7, 64] {
        let [want, got] = logits_with_forced_routes(&tiny("q8_0"), &reference, n);
        claim.at("tokens", n as i64).compare(&want, &got);
    }
}

#[test]
fn weights_in_f16_are_nearer() {
    let bytes = std::fs::read(data::path("tiny.f16.reference.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    for n in [1, 7, 64] {
        let [want, got] = logits_with_forced_routes(&tiny("f16"), &reference, n);
        // Products are in f32, so that only the keys' and values' 11 bits are left: 2^-22 each, relative and squared.
        assert!(nmse(&want, &got) <= 1e-6, "{n} tokens: {}", nmse(&want, &got));
    }
}

#[test]
fn watching_changes_nothing() {
    let model = tiny("q4_k_m");
    let tokens = prompt(83);
    let want = logits(Session::new(&model, &fast(2)).unwrap(), &[&tokens]);
    let mut session = Session::new(&model, &fast(2)).unwrap();
    let mut seen = Collect::default();
    session.observe(&tokens, Out::All, &mut seen).unwrap();
    let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&session.logits().unwrap()), want);
    assert_eq!(bits(&seen.values["lm_head"]), want);
}

/// What the caller's thread allocates in the token loop for `n` tokens after a first one: the fewest of several loops,
/// because a thread's scratch grows when it gets a kind of unit for the first time.
fn allocations(session: &mut Session, sampler: &mut Sampler, n: usize) -> u64 {
    let loops = (0..3).map(|_| {
        session.rewind(0).unwrap();
        let made = allocation_counter::measure(|| {
            let outcome = generate(session, &[7], n, sampler, |_| false, |_| Ok(Next::More)).unwrap();
            assert_eq!(outcome.tokens.len(), n, "{:?}", outcome.finish);
        });
        made.count_total
    });
    loops.min().unwrap()
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-009")]
fn a_token_allocates_nothing(claim: &mut Claim) {
    let drawn = Settings { temperature: 0.8, top_k: 0, top_p: 0.9, min_p: 0.01, seed: 1 };
    for format in ["f16", "q8_0", "q4_k_m"] {
        let model = tiny(format);
        // One thread does everything there is to do; of two, the caller's hands work over as well.
        for threads in [1, 2] {
            let mut session = Session::new(&model, &fast(threads)).unwrap();
            for (choice, settings) in [("greedy", Settings::GREEDY), ("drawn", drawn)] {
                let mut sampler = Sampler::new(settings).unwrap();
                let few = allocations(&mut session, &mut sampler, 8);
                let many = allocations(&mut session, &mut sampler, 40);
                let at = claim.at("file", format).at("threads", threads as i64).at("choice", choice);
                at.on(format!("{few} for 8 tokens")).measure("count", many as f64 - few as f64, "");
            }
        }
    }
}
