//! Everything between the matrix products, over widths that fill no block of threads.

use super::{alone, device};
use falsify::{Claim, falsifier};
use model::backend::{Backend, Cols, KvShape, Precision, Routes};
use model::battery::operands::{config, normed, numbers, plane, rows, vector};
use model::config::{Experts, Pairing};
use model::cpu::Cpu;
use model::cuda::Cuda;
use std::num::NonZeroUsize;

/// An operation by its name in the contract: its results for a number of sizes.
fn results<B: Backend>(be: &mut B, operation: &str, fast: bool) -> Result<Vec<Vec<f32>>, B::Err> {
    let mut out = Vec::new();
    // In 8 bits a row is whole blocks of 32.
    let widths: &[usize] = if fast { &[32, 160, 288, 1056] } else { &[1, 33, 100, 257, 1056] };
    let experts = Experts { count: 37, used: 5, renormalize: true };
    match operation {
        "norm" => {
            for &n in widths {
                let (x, w) = (plane(be, n, &numbers(1, 3 * n))?, vector(be, &numbers(2, n))?);
                let mut o = be.act(3, n)?;
                be.norm(&mut o, &x, &w, 1e-6)?;
                out.push(be.read(&o, Cols::ALL)?);
            }
        }
        "head_norm" => {
            for n in [32, 96, 160] {
                let (mut x, w) = (plane(be, 7 * n, &numbers(1, 3 * 7 * n))?, vector(be, &numbers(2, n))?);
                be.head_norm(&mut x, Cols::new(2 * n, 4 * n), &w, 1e-5)?;
                out.push(be.read(&x, Cols::ALL)?);
            }
        }
        "bias" => {
            let (mut x, b) = (plane(be, 300, &numbers(1, 900))?, vector(be, &numbers(2, 270))?);
            be.bias(&mut x, 7, &b)?;
            out.push(be.read(&x, Cols::ALL)?);
        }
        "rope" => {
            for (dim, pairing) in [(32, Pairing::Halves), (64, Pairing::Neighbours), (600, Pairing::Halves)] {
                let config = config(dim, pairing, experts);
                let width = config.q_width() + 5;
                let batch = be.batch(&rows(530, 3), None)?;
                let mut x = plane(be, width, &numbers(1, 3 * width))?;
                be.rope(&mut x, Cols::new(3, config.q_width()), &config, &batch)?;
                out.push(be.read(&x, Cols::ALL)?);
            }
        }
        "attention" | "scores" | "softmax" => {
            // Contexts past one chunk of keys, and past one run of the sum over values.
            for (dim, before) in [(64, 0), (64, 70), (32, 300)] {
                let config = config(dim, Pairing::Halves, experts);
                let shape = KvShape { heads: 2, head_dim: dim, positions: 16, sequences: 1 };
                let width = config.q_width() + 2 * config.kv_width();
                let mut kv = be.kv(shape)?;
                if before > 0 {
                    let batch = be.batch(&rows(0, before), None)?;
                    let qkv = plane(be, width, &numbers(1, before * width))?;
                    be.append(&mut kv, &qkv, &config, &batch)?;
                }
                let batch = be.batch(&rows(before, 3), None)?;
                let qkv = plane(be, width, &numbers(2, 3 * width))?;
                be.append(&mut kv, &qkv, &config, &batch)?;
                let mut o = be.act(3, if operation == "attention" { config.q_width() } else { 0 })?;
                match operation {
                    "attention" => be.attention(&mut o, &qkv, &kv, &config, &batch)?,
                    _ => be.scores(&mut o, &qkv, &kv, &config, &batch, operation == "softmax")?,
                }
                out.push(be.read(&o, Cols::ALL)?);
            }
        }
        "top_k" => {
            let config = config(32, Pairing::Halves, experts);
            let ties = vec![0.5; 37];
            let mut broken = numbers(3, 37);
            broken[11] = f32::NAN;
            for logits in [numbers(1, 37), numbers(2, 5 * 37), ties, broken] {
                let x = plane(be, 37, &logits)?;
                let mut route = be.route_plane(logits.len() / 37, 5)?;
                be.top_k(&mut route, &x, &config)?;
                let Routes { ids, weights, margin, .. } = be.read_route(&route)?;
                out.extend([ids.iter().map(|&id| id as f32).collect(), weights, margin]);
            }
        }
        "swiglu" | "silu" => {
            for &n in widths {
                let x = plane(be, 2 * n, &numbers(1, 3 * 2 * n))?;
                let mut o = be.act(3, n)?;
                if operation == "silu" {
                    be.silu(&mut o, &x)?
                } else {
                    be.swiglu(&mut o, &x)?
                }
                out.push(be.read(&o, Cols::ALL)?);
            }
        }
        "combine" => {
            let config = config(32, Pairing::Halves, experts);
            let logits = plane(be, 37, &numbers(1, 3 * 37))?;
            let mut route = be.route_plane(3, 5)?;
            be.top_k(&mut route, &logits, &config)?;
            let y = plane(be, 270, &numbers(2, 15 * 270))?;
            let mut o = be.act(3, 270)?;
            be.combine(&mut o, &y, &route)?;
            out.push(be.read(&o, Cols::ALL)?);
        }
        "add" => {
            let (mut x, y) = (plane(be, 270, &numbers(1, 810))?, plane(be, 270, &numbers(2, 810))?);
            be.add(&mut x, &y)?;
            out.push(be.read(&x, Cols::ALL)?);
        }
        "select" => {
            let batch = be.batch(&rows(0, 7), None)?;
            let x = plane(be, 270, &numbers(1, 7 * 270))?;
            let mut o = be.act(4, 270)?;
            be.select(&mut o, &x, &batch)?;
            out.push(be.read(&o, Cols::ALL)?);
        }
        other => panic!("no operation {other}"),
    }
    Ok(out)
}

