//! Weights of every format: looked up, and multiplied with activations.

use super::{Backend, Case, Error, Operation, Pairing, plane, rows, shape, values};
use crate::operands::{Weights, normed, numbers};
use model::backend::{Cols, Precision};
use model::config::{Config, Experts};
use model::cpu::Cpu;
use model::quant::{FORMATS, Format};
use std::num::NonZeroUsize;

/// Columns of a block of activations in 8 bits.
const QUANTA: usize = 32;

fn format(case: &Case) -> Result<Format, Error> {
    let name = case.word("format")?;
    let row = FORMATS.iter().find(|row| row.name == name);
    Ok(row.ok_or_else(|| format!("no format `{name}`"))?.format)
}

fn weights_of(w: &Weights) -> Result<Vec<f32>, Error> {
    let mut all = vec![0.0; w.count * w.rows * w.cols];
    w.format.dequantize(&w.bytes, &mut all)?;
    Ok(all)
}

/// Rows of a matrix, looked up.
pub(super) struct Dequantize {
    weights: Weights,
    all: Vec<f32>,
}

impl Operation for Dequantize {
    fn of(case: &Case) -> Result<Self, Error> {
        let format = format(case)?;
        let block = format.row().block.max(QUANTA);
        let weights =
            Weights::random(format, 1, case.size("rows")?, case.size("blocks")? * block, case.seed());
        let all = weights_of(&weights)?;
        Ok(Self { weights, all })
    }
    fn meaning(&self) -> Vec<f64> {
        self.all.iter().map(|v| f64::from(*v)).collect()
    }
    fn results<B: Backend>(&self, be: &mut B) -> Result<Vec<f32>, B::Err> {
        let mat = be.mat(self.weights.tensor())?;
        let batch = be.batch(&rows(0, self.weights.rows), None)?;
        let mut o = be.act(self.weights.rows, self.weights.cols)?;
        be.embed(&mut o, &mat, &batch)?;
        be.read(&o, Cols::ALL)
    }
}

/// Rows of activations times a matrix, or times that of each expert that a row chose.
pub(super) struct Product {
    weights: Weights,
    all: Vec<f32>,
    /// `[n, cols]`, normed.
    x: Vec<f32>,
    raw: Vec<f32>,
    n: usize,
    /// How many experts a row has; `None` with one matrix.
    experts: Option<Experts>,
    ids: Vec<u32>,
    precision: Precision,
}

impl Product {
    fn config(&self, experts: Experts) -> Config {
        Config { experts: Some(experts), ..shape(32, Pairing::Halves) }
    }

    fn route<B: Backend>(&self, be: &mut B, experts: Experts) -> Result<B::Route, B::Err> {
        let logits = plane(be, experts.count, &numbers(5, self.n * experts.count))?;
        let mut route = be.route_plane(self.n, experts.used)?;
        be.top_k(&mut route, &logits, &self.config(experts))?;
        Ok(route)
    }

    /// The activations that the weights are multiplied with: in 8 bits, `d = amax / 127` and `rint(x / d)` of each block.
    fn activations(&self) -> Vec<f64> {
        let quantized = |block: &[f32]| -> Vec<f64> {
            let scale = block.iter().fold(0.0_f32, |m, v| m.max(v.abs())) / 127.0;
            let quantum = |v: &f32| f64::from((v / scale).round_ties_even()) * f64::from(scale);
            block.iter().map(|v| if scale == 0.0 { 0.0 } else { quantum(v) }).collect()
        };
        match self.precision {
            // Plain numbers are multiplied as they are in either precision.
            Precision::Fast if self.weights.format.row().block > 1 => {
                self.x.chunks(QUANTA).flat_map(quantized).collect()
            }
            _ => self.x.iter().map(|v| f64::from(*v)).collect(),
        }
    }
}

impl Product {
    /// For each entry and each row of its matrix, the sum of a term over the columns.
    fn sums(&self, term: impl Fn(f32, f64) -> f64 + Copy) -> Vec<f64> {
        let Weights { rows, cols, .. } = self.weights;
        let x = self.activations();
        let product = |matrix: usize, entry: &[f64]| {
            let rows = self.all[matrix * rows * cols..][..rows * cols].chunks(cols);
            rows.map(|w| w.iter().zip(entry).map(|(w, x)| term(*w, *x)).sum()).collect::<Vec<f64>>()
        };
        match self.experts {
            None => x.chunks(cols).flat_map(|entry| product(0, entry)).collect(),
            Some(experts) => {
                let chosen = x.chunks(cols).zip(self.ids.chunks(experts.used));
                chosen
                    .flat_map(|(entry, ids)| ids.iter().flat_map(move |&id| product(id as usize, entry)))
                    .collect()
            }
        }
    }
}

impl Operation for Product {
    fn of(case: &Case) -> Result<Self, Error> {
        let format = format(case)?;
        let block = format.row().block.max(QUANTA);
        let (n, count) = (case.size("n")?, case.size("experts")?);
        let weights =
            Weights::random(format, count, case.size("rows")?, case.size("blocks")? * block, case.seed());
        let all = weights_of(&weights)?;
        let raw = values(case.word("values")?, case.seed() + 1, n * weights.cols)?;
        let precision = match case.word("backend")?.split_once(':') {
            Some((_, name)) => Precision::from_name(name).ok_or("the precisions are exact and fast")?,
            None => return Err("a backend is written device:precision".into()),
        };
        let experts = (count > 1).then(|| Experts { count, used: count.div_ceil(2), renormalize: true });
        // What is multiplied is what the norm gave, in its own bits: it has a claim of its own.
        let mut cpu = Cpu::new(Precision::Exact, NonZeroUsize::new(1))?;
        let x = normed(&mut cpu, weights.cols, &raw)?;
        let x = cpu.read(&x, Cols::ALL)?;
        let mut product = Self { weights, all, x, raw, n, experts, ids: Vec::new(), precision };
        if let Some(experts) = experts {
            let route = product.route(&mut cpu, experts)?;
            product.ids = cpu.read_route(&route)?.ids;
        }
        Ok(product)
    }
    fn meaning(&self) -> Vec<f64> {
        self.sums(|w, x| f64::from(w) * x)
    }
    fn magnitude(&self) -> Option<Vec<f64>> {
        Some(self.sums(|w, x| (f64::from(w) * x).abs()))
    }
    fn results<B: Backend>(&self, be: &mut B) -> Result<Vec<f32>, B::Err> {
        let mat = be.mat(self.weights.tensor())?;
        let x = normed(be, self.weights.cols, &self.raw)?;
        let route = self.experts.map(|experts| self.route(be, experts)).transpose()?;
        let entries = self.experts.map_or(self.n, |experts| self.n * experts.used);
        let mut o = plane(be, self.weights.rows, &vec![0.0; entries * self.weights.rows])?;
        be.matmul(&mut o, 0, &mat, &x, route.as_ref())?;
        be.read(&o, Cols::ALL)
    }
}
