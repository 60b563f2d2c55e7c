//! Matrix products and look-ups of every weight format, over shapes that fill no tile.

use super::{alone, device};
use falsify::{Claim, falsifier};
use model::backend::{Backend, Cols, Precision};
use model::battery::operands::{Weights, config, normed, numbers, plane, rows};
use model::config::{Experts, Pairing};
use model::cpu::Cpu;
use model::quant::{FORMATS, Format};
use std::num::NonZeroUsize;

const EXPERTS: Experts = Experts { count: 5, used: 2, renormalize: true };
/// No multiple of the eight rows of a block.
const ROWS: usize = 13;

/// How a product is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// So many rows of activations with one matrix.
    Rows(usize),
    /// So many rows, each with the experts that it chose.
    Routed(usize),
    /// So many rows, each already that of an expert.
    Expert(usize),
    /// Rows of the matrix.
    Embed,
}

impl Shape {
    const ALL: [(&'static str, &'static [Self]); 4] = [
        ("one", &[Self::Rows(1)]),
        ("many", &[Self::Rows(2), Self::Rows(9), Self::Rows(17)]),
        ("routed", &[Self::Routed(1), Self::Routed(7), Self::Expert(1), Self::Expert(7)]),
        ("embed", &[Self::Embed]),
    ];

    fn matrices(self) -> usize {
        if matches!(self, Self::Routed(_) | Self::Expert(_)) { EXPERTS.count } else { 1 }
    }
}

fn product<B: Backend>(be: &mut B, w: &Weights, shape: Shape) -> Result<Vec<f32>, B::Err> {
    let mat = be.mat(w.tensor())?;
    let (n, per_row) = match shape {
        Shape::Rows(n) | Shape::Routed(n) => (n, 1),
        Shape::Expert(n) => (n, EXPERTS.used),
        Shape::Embed => {
            let batch = be.batch(&rows(0, ROWS), None)?;
            let mut o = be.act(ROWS, w.cols)?;
            be.embed(&mut o, &mat, &batch)?;
            return be.read(&o, Cols::ALL);
        }
    };
    let x = normed(be, w.cols, &numbers(3, n * per_row * w.cols))?;
    let config = config(32, Pairing::Halves, EXPERTS);
    let mut route = be.route_plane(n, EXPERTS.used)?;
    let logits = plane(be, EXPERTS.count, &numbers(5, n * EXPERTS.count))?;
    be.top_k(&mut route, &logits, &config)?;
    let routed = !matches!(shape, Shape::Rows(_));
    let entries = if routed { n * EXPERTS.used } else { n };
    // The output stands between other columns.
    let (col, width) = (3, w.rows + 5);
    let mut o = plane(be, width, &numbers(9, entries * width))?;
    be.matmul(&mut o, col, &mat, &x, routed.then_some(&route))?;
    be.read(&o, Cols::ALL)
}

/// Columns: one block, and some that leave lanes without work.
fn columns(format: Format, precision: Precision) -> Vec<usize> {
    match (format.row().block, precision) {
        (1, Precision::Exact) => vec![33, 100],
        (1 | 32, _) => vec![32, 288],
        (block, _) => vec![block, 5 * block],
    }
}

/// The same with every scale of Q4_K's blocks near 3000: a group's scale times it is no half float any more.
fn large(weights: Weights) -> Weights {
    const SCALE: [u8; 2] = 0x69dc_u16.to_le_bytes();
    assert_eq!(weights.format, Format::Q4K);
    let mut bytes = weights.bytes.to_vec();
    bytes.chunks_exact_mut(144).for_each(|block| block[..2].copy_from_slice(&SCALE));
    Weights { bytes: bytes.into(), ..weights }
}

fn compare(claim: &mut Claim, precision: Precision) {
    // The device's activations share a scale by whole blocks in front of Q8_0, too.
    let mut cpu = Cpu::new(precision, NonZeroUsize::new(1)).unwrap().with_whole_blocks();
    let mut cuda = device(precision);
    for row in FORMATS {
        for (name, shapes) in Shape::ALL {
            for &shape in shapes {
                for cols in columns(row.format, precision) {
                    let mut weights =
                        vec![Weights::random(row.format, shape.matrices(), ROWS, cols, 7).unwrap()];
                    if row.format == Format::Q4K {
                        weights.push(large(weights[0].clone()));
                    }
                    for w in &weights {
                        let want = product(&mut cpu, w, shape).unwrap();
                        let here = format!("{shape:?}, {ROWS} x {cols}");
                        let at = claim.at("format", row.name).at("shape", name);
                        match product(&mut cuda, w, shape) {
                            Ok(got) => at.on(here).compare(&want, &got),
                            Err(e) => at.on(here).check(&format!("the device reports nothing: {e}"), false),
                        }
                    }
                }
            }
        }
    }
}

#[falsifier("FALSIFY-CUDA-KERNELS-EXACT-001")]
fn exact_products_equal_those_of_the_cpu(claim: &mut Claim) {
    let _alone = alone();
    compare(claim, Precision::Exact);
}

#[falsifier("FALSIFY-CUDA-KERNELS-FAST-001")]
fn fast_products_equal_those_of_the_cpu(claim: &mut Claim) {
    let _alone = alone();
    compare(claim, Precision::Fast);
}
