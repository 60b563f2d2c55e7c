//! The router's rule on its own: choice, ties, weights, NaN.

use falsify::{Claim, falsifier};
use model::config::Experts;
use model::route;

struct Chosen {
    ids: Vec<u32>,
    weights: Vec<f32>,
    margin: f32,
}

fn choose(logits: &[f32], used: usize, renormalize: bool) -> Chosen {
    let experts = Experts { count: logits.len(), used, renormalize };
    let (mut ids, mut weights) = (vec![0; used], vec![0.0; used]);
    let margin = route::choose(logits, &experts, &mut Vec::new(), &mut ids, &mut weights);
    Chosen { ids, weights, margin }
}

/// 128 logits with the spread that trained routers have.
fn random(seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..128).map(|_| (next() + next() + next() - 1.5) * 6.0).collect()
}

/// The rule in f64 and by sorting, written anew.
fn reference(logits: &[f32], used: usize, renormalize: bool) -> (Vec<u32>, Vec<f64>) {
    let mut order: Vec<(f32, u32)> = logits.iter().copied().zip(0..).collect();
    order.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
    let largest = f64::from(order[0].0);
    let sum: f64 = logits.iter().map(|&l| (f64::from(l) - largest).exp()).sum();
    let mut weights: Vec<f64> =
        order[..used].iter().map(|(l, _)| (f64::from(*l) - largest).exp() / sum).collect();
    if renormalize {
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
    }
    (order[..used].iter().map(|(_, id)| *id).collect(), weights)
}

#[falsifier("FALSIFY-MOE-ROUTER-001")]
fn large_logits_stay_finite(claim: &mut Claim) {
    for logits in [[1000.0, 999.0, 0.0, -1000.0], [3e38, 3e38, -3e38, 0.0], [-2e4, -2e4, -3e4, -1e9]] {
        let chosen = choose(&logits, 2, true);
        claim.on(format!("{logits:?}")).finite(&chosen.weights);
        claim
            .on("order")
            .check("the larger logit weighs at least as much", chosen.weights[0] >= chosen.weights[1]);
    }
}

#[falsifier("FALSIFY-MOE-ROUTER-002")]
fn the_largest_are_chosen_best_first(claim: &mut Claim) {
    let ties: Vec<f32> = (0..128).map(|i| (i % 5) as f32).collect();
    let descending: Vec<f32> = (0..128).map(|i| -(i as f32)).collect();
    let signed = vec![0.0, -0.0, 0.0, -0.0, -1.0, 0.0, -0.0, 0.0];
    let infinite = vec![0.0, f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY];
    let cases = [
        ("random", random(7)),
        ("ties", ties),
        ("descending", descending),
        ("all-equal", vec![1.5; 64]),
        ("signed-zeros", signed),
        ("minus-infinity", infinite),
    ];
    for (case, logits) in cases {
        for used in [1, 2, 3.min(logits.len()), logits.len().min(8)] {
            let got = choose(&logits, used, true);
            claim.at("case", case).compare(&reference(&logits, used, true).0, &got.ids);
        }
    }
}

#[falsifier("FALSIFY-MOE-ROUTER-003")]
fn weights_equal_the_softmax_in_f64(claim: &mut Claim) {
    for seed in 1..=50 {
        let logits = random(seed);
        for (renormalize, name) in [(true, "renormalized"), (false, "raw")] {
            let got = choose(&logits, 8, renormalize);
            let (_, want) = reference(&logits, 8, renormalize);
            let got: Vec<f64> = got.weights.iter().map(|&w| w.into()).collect();
            claim.at("weights", name).on(format!("seed {seed}")).compare(&want, &got);
        }
    }
}

#[falsifier("FALSIFY-MOE-ROUTER-004")]
fn equal_logits_share_evenly(claim: &mut Claim) {
    for (logit, count, used) in [(0.0, 256, 8), (3.25, 128, 8), (-1e4, 8, 2)] {
        let got = choose(&vec![logit; count], used, true);
        claim.on(format!("{used} of {count}")).compare(&vec![1.0 / used as f32; used], &got.weights);
    }
}

#[falsifier("FALSIFY-MOE-ROUTER-006")]
fn nan_never_becomes_a_choice_that_looks_right(claim: &mut Claim) {
    for at in [0, 1, 63, 127] {
        for renormalize in [true, false] {
            let mut logits = random(3);
            logits[at] = f32::NAN;
            let got = choose(&logits, 8, renormalize);
            let at = claim.on(format!("NaN at {at}, renormalize {renormalize}"));
            let all = got.weights.iter().all(|w| w.is_nan()) && got.margin.is_nan();
            at.check("every weight and the margin are NaN", all);
            claim.check("the ids are valid", got.ids.iter().all(|&id| id < 128));
        }
    }
}

#[falsifier("FALSIFY-MOE-ROUTER-007")]
fn the_margin_is_that_of_the_boundary(claim: &mut Claim) {
    let ties: Vec<f32> = (0..128).map(|i| (i % 5) as f32).collect();
    for (case, logits) in [("random", random(11)), ("ties", ties), ("by-hand", vec![3.0, 1.0, 2.5, 2.0])] {
        let mut sorted = logits.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        for used in [1, 2, 3] {
            let want = sorted[used - 1] - sorted[used];
            claim.at("case", case).compare(&want, &choose(&logits, used, true).margin);
        }
        claim.at("case", case).compare(&f32::INFINITY, &choose(&logits, logits.len(), true).margin);
    }
}
