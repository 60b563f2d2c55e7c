//! The router's choice, and the sum of what the chosen experts gave.

use super::{Backend, Case, Clock, Config, Error, Operation, Pairing, Work, plane, shape, values};
use crate::backend::Cols;
use crate::config::Experts;

/// The chosen experts of each row and their weights. Which experts are left by a NaN is nobody's promise: their numbers
/// are not compared then, their weights are.
pub(super) struct TopK {
    config: Config,
    experts: Experts,
    logits: Vec<f32>,
}

impl TopK {
    fn rows(&self) -> std::slice::Chunks<'_, f32> {
        self.logits.chunks(self.experts.count)
    }

    /// Numbers and weights of one row, the numbers as floats so that they are compared like the weights.
    fn row(&self, logits: &[f32]) -> Vec<f64> {
        let Experts { used, renormalize, .. } = self.experts;
        if logits.iter().any(|x| x.is_nan()) {
            return [vec![0.0; used], vec![f64::NAN; used]].concat();
        }
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).unwrap_or(a.cmp(&b)).then(a.cmp(&b)));
        let largest = f64::from(logits[order[0]]);
        let exp = |x: f32| (f64::from(x) - largest).exp();
        let all: f64 = logits.iter().map(|x| exp(*x)).sum();
        let chosen: Vec<f64> = order[..used].iter().map(|&i| exp(logits[i]) / all).collect();
        let total: f64 = if renormalize { chosen.iter().sum() } else { 1.0 };
        let ids = order[..used].iter().map(|&i| i as f64);
        ids.chain(chosen.iter().map(|w| w / total)).collect()
    }
}

impl Operation for TopK {
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let count = case.size("experts")?;
        // No more experts are used than there are.
        let experts =
            Experts { count, used: case.size("used")?.min(count), renormalize: case.truth("renormalize")? };
        let mut logits = values(case.word("values")?, case.seed(), case.size("rows")? * count)?;
        // Differences of the order of the numbers of a trained router, so that no softmax is all one expert.
        if case.word("values")? == "large" {
            logits.iter_mut().for_each(|x| *x /= 1e12);
        }
        Ok(Self { config: Config { experts: Some(experts), ..shape(32, Pairing::Halves) }, experts, logits })
    }
    fn meaning(&self) -> Vec<f64> {
        self.rows().flat_map(|row| self.row(row)).collect()
    }
    fn work(&self) -> Work {
        // An exponential and an addition of each, besides the search.
        Work::floats(self.logits.len() + 2 * self.rows().len() * self.experts.used, 2 * self.logits.len())
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let Experts { count, used, .. } = self.experts;
        let logits = plane(be, count, &self.logits)?;
        let mut route = be.route_plane(self.rows().len(), used)?;
        clock.run(be, |be| be.top_k(&mut route, &logits, &self.config))?;
        let found = be.read_route(&route)?;
        let rows = found.ids.chunks(used).zip(found.weights.chunks(used)).zip(self.rows());
        Ok(rows
            .flat_map(|((ids, weights), logits)| {
                let is_broken = logits.iter().any(|x| x.is_nan());
                let ids = ids.iter().map(move |&id| if is_broken { 0.0 } else { id as f32 });
                ids.chain(weights.iter().copied()).collect::<Vec<_>>()
            })
            .collect())
    }
}

/// The weighted sum over a row's experts.
pub(super) struct Combine {
    top_k: TopK,
    cols: usize,
    y: Vec<f32>,
}

impl Combine {
    /// For each row and column, the sum of a term over the chosen experts.
    fn sums(&self, term: impl Fn(f64, f32) -> f64) -> Vec<f64> {
        let used = self.top_k.experts.used;
        let mut out = Vec::new();
        for (logits, y) in self.top_k.rows().zip(self.y.chunks(used * self.cols)) {
            let route = self.top_k.row(logits);
            let weights = route[used..].iter().enumerate();
            let sum = |c| weights.clone().map(|(j, w)| term(*w, y[j * self.cols + c])).sum::<f64>();
            out.extend((0..self.cols).map(sum));
        }
        out
    }
}

impl Operation for Combine {
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let (rows, used, cols) = (case.size("rows")?, case.size("used")?, case.size("cols")?);
        let experts = Experts { count: 2 * used, used, renormalize: true };
        let top_k = TopK {
            config: Config { experts: Some(experts), ..shape(32, Pairing::Halves) },
            experts,
            logits: values("ordinary", case.seed() + 1, rows * experts.count)?,
        };
        Ok(Self { top_k, cols, y: values(case.word("values")?, case.seed(), rows * used * cols)? })
    }
    fn meaning(&self) -> Vec<f64> {
        self.sums(|w, y| w * f64::from(y))
    }
    fn magnitude(&self) -> Option<Vec<f64>> {
        Some(self.sums(|w, y| (w * f64::from(y)).abs()))
    }
    fn work(&self) -> Work {
        Work::floats(self.y.len() / self.top_k.experts.used.max(1) + self.y.len(), 2 * self.y.len())
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let TopK { config, experts, logits } = &self.top_k;
        let rows = self.top_k.rows().len();
        let logits = plane(be, experts.count, logits)?;
        let mut route = be.route_plane(rows, experts.used)?;
        be.top_k(&mut route, &logits, config)?;
        let y = plane(be, self.cols, &self.y)?;
        let mut o = be.act(rows, self.cols)?;
        clock.run(be, |be| be.combine(&mut o, &y, &route))?;
        be.read(&o, Cols::ALL)
    }
}
