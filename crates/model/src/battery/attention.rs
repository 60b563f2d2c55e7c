//! Causal attention of grouped queries over a cache that was filled in two steps.

use super::{Backend, Case, Clock, Config, Error, Operation, Pairing, Work, plane, rows, shape, values};
use crate::backend::{Cols, KvShape};

/// Attention of the last rows.
pub(super) struct Attention {
    config: Config,
    /// Rows that are in the cache before.
    before: usize,
    /// Rows that ask.
    asking: usize,
    /// Queries, keys and values of all rows, one row after the other.
    qkv: Vec<f32>,
}

impl Attention {
    fn width(&self) -> usize {
        self.config.q_width() + 2 * self.config.kv_width()
    }
}

impl Operation for Attention {
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let config = shape(case.size("head_dim")?, Pairing::Halves);
        let (before, asking) = (case.size("before")?, case.size("rows")?);
        let width = config.q_width() + 2 * config.kv_width();
        let qkv = values(case.word("values")?, case.seed(), (before + asking) * width)?;
        Ok(Self { config, before, asking, qkv })
    }
    fn meaning(&self) -> Vec<f64> {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let all: Vec<&[f32]> = self.qkv.chunks(self.width()).collect();
        let part = |row: usize, start: usize| all[row][start..start + head_dim].iter().map(|v| f64::from(*v));
        let mut out = Vec::new();
        for row in self.before..self.before + self.asking {
            for head in 0..heads {
                let shared = head / (heads / kv_heads);
                let key = self.config.q_width() + shared * head_dim;
                let value = key + self.config.kv_width();
                let score = |at: usize| -> f64 {
                    let dot: f64 = part(row, head * head_dim).zip(part(at, key)).map(|(q, k)| q * k).sum();
                    dot / (head_dim as f64).sqrt()
                };
                let scores: Vec<f64> = (0..=row).map(score).collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                let total: f64 = weights.iter().sum();
                let mut sum = vec![0.0; head_dim];
                for (at, weight) in weights.iter().enumerate() {
                    sum.iter_mut().zip(part(at, value)).for_each(|(s, v)| *s += weight / total * v);
                }
                out.extend(sum);
            }
        }
        out
    }
    fn work(&self) -> Work {
        let Config { heads, head_dim, .. } = self.config;
        // A score and a weighted value of each key that a row sees, and the key's exponential.
        let keys: usize = (self.before..self.before + self.asking).map(|row| row + 1).sum();
        let kept = 2 * (self.before + self.asking) * self.config.kv_width();
        Work::floats(kept + 2 * self.asking * self.config.q_width(), keys * heads * (4 * head_dim + 1))
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let Config { kv_heads, head_dim, .. } = self.config;
        let width = self.width();
        // Less room than is needed at the end: the cache grows.
        let mut kv = be.kv(KvShape { heads: kv_heads, head_dim, positions: 16, sequences: 1 })?;
        let (earlier, asking) = self.qkv.split_at(self.before * width);
        if !earlier.is_empty() {
            let batch = be.batch(&rows(0, self.before), None)?;
            let qkv = plane(be, width, earlier)?;
            be.append(&mut kv, &qkv, &self.config, &batch)?;
        }
        let batch = be.batch(&rows(self.before, self.asking), None)?;
        let qkv = plane(be, width, asking)?;
        be.append(&mut kv, &qkv, &self.config, &batch)?;
        let mut o = be.act(self.asking, self.config.q_width())?;
        clock.run(be, |be| be.attention(&mut o, &qkv, &kv, &self.config, &batch))?;
        be.read(&o, Cols::ALL)
    }
}
