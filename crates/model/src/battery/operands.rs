//! Operands: numbers, weights of any format, planes, rows of a pass.

use super::Error;
use crate::backend::{Backend, Cols, Rows, Tensor};
use crate::bytes::Bytes;
use crate::config::{Config, Experts, Pairing, Rope};
use crate::quant::Format;
use crate::synth::{Mix, Plan, Shape};
use std::ops::ControlFlow;

/// Epsilon of [`normed`].
pub(super) const EPS: f32 = 1e-6;

/// Numbers in [-2, 2), the same for a seed everywhere.
#[must_use]
pub fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 4_194_304.0 - 2.0
    };
    (0..n).map(|_| next()).collect()
}

/// Weights of one format.
#[derive(Debug, Clone)]
pub struct Weights {
    /// The format.
    pub format: Format,
    /// Matrices.
    pub count: usize,
    /// Rows of one.
    pub rows: usize,
    /// Columns, the contiguous axis.
    pub cols: usize,
    /// `[count, rows]` rows of blocks.
    pub bytes: Bytes,
}

impl Weights {
    /// `count` random matrices.
    ///
    /// # Errors
    /// When a row is no whole number of blocks, or the weights are too many.
    pub fn random(format: Format, count: usize, rows: usize, cols: usize, seed: u64) -> Result<Self, Error> {
        let refused = |what: &dyn std::fmt::Display| Error::Weights(what.to_string());
        let shape = Shape {
            architecture: "qwen3moe",
            layers: 1,
            hidden: cols,
            heads: 2,
            kv_heads: 1,
            head_dim: 32,
            ff: rows,
            experts: count,
            used: 1,
            vocab: 512,
            context: 64,
            rope_base: 1e4,
            eps: 1e-6,
            tied: true,
            rope_factors: false,
        };
        let mix = Mix::from_name(&format.row().name.to_lowercase());
        let mix = mix.ok_or_else(|| refused(&format_args!("no file is made of {format}")))?;
        let plan = Plan::new("operands", &shape, mix, seed).map_err(|e| refused(&e))?;
        let mut file = Vec::new();
        plan.write(&mut file, |_| ControlFlow::Continue(())).map_err(|e| refused(&e))?;
        let name = "blk.0.ffn_gate_exps.weight";
        let tensor = plan.tensors().iter().find(|t| t.name == name && t.format == format);
        let bytes = tensor.and_then(|t| file.get(t.bytes.clone()));
        let bytes =
            bytes.ok_or_else(|| refused(&format_args!("{cols} columns are no whole blocks of {format}")))?;
        Ok(Self { format, count, rows, cols, bytes: bytes.to_vec().into() })
    }

    /// One matrix of these numbers.
    #[must_use]
    pub fn floats(rows: usize, cols: usize, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { format: Format::F32, count: 1, rows, cols, bytes: bytes.into() }
    }

    /// As a backend takes it up.
    #[must_use]
    pub fn tensor(&self) -> Tensor<'_> {
        let Self { format, count, rows, cols, .. } = *self;
        Tensor { name: "operand", format, count, rows, cols, bytes: &self.bytes }
    }
}

/// Rows `first ..` of one sequence, whose tokens count from 0.
#[must_use]
pub fn rows(first: usize, n: usize) -> Rows {
    Rows {
        token: (0..n as u32).collect(),
        position: (first as u32..(first + n) as u32).collect(),
        sequence: vec![0; n],
        out: (0..n as u32).filter(|r| r % 2 == 0).collect(),
    }
}

/// A plane that holds these values, in every form that the precision has.
///
/// # Errors
/// What the backend reports.
pub fn plane<B: Backend>(be: &mut B, width: usize, values: &[f32]) -> Result<B::Act, B::Err> {
    let n = values.len() / width;
    let table = be.mat(Weights::floats(n, width, values).tensor())?;
    let batch = be.batch(&rows(0, n), None)?;
    let mut x = be.act(n, width)?;
    // Looking up sets the number of rows, which writing then has to agree with.
    be.embed(&mut x, &table, &batch)?;
    be.write(&mut x, Cols::ALL, values)?;
    Ok(x)
}

/// A plane that a product may read in either precision: values that were normed.
///
/// # Errors
/// What the backend reports.
pub fn normed<B: Backend>(be: &mut B, width: usize, values: &[f32]) -> Result<B::Act, B::Err> {
    let (x, ones) = (plane(be, width, values)?, vector(be, &vec![1.0; width])?);
    let mut o = be.act(values.len() / width, width)?;
    be.norm(&mut o, &x, &ones, EPS)?;
    Ok(o)
}

/// A vector of these values.
///
/// # Errors
/// What the backend reports.
pub fn vector<B: Backend>(be: &mut B, values: &[f32]) -> Result<B::Vector, B::Err> {
    be.vector(Weights::floats(1, values.len(), values).tensor())
}

/// Heads, experts and rotation; the rest does not matter to an operation.
#[must_use]
pub fn config(head_dim: usize, pairing: Pairing, experts: Experts) -> Config {
    Config {
        architecture: "qwen3moe",
        layers: 1,
        hidden: 64,
        heads: 6,
        kv_heads: 2,
        head_dim,
        ff: 32,
        vocab: 64,
        experts: Some(experts),
        eps: 1e-6,
        rope: Rope { base: 1e4, dims: head_dim / 4 * 2, pairing, factors: Vec::new(), scale: 1.0 },
        head_norm: true,
        qkv_bias: true,
        context: 1024,
    }
}
