//! Norms, rotation and the gated unit: each row by itself.

use super::{
    Backend, Case, Clock, Config, Error, Operation, Pairing, Work, plane, rows, shape, values, vector,
};
use crate::backend::Cols;

const EPS: f32 = 1e-6;

/// `x / sqrt(mean of squares + eps) * w`.
fn normed(x: &[f32], w: &[f32]) -> impl Iterator<Item = f64> {
    let squares: f64 = x.iter().map(|v| f64::from(*v).powi(2)).sum();
    let scale = (squares / x.len() as f64 + f64::from(EPS)).sqrt().recip();
    x.iter().zip(w).map(move |(x, w)| f64::from(*x) * scale * f64::from(*w))
}

/// Root-mean-square norm of rows.
pub(super) struct Norm {
    cols: usize,
    x: Vec<f32>,
    w: Vec<f32>,
}

impl Operation for Norm {
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let (rows, cols) = (case.size("rows")?, case.size("cols")?);
        let x = values(case.word("values")?, case.seed(), rows * cols)?;
        Ok(Self { cols, x, w: values("ordinary", case.seed() + 1, cols)? })
    }
    fn meaning(&self) -> Vec<f64> {
        self.x.chunks(self.cols).flat_map(|x| normed(x, &self.w)).collect()
    }
    fn work(&self) -> Work {
        Work::floats(2 * self.x.len() + self.cols, 4 * self.x.len())
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let (x, w) = (plane(be, self.cols, &self.x)?, vector(be, &self.w)?);
        let mut o = be.act(x_rows(&self.x, self.cols), self.cols)?;
        clock.run(be, |be| be.norm(&mut o, &x, &w, EPS))?;
        be.read(&o, Cols::ALL)
    }
}

fn x_rows(x: &[f32], cols: usize) -> usize {
    x.len() / cols
}

/// The same of each head, in place, between columns that it leaves alone.
pub(super) struct HeadNorm {
    heads: usize,
    head_dim: usize,
    x: Vec<f32>,
    w: Vec<f32>,
}

/// Columns before the heads and after them.
const BESIDE: usize = 3;

impl HeadNorm {
    fn width(&self) -> usize {
        self.heads * self.head_dim + 2 * BESIDE
    }
}

impl Operation for HeadNorm {
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let (rows, heads, head_dim) = (case.size("rows")?, case.size("heads")?, case.size("head_dim")?);
        let x = values(case.word("values")?, case.seed(), rows * (heads * head_dim + 2 * BESIDE))?;
        Ok(Self { heads, head_dim, x, w: values("ordinary", case.seed() + 1, head_dim)? })
    }
    fn meaning(&self) -> Vec<f64> {
        let mut out = Vec::new();
        for row in self.x.chunks(self.width()) {
            let (before, rest) = row.split_at(BESIDE);
            let (heads, after) = rest.split_at(self.heads * self.head_dim);
            out.extend(before.iter().map(|v| f64::from(*v)));
            out.extend(heads.chunks(self.head_dim).flat_map(|head| normed(head, &self.w)));
            out.extend(after.iter().map(|v| f64::from(*v)));
        }
        out
    }
    fn work(&self) -> Work {
        Work::floats(2 * self.x.len() + self.head_dim, 4 * self.x.len())
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let (mut x, w) = (plane(be, self.width(), &self.x)?, vector(be, &self.w)?);
        let heads = Cols::new(BESIDE, self.heads * self.head_dim);
        clock.run(be, |be| be.head_norm(&mut x, heads, &w, EPS))?;
        be.read(&x, Cols::ALL)
    }
}

/// Rotation of pairs by their position.
pub(super) struct Rope {
    config: Config,
    position: usize,
    x: Vec<f32>,
}

impl Operation for Rope {
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let pairing = match case.word("pairing")? {
            "halves" => Pairing::Halves,
            "neighbours" => Pairing::Neighbours,
            other => {
                let expected = "halves or neighbours".to_owned();
                return Err(Error::Unknown { what: "pairing", found: other.to_owned(), expected });
            }
        };
        let config = shape(case.size("head_dim")?, pairing);
        let x = values("ordinary", case.seed(), case.size("rows")? * config.q_width())?;
        Ok(Self { config, position: case.size("position")?, x })
    }
    fn meaning(&self) -> Vec<f64> {
        let Config { head_dim, rope, .. } = &self.config;
        let mut out: Vec<f64> = self.x.iter().map(|v| f64::from(*v)).collect();
        for (r, row) in out.chunks_mut(self.config.q_width()).enumerate() {
            for head in row.chunks_mut(*head_dim) {
                for pair in 0..rope.dims / 2 {
                    let frequency = rope.base.powf(-2.0 * pair as f64 / rope.dims as f64);
                    let (sin, cos) = ((self.position + r) as f64 * frequency).sin_cos();
                    let (i, j) = match rope.pairing {
                        Pairing::Halves => (pair, pair + rope.dims / 2),
                        Pairing::Neighbours => (2 * pair, 2 * pair + 1),
                    };
                    (head[i], head[j]) = (head[i] * cos - head[j] * sin, head[j] * cos + head[i] * sin);
                }
            }
        }
        out
    }
    fn work(&self) -> Work {
        Work::floats(2 * self.x.len(), 3 * self.x.len())
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let width = self.config.q_width();
        let batch = be.batch(&rows(self.position, x_rows(&self.x, width)), None)?;
        let mut x = plane(be, width, &self.x)?;
        clock.run(be, |be| be.rope(&mut x, Cols::new(0, width), &self.config, &batch))?;
        be.read(&x, Cols::ALL)
    }
}

/// `silu(gate) * up`.
pub(super) struct Swiglu {
    cols: usize,
    x: Vec<f32>,
}

impl Operation for Swiglu {
    fn of(case: &dyn Case) -> Result<Self, Error> {
        let (rows, cols) = (case.size("rows")?, case.size("cols")?);
        Ok(Self { cols, x: values(case.word("values")?, case.seed(), rows * 2 * cols)? })
    }
    fn meaning(&self) -> Vec<f64> {
        let silu = |x: f64| x / (1.0 + (-x).exp());
        let row = |row: &[f32]| {
            let (gate, up) = row.split_at(self.cols);
            gate.iter().zip(up).map(|(g, u)| silu(f64::from(*g)) * f64::from(*u)).collect::<Vec<_>>()
        };
        self.x.chunks(2 * self.cols).flat_map(row).collect()
    }
    fn work(&self) -> Work {
        Work::floats(self.x.len() / 2 * 3, self.x.len() / 2 * 4)
    }
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err> {
        let x = plane(be, 2 * self.cols, &self.x)?;
        let mut h = be.act(x_rows(&self.x, 2 * self.cols), self.cols)?;
        clock.run(be, |be| be.swiglu(&mut h, &x))?;
        be.read(&h, Cols::ALL)
    }
}
