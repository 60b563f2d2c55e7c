//! The exact forward pass against a float64 reference, stage by stage.

use crate::collect::Collect;
use crate::data;
use falsify::{Claim, falsifier};
use model::backend::Precision;
use model::session::{Model, Options, Out, Session};
use safetensors::SafeTensors;
use std::num::NonZeroUsize;

pub(crate) fn exact(threads: usize) -> Options {
    Options { threads: NonZeroUsize::new(threads), ..Options::cpu(Precision::Exact) }
}

pub(crate) fn tiny(format: &str) -> Model {
    Model::open(&data::path(&format!("tiny.{format}.gguf"))).unwrap()
}

pub(crate) fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

pub(crate) fn u32s(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
}

/// Sum of squared differences over the sum of squares of the reference.
pub(crate) fn nmse(want: &[f32], got: &[f32]) -> f64 {
    assert_eq!(want.len(), got.len());
    let error: f64 = want.iter().zip(got).map(|(w, g)| (f64::from(*w) - f64::from(*g)).powi(2)).sum();
    error / want.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>()
}

/// The files, and the lengths of the prompts that their references hold.
const FILES: [&str; 3] = ["f16", "q8_0", "q4_k_m"];
const LENGTHS: [usize; 3] = [1, 7, 64];

/// The engine's stages and the reference's tensors that make them up, side by side.
const STAGES: &[(&str, &[&str])] = &[
    ("attn_norm", &["attn_norm"]),
    ("qkv_matmul", &["q", "k", "v"]),
    ("q_norm", &["q_norm"]),
    ("k_norm", &["k_norm"]),
    ("q_post_rope", &["q_rope"]),
    ("k_post_rope", &["k_rope"]),
    ("attention", &["attn_heads"]),
    ("attn_out", &["attn_out"]),
    ("post_attn_residual", &["post_attn_residual"]),
    ("ffn_norm", &["ffn_norm"]),
    ("moe_router_logits", &["router_logits"]),
    ("moe_router", &["router_weights"]),
    ("moe_ffn_out", &["moe_ffn_out"]),
    ("post_ffn_residual", &["post_ffn_residual"]),
];

/// A prompt of a reference file, and what it holds about it.
struct Reference<'a> {
    tensors: &'a SafeTensors<'a>,
    length: usize,
}

impl Reference<'_> {
    fn words(&self, name: &str) -> Vec<[u8; 4]> {
        let tensor = self.tensors.tensor(&format!("T{}.{name}", self.length)).unwrap();
        tensor.data().as_chunks::<4>().0.to_vec()
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        u32s(self.words(name).as_flattened())
    }

    /// Tensors side by side, position by position.
    fn plane(&self, names: &[&str], prefix: &str) -> Vec<f32> {
        let parts: Vec<Vec<[u8; 4]>> = names.iter().map(|n| self.words(&format!("{prefix}{n}"))).collect();
        let row = |r: usize| {
            let cut = move |p: &Vec<[u8; 4]>| {
                let width = p.len() / self.length;
                p[r * width..(r + 1) * width].to_vec()
            };
            parts.iter().flat_map(cut)
        };
        (0..self.length).flat_map(row).map(f32::from_le_bytes).collect()
    }
}

/// Runs every file on every prompt, and shows each to `judge`.
fn every_prompt(mut judge: impl FnMut(&str, &Reference<'_>, &Model, &Collect)) {
    for file in FILES {
        let bytes = std::fs::read(data::path(&format!("tiny.{file}.reference.safetensors"))).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let model = tiny(file);
        for length in LENGTHS {
            let reference = Reference { tensors: &tensors, length };
            let mut session = Session::new(&model, &exact(2)).unwrap();
            let mut seen = Collect::default();
            session.observe(&reference.ids("tokens"), Out::All, &mut seen).unwrap();
            judge(file, &reference, &model, &seen);
        }
    }
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-004")]
fn every_stage_equals_the_reference(claim: &mut Claim) {
    every_prompt(|file, reference, model, seen| {
        let tokens = reference.length as i64;
        let mut check = |stage: &str, names: &[&str], prefix: &str, key: &str| {
            let at = claim.at("file", file).at("tokens", tokens).at("stage", stage).on(key);
            at.compare(&reference.plane(names, prefix), &seen.values[key]);
        };
        check("embedding", &["embedding"], "", "embedding");
        for layer in 0..model.config().layers {
            for (stage, names) in STAGES {
                check(stage, names, &format!("blk.{layer}."), &format!("layers.{layer}.{stage}"));
            }
        }
        check("final_norm", &["final_norm"], "", "final_norm");
        check("lm_head", &["logits"], "", "lm_head");
    });
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-005")]
fn the_same_experts_are_chosen_in_the_same_order(claim: &mut Claim) {
    every_prompt(|file, reference, model, seen| {
        for layer in 0..model.config().layers {
            let want = reference.ids(&format!("blk.{layer}.router_experts"));
            let at = claim.at("file", file).at("tokens", reference.length as i64);
            at.on(format!("layer {layer}")).compare(&want, &seen.routes[layer].ids);
        }
    });
}
