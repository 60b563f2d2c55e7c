//! Operands that a test makes: numbers, weights of any format, planes, rows of a pass.

use model::backend::{Backend, Cols, Rows, Tensor};
use model::bytes::Bytes;
use model::config::{Config, Experts, Pairing, Rope};
use model::quant::Format;
use model::synth::{Mix, Plan, Shape};
use std::ops::ControlFlow;

/// Numbers in [-2, 2), the same for a seed everywhere.
pub(crate) fn numbers(seed: u64, n: usize) -> Vec<f32> {
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
pub(crate) struct Weights {
    pub(crate) format: Format,
    pub(crate) count: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) bytes: Bytes,
}

impl Weights {
    /// `count` random matrices.
    pub(crate) fn random(format: Format, count: usize, rows: usize, cols: usize, seed: u64) -> Self {
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
        let mix = Mix::from_name(&format.row().name.to_lowercase()).expect("a mix of one format");
        let plan = Plan::new("operands", &shape, mix, seed).expect("a plan");
        let mut file = Vec::new();
        plan.write(&mut file, |_| ControlFlow::Continue(())).expect("weights");
        let name = "blk.0.ffn_gate_exps.weight";
        let tensor = plan.tensors().iter().find(|t| t.name == name).expect("expert weights");
        assert_eq!(tensor.format, format, "{cols} columns are whole blocks");
        Self { format, count, rows, cols, bytes: file[tensor.bytes.clone()].to_vec().into() }
    }

    /// The same with every scale of Q4_K's blocks near 3000: a group's scale times it is no half float any more.
    pub(crate) fn large(self) -> Self {
        const SCALE: [u8; 2] = 0x69dc_u16.to_le_bytes();
        assert_eq!(self.format, Format::Q4K);
        let mut bytes = self.bytes.to_vec();
        bytes.chunks_exact_mut(144).for_each(|block| block[..2].copy_from_slice(&SCALE));
        Self { bytes: bytes.into(), ..self }
    }

    pub(crate) fn floats(rows: usize, cols: usize, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { format: Format::F32, count: 1, rows, cols, bytes: bytes.into() }
    }

    pub(crate) fn tensor(&self) -> Tensor<'_> {
        let Self { format, count, rows, cols, .. } = *self;
        Tensor { name: "operand", format, count, rows, cols, bytes: &self.bytes }
    }
}

/// Rows `first ..` of one sequence, whose tokens count from 0.
pub(crate) fn rows(first: usize, n: usize) -> Rows {
    Rows {
        token: (0..n as u32).collect(),
        position: (first as u32..(first + n) as u32).collect(),
        sequence: vec![0; n],
        out: (0..n as u32).filter(|r| r % 2 == 0).collect(),
    }
}

/// A plane that holds these values, in every form that the precision has.
pub(crate) fn plane<B: Backend>(be: &mut B, width: usize, values: &[f32]) -> Result<B::Act, B::Err> {
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
pub(crate) fn normed<B: Backend>(be: &mut B, width: usize, values: &[f32]) -> Result<B::Act, B::Err> {
    let (x, ones) = (plane(be, width, values)?, vector(be, &vec![1.0; width])?);
    let mut o = be.act(values.len() / width, width)?;
    be.norm(&mut o, &x, &ones, 1e-6)?;
    Ok(o)
}

pub(crate) fn vector<B: Backend>(be: &mut B, values: &[f32]) -> Result<B::Vector, B::Err> {
    be.vector(Weights::floats(1, values.len(), values).tensor())
}

/// Heads, experts and rotation; the rest does not matter to an operation.
pub(crate) fn config(head_dim: usize, pairing: Pairing, experts: Experts) -> Config {
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
