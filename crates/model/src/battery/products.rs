//! Weights of every format: looked up, and multiplied with activations.

use super::operands::{Weights, normed, numbers};
use super::{Backend, Case, Clock, Error, Operation, Pairing, Work, plane, rows, shape, values};
use crate::backend::{Cols, Precision};
use crate::config::{Config, Experts};
use crate::quant::{FORMATS, Format};
use crate::{numerics, quant, route};

/// Columns of a block of activations in 8 bits.
const QUANTA: usize = 32;

fn format(case: &dyn Case) -> Result<Format, Error> {
    let name = case.word("format")?;
    let unknown = || Error::Unknown { what: "format", found: name.to_owned(), expected: quant::names() };
    let row = FORMATS.iter().find(|row| row.name == name);
    Ok(row.ok_or_else(unknown)?.format)
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
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let format = format(case)?;
        let block = format.row().block.max(QUANTA);
        let weights =
            Weights::random(format, 1, case.size("rows")?, case.size("blocks")? * block, case.seed())?;
        let all = weights_of(&weights)?;
        Ok(Self { weights, all })
    }
    fn meaning(&self) -> Vec<f64> {
        self.all.iter().map(|v| f64::from(*v)).collect()
    }
    fn work(&self) -> Work {
        let weights = self.weights.rows * self.weights.cols;
        Work { bytes: self.weights.bytes.len() + 4 * weights, flops: 2 * weights }
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let mat = be.mat(self.weights.tensor())?;
        let batch = be.batch(&rows(0, self.weights.rows), None)?;
        let mut o = be.act(self.weights.rows, self.weights.cols)?;
        clock.run(be, |be| be.embed(&mut o, &mat, &batch))?;
        be.read(&o, Cols::ALL)
    }
}

/// Logits that rows choose their experts by.
fn logits(experts: Experts, n: usize) -> Vec<f32> {
    numbers(5, n * experts.count)
}

/// The experts of each row, best first.
fn choices(experts: Experts, n: usize) -> Vec<u32> {
    let (mut order, mut weights) = (Vec::new(), vec![0.0; experts.used]);
    let mut all = vec![0; n * experts.used];
    for (ids, logits) in all.chunks_mut(experts.used).zip(logits(experts, n).chunks(experts.count)) {
        route::choose(logits, &experts, &mut order, ids, &mut weights);
    }
    all
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
    /// How many activations in 8 bits share a scale; `None` where they are multiplied as they are.
    quanta: Option<usize>,
}

impl Product {
    fn config(&self, experts: Experts) -> Config {
        Config { experts: Some(experts), ..shape(32, Pairing::Halves) }
    }

    fn route<B: Backend>(&self, be: &mut B, experts: Experts) -> Result<B::Route, B::Err> {
        let logits = plane(be, experts.count, &logits(experts, self.n))?;
        let mut route = be.route_plane(self.n, experts.used)?;
        be.top_k(&mut route, &logits, &self.config(experts))?;
        Ok(route)
    }

    /// The activations that the weights are multiplied with: in 8 bits, `d = amax / 127` and `rint(x / d)` of those that
    /// share a scale.
    fn activations(&self) -> Vec<f64> {
        let quantized = |block: &[f32]| -> Vec<f64> {
            let scale = block.iter().fold(0.0_f32, |m, v| if v.abs() > m { v.abs() } else { m }) / 127.0;
            let quantum = |v: &f32| f64::from((v / scale).round_ties_even()) * f64::from(scale);
            block.iter().map(|v| if scale == 0.0 { 0.0 } else { quantum(v) }).collect()
        };
        match self.quanta {
            Some(quanta) => self.x.chunks(quanta).flat_map(quantized).collect(),
            None => self.x.iter().map(|v| f64::from(*v)).collect(),
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
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let format = format(case)?;
        let block = format.row().block.max(QUANTA);
        let (n, count) = (case.size("n")?, case.size("experts")?);
        let weights =
            Weights::random(format, count, case.size("rows")?, case.size("blocks")? * block, case.seed())?;
        let all = weights_of(&weights)?;
        let raw = values(case.word("values")?, case.seed() + 1, n * weights.cols)?;
        let backend = match case.word("backend")?.split_once(':') {
            Some((device, name)) => Precision::from_name(name).map(|precision| (device, precision)),
            None => None,
        };
        let Some((device, precision)) = backend else {
            let expected = "device:exact or device:fast".to_owned();
            return Err(Error::Unknown {
                what: "backend",
                found: case.word("backend")?.to_owned(),
                expected,
            });
        };
        let quanta = match precision {
            // Plain numbers are multiplied as they are in either precision.
            Precision::Fast if format.row().block > 1 => {
                let halves = device == "cpu" && format.by_halves();
                Some(if halves { QUANTA / 2 } else { QUANTA })
            }
            _ => None,
        };
        let experts = (count > 1).then(|| Experts { count, used: count.div_ceil(2), renormalize: true });
        // What is multiplied is what the norm gave, in its own bits: it has a claim of its own, and so has the choice.
        let (ones, mut x) = (vec![1.0; weights.cols], vec![0.0; raw.len()]);
        for (o, x) in x.chunks_mut(weights.cols).zip(raw.chunks(weights.cols)) {
            numerics::norm(o, x, &ones, super::operands::EPS);
        }
        let ids = experts.map(|experts| choices(experts, n)).unwrap_or_default();
        Ok(Self { weights, all, x, raw, n, experts, ids, quanta })
    }
    fn meaning(&self) -> Vec<f64> {
        self.sums(|w, x| f64::from(w) * x)
    }
    fn magnitude(&self) -> Option<Vec<f64>> {
        Some(self.sums(|w, x| (f64::from(w) * x).abs()))
    }
    fn work(&self) -> Work {
        let Weights { count, rows, cols, .. } = self.weights;
        let entries = if self.experts.is_some() { self.ids.len() } else { self.n };
        // Of experts those that a row chose.
        let mut chosen = self.ids.clone();
        chosen.sort_unstable();
        chosen.dedup();
        let matrices = if self.experts.is_some() { chosen.len() } else { 1 };
        let weights = self.weights.bytes.len() / count.max(1) * matrices;
        Work { bytes: weights + 4 * (self.n * cols + entries * rows), flops: 2 * entries * rows * cols }
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let mat = be.mat(self.weights.tensor())?;
        let x = normed(be, self.weights.cols, &self.raw)?;
        let route = self.experts.map(|experts| self.route(be, experts)).transpose()?;
        let entries = self.experts.map_or(self.n, |experts| self.n * experts.used);
        let mut o = plane(be, self.weights.rows, &vec![0.0; entries * self.weights.rows])?;
        clock.run(be, |be| be.matmul(&mut o, 0, &mat, &x, route.as_ref()))?;
        be.read(&o, Cols::ALL)
    }
}