const OPERATIONS: [&str; 12] = [
    "norm",
    "head_norm",
    "bias",
    "rope",
    "attention",
    "scores",
    "softmax",
    "top_k",
    "swiglu",
    "silu",
    "combine",
    "add",
];

fn compare(claim: &mut Claim, precision: Precision, operations: &[&str]) {
    let fast = precision == Precision::Fast;
    let mut cpu = Cpu::new(precision, NonZeroUsize::new(1)).unwrap();
    for &operation in operations {
        // A device that reported a fault computes nothing more: a new one for each.
        let mut cuda = device(precision);
        let want = results(&mut cpu, operation, fast).unwrap();
        match results(&mut cuda, operation, fast) {
            Ok(got) => {
                for (i, (want, got)) in want.iter().zip(&got).enumerate() {
                    claim.at("operation", operation).on(format!("case {i}")).compare(want, got);
                }
            }
            Err(e) => {
                claim.at("operation", operation).check(&format!("the device reports nothing: {e}"), false)
            }
        }
    }
}

#[falsifier("FALSIFY-CUDA-KERNELS-EXACT-002")]
fn exact_operations_equal_those_of_the_cpu(claim: &mut Claim) {
    let _alone = alone();
    compare(claim, Precision::Exact, &[&OPERATIONS[..], &["select"]].concat());
}

#[falsifier("FALSIFY-CUDA-KERNELS-FAST-002")]
fn fast_operations_equal_those_of_the_cpu(claim: &mut Claim) {
    let _alone = alone();
    compare(claim, Precision::Fast, &["norm", "attention", "scores", "softmax", "swiglu"]);
}

/// Values that quantize in every way: ordinary, zero, tiny, huge, and not finite.
fn awkward() -> Vec<f32> {
    let mut x = numbers(1, 6 * 64);
    x[64..96].fill(0.0);
    x[96..128].iter_mut().for_each(|v| *v *= 1e-42);
    x[128..160].iter_mut().for_each(|v| *v *= 1e38);
    x[170] = f32::INFINITY;
    x[200] = f32::NAN;
    x[256..288].iter_mut().zip(0_u8..).for_each(|(v, i)| *v = f32::from(i) - 15.5);
    x
}

#[falsifier("FALSIFY-CUDA-KERNELS-QUANTA-001")]
fn activations_in_8_bits_are_those_of_the_cpu(claim: &mut Claim) {
    let _alone = alone();
    fn made<B: Backend>(be: &mut B, maker: &str) -> Result<B::Act, B::Err> {
        let x = plane(be, 64, &awkward())?;
        match maker {
            "write" => {
                let mut o = normed(be, 64, &numbers(3, 6 * 64))?;
                be.write(&mut o, Cols::ALL, &awkward())?;
                Ok(o)
            }
            "norm" => {
                let w = vector(be, &numbers(2, 64))?;
                let mut o = be.act(6, 64)?;
                be.norm(&mut o, &x, &w, 1e-6)?;
                Ok(o)
            }
            _ => {
                let mut o = be.act(6, 32)?;
                be.swiglu(&mut o, &x)?;
                Ok(o)
            }
        }
    }
    let (mut cpu, mut cuda): (_, Cuda) =
        (Cpu::new(Precision::Fast, NonZeroUsize::new(1)).unwrap(), device(Precision::Fast));
    for maker in ["write", "norm", "swiglu"] {
        let x = made(&mut cpu, maker).unwrap();
        let blocks: Vec<_> = (0..x.rows()).flat_map(|r| x.blocks(r).expect("blocks").to_vec()).collect();
        let quanta: Vec<i8> = blocks.iter().flat_map(|b| b.q).collect();
        // The bits of a NaN are nobody's promise.
        let scales: Vec<f32> =
            blocks.iter().map(|b| if b.scales[0].is_nan() { f32::MAX } else { b.scales[0] }).collect();
        let at = claim.at("maker", maker);
        match made(&mut cuda, maker).and_then(|x| cuda.read_quanta(&x)) {
            Ok(Some((q, s))) => {
                let s: Vec<f32> = s.into_iter().map(|d| if d.is_nan() { f32::MAX } else { d }).collect();
                at.on("quanta").compare(&quanta, &q);
                claim.at("maker", maker).on("scales").compare(&scales, &s);
            }
            Ok(None) => at.check("there is an 8-bit form", false),
            Err(e) => at.check(&format!("the device reports nothing: {e}"), false),
        }
    }
}
