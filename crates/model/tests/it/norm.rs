//! The norm on its own, where the epsilon decides and where lanes are ragged.

use falsify::{Claim, falsifier};
use model::backend::{Backend, Cols, Precision, Tensor};
use model::bytes::Bytes;
use model::cpu::{Act, Cpu};
use model::quant::Format;
use std::num::NonZeroUsize;

/// A row by the definition, in f64.
fn reference(x: &[f32], w: &[f32], eps: f32) -> Vec<f32> {
    let square: f64 = x.iter().map(|v| f64::from(*v).powi(2)).sum();
    let scale = 1.0 / (square / x.len() as f64 + f64::from(eps)).sqrt();
    x.iter().zip(w).map(|(x, w)| (f64::from(*x) * scale * f64::from(*w)) as f32).collect()
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-007")]
fn the_norm_equals_its_definition(claim: &mut Claim) {
    let mut cpu = Cpu::new(Precision::Exact, NonZeroUsize::new(2)).unwrap();
    for width in [1_usize, 7, 64, 128, 129, 2048] {
        for (name, size) in [("1e-4", 1e-4_f32), ("1", 1.0), ("1e4", 1e4)] {
            let x: Vec<f32> = (0..3 * width).map(|i| ((i * 37 % 101) as f32 - 50.3) / 50.0 * size).collect();
            let w: Vec<f32> = (0..width).map(|i| 1.0 + (i % 7) as f32 * 0.1).collect();
            let bytes: Bytes = w.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into();
            let tensor =
                Tensor { name: "w", format: Format::F32, count: 1, rows: 1, cols: width, bytes: &bytes };
            let weights = cpu.vector(tensor).unwrap();
            let (i, mut o) = (Act::of(width, x.clone()).unwrap(), cpu.act(3, width).unwrap());
            cpu.norm(&mut o, &i, &weights, 1e-6).unwrap();
            let want: Vec<f32> = x.chunks(width).flat_map(|x| reference(x, &w, 1e-6)).collect();
            let got = cpu.read(&o, Cols::ALL).unwrap();
            claim.at("size", name).at("width", width as i64).compare(&want, &got);
        }
    }
}
