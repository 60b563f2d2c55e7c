//! The CPU backend: planes in memory, kernels of [`simd`], work spread over a [`pool`].
//!
//! Every result is a function of its operands alone: not of the number of threads, of the rows beside it, or of the
//! instruction set. It knows no file and no order of layers.

pub mod pool;
pub mod q8;
pub mod simd;
pub mod tile;

mod attention;
mod error;
mod float;
mod kv;
mod matmul;
mod matrix;
mod plane;
mod quantized;

pub use error::Error;
pub use kv::Kv;
pub use matrix::Mat;
pub use plane::Act;

use crate::backend::{Backend, Cols, KvShape, Precision, Routes, Rows, Tensor};
use crate::config::{Config, Pairing, Rope};
use crate::numerics::RopeTable;
use crate::route;
use crate::tap::Off;
use fault::fault;
use pool::{Columns, Groups, PerThread, Pool};
use q8::{BLOCK, Q8Block};
use simd::{Level, Opened, Softmax};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A pool of threads, an instruction set and a precision.
#[derive(Debug)]
pub struct Cpu {
    precision: Precision,
    level: Level,
    pool: Pool,
    rope: Option<(Rope, RopeTable)>,
    /// Which rows belong together, for the operation at hand.
    groups: Groups,
    /// The input of the product at hand in 8 bits with a scale for each half of a block, where weights want it so.
    halves: Vec<Q8Block>,
    /// No weights get it.
    whole_blocks: bool,
    /// Attention to chunks of positions, on its way to the rows.
    pieces: Vec<f32>,
    scratch: PerThread<Scratch>,
}

/// What one thread works in; operations find there what the one before left.
#[derive(Debug, Default)]
struct Scratch {
    /// Dequantized weights, or scores.
    floats: Vec<f32>,
    /// Sums on their way to their rows.
    sums: Vec<f32>,
    /// Rows put together again.
    bytes: Vec<u8>,
    /// Tiles opened for products.
    opened: Vec<Opened>,
    /// Rows that fill no tile, filled up to one, and the tile they make.
    padded: Vec<u8>,
    tile: Vec<u8>,
    /// The state of each query head, `[rows, heads]`.
    softmax: Vec<Softmax>,
    /// By what to scale old and new values of each query head.
    steps: Vec<(f32, f32)>,
    /// Experts in order.
    order: Vec<u32>,
}

/// The rows of a pass.
#[derive(Debug)]
pub struct Batch {
    rows: Rows,
}

impl Cpu {
    /// A backend of `threads` threads; `None` takes as many as the machine has.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new(precision: Precision, threads: Option<NonZeroUsize>) -> Result<Self, Error> {
        Self::with_level(precision, threads, Level::best())
    }

    /// The same with a chosen instruction set: [`Level::SCALAR`] is the arbiter between a wrong kernel and a coarse
    /// precision.
    ///
    /// # Errors
    /// As [`Cpu::new`].
    pub fn with_level(
        precision: Precision,
        threads: Option<NonZeroUsize>,
        level: Level,
    ) -> Result<Self, Error> {
        let threads = match threads {
            Some(n) => n,
            None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        let (pool, scratch) = (Pool::new(threads)?, PerThread::new(threads.get()));
        Ok(Self {
            precision,
            level,
            pool,
            rope: None,
            groups: Groups::default(),
            halves: Vec::new(),
            whole_blocks: false,
            pieces: Vec::new(),
            scratch,
        })
    }

    /// The same with activations in 8 bits that share a scale by whole blocks in front of all weights: what a GPU's kernels
    /// multiply, for whoever compares with them.
    #[must_use]
    pub fn with_whole_blocks(self) -> Self {
        Self { whole_blocks: true, ..self }
    }

    /// How it computes.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// With which instructions.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// How many threads it has.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Runs `work(r, row)` for every row of a plane whose 8-bit blocks are wanted in `fast`; `cost` is about what a row takes
    /// in multiply-adds.
    fn rows_with_blocks(&mut self, x: &mut Act, cost: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
        if self.precision == Precision::Exact || !x.with_blocks() {
            return self.pool.rows(x, cost, work);
        }
        let (level, width) = (self.level, x.width());
        self.groups.runs(x.rows(), pool::at_once(cost));
        let groups = &self.groups;
        let (values, blocks) = x.parts_mut();
        let mut planes = (
            Columns::new(values, width, 0, width, width.max(1)),
            Columns::new(blocks, width / BLOCK, 0, width / BLOCK, width.max(1)),
        );
        self.pool.split(&mut planes, groups, 1, |_, group, _, (mut rows, mut blocks)| {
            for (i, &r) in groups.get(group).iter().enumerate() {
                work(r as usize, rows.row(i));
                simd::quantize(level, rows.row(i), blocks.row(i));
            }
        });
    }

    /// The rotation table of a model, reaching past `last`.
    fn table(&mut self, rope: &Rope, last: u32) -> &RopeTable {
        if self.rope.as_ref().is_none_or(|(known, _)| known != rope) {
            self.rope = None;
        }
        let (_, table) = self.rope.get_or_insert_with(|| (rope.clone(), RopeTable::new(rope)));
        let needed = last as usize + 1;
        if table.positions() < needed {
            table.reserve(needed.next_power_of_two().max(512));
        }
        table
    }
}

impl Backend for Cpu {
    type Mat = Mat;
    type Vector = Vec<f32>;
    type Act = Act;
    type Kv = Kv;
    type Batch = Batch;
    type Route = Routes;
    type Err = Error;
    type Inside = Off;

    fn mat(&mut self, tensor: Tensor<'_>) -> Result<Mat, Error> {
        match self.precision {
            Precision::Exact => Mat::new(tensor),
            Precision::Fast => Mat::interleaved(tensor, &mut self.pool),
        }
    }

    fn vector(&mut self, tensor: Tensor<'_>) -> Result<Vec<f32>, Error> {
        let mut values = vec![0.0; tensor.count * tensor.rows * tensor.cols];
        tensor.format.dequantize(tensor.bytes, &mut values)?;
        Ok(values)
    }

    fn act(&mut self, rows: usize, width: usize) -> Result<Act, Error> {
        Ok(Act::new(rows, width))
    }

    fn route_plane(&mut self, rows: usize, chosen: usize) -> Result<Routes, Error> {
        let (ids, weights) = (Vec::with_capacity(rows * chosen), Vec::with_capacity(rows * chosen));
        Ok(Routes { chosen, ids, weights, margin: Vec::with_capacity(rows) })
    }

    fn kv(&mut self, shape: KvShape) -> Result<Kv, Error> {
        Kv::new(shape, self.precision)
    }

    fn batch(&mut self, rows: &Rows, reuse: Option<Batch>) -> Result<Batch, Error> {
        let n = rows.token.len();
        for (what, found) in [("positions", rows.position.len()), ("sequences", rows.sequence.len())] {
            if found != n {
                return Err(Error::Shape { op: "batch", what, found, expected: n });
            }
        }
        if let Some(&row) = rows.out.iter().find(|&&row| row as usize >= n) {
            return Err(Error::Shape { op: "batch", what: "output row", found: row as usize, expected: n });
        }
        let mut batch = reuse.unwrap_or(Batch { rows: Rows::default() });
        batch.rows.clone_from(rows);
        Ok(batch)
    }

    fn read(&mut self, x: &Act, cols: Cols) -> Result<Vec<f32>, Error> {
        let (start, width) = x.cols("read", cols)?;
        let mut values = Vec::with_capacity(x.rows() * width);
        for row in x.iter() {
            values.extend_from_slice(&row[start..start + width]);
        }
        Ok(values)
    }

    fn apart(&mut self, work: &mut [&mut (dyn FnMut() + Send)]) {
        // A unit runs once, so no lock is ever waited for.
        let work: Vec<_> = work.iter_mut().map(Mutex::new).collect();
        self.pool.each(work.len(), |_, unit| work[unit].lock().unwrap_or_else(PoisonError::into_inner)());
    }

    fn read_rows(
        &mut self,
        x: &Act,
        cols: Cols,
        rows: Range<usize>,
        of: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let (start, width) = x.cols("read", cols)?;
        let part = x.rows() / of.max(1);
        out.clear();
        for row in x.iter().skip(rows.start * part).take(rows.len() * part) {
            out.extend_from_slice(&row[start..start + width]);
        }
        Ok(())
    }

    fn write(&mut self, x: &mut Act, cols: Cols, values: &[f32]) -> Result<(), Error> {
        let (start, width) = x.cols("write", cols)?;
        Error::shape("write", "values", values.len(), x.rows() * width)?;
        if width > 0 {
            for (row, values) in x.iter_mut().zip(values.chunks_exact(width)) {
                row[start..start + width].copy_from_slice(values);
            }
        }
        x.refresh(self.level);
        Ok(())
    }

    fn read_route(&mut self, route: &Routes) -> Result<Routes, Error> {
        Ok(route.clone())
    }

    fn write_route(&mut self, route: &mut Routes, values: &Routes) -> Result<(), Error> {
        Error::shape("forced route", "experts of a row", values.chosen, route.chosen)?;
        Error::shape("forced route", "rows", values.margin.len(), route.margin.len())?;
        Error::shape("forced route", "ids", values.ids.len(), route.ids.len())?;
        Error::shape("forced route", "weights", values.weights.len(), route.weights.len())?;
        route.clone_from(values);
        Ok(())
    }

    fn embed(&mut self, o: &mut Act, table: &Mat, batch: &Batch) -> Result<(), Error> {
        Error::shape("embed", "columns", table.cols(), o.width())?;
        o.set_rows("embed", batch.rows.token.len())?;
        let scratch = &mut *self.scratch.get(0);
        for (row, &token) in o.iter_mut().zip(&batch.rows.token) {
            let Some(bytes) = table.rows_of(0, token as usize, 1, &mut scratch.bytes) else {
                return Err(Error::Token { token, vocab: table.rows() });
            };
            simd::dequantize(self.level, table.format(), bytes, row);
        }
        Ok(())
    }

    fn norm(&mut self, o: &mut Act, x: &Act, w: &Vec<f32>, eps: f32) -> Result<(), Error> {
        Error::shape("norm", "columns", x.width(), w.len())?;
        Error::shape("norm", "output columns", o.width(), w.len())?;
        o.set_rows("norm", x.rows())?;
        let level = self.level;
        let eps = if fault!("norm-eps-dropped") { 0.0 } else { eps };
        self.rows_with_blocks(o, w.len(), |r, row| simd::norm(level, row, x.row(r), w, eps));
        Ok(())
    }

    fn head_norm(&mut self, x: &mut Act, cols: Cols, w: &Vec<f32>, eps: f32) -> Result<(), Error> {
        let (start, width) = x.cols("head norm", cols)?;
        if w.is_empty() || !width.is_multiple_of(w.len()) {
            return Err(Error::Shape {
                op: "head norm",
                what: "columns (a multiple of the weights)",
                found: width,
                expected: w.len(),
            });
        }
        if fault!("head-norm-missing") {
            return Ok(());
        }
        let level = self.level;
        self.pool.rows(x, width, |_, row| {
            for head in row[start..start + width].chunks_exact_mut(w.len()) {
                simd::norm_in_place(level, head, w, eps);
            }
        });
        Ok(())
    }

    fn bias(&mut self, x: &mut Act, col: usize, b: &Vec<f32>) -> Result<(), Error> {
        let (start, width) = x.cols("bias", Cols::new(col, b.len()))?;
        if fault!("bias-missing") {
            return Ok(());
        }
        for row in x.iter_mut() {
            simd::add(self.level, &mut row[start..start + width], b);
        }
        Ok(())
    }

    fn matmul(
        &mut self,
        o: &mut Act,
        col: usize,
        w: &Mat,
        x: &Act,
        route: Option<&Routes>,
    ) -> Result<(), Error> {
        matmul::matmul(self, o, col, w, x, route)
    }

    fn router(&mut self, o: &mut Act, w: &Mat, x: &Act) -> Result<(), Error> {
        matmul::matmul(self, o, 0, w, x, None)
    }

    fn rope(&mut self, x: &mut Act, cols: Cols, config: &Config, batch: &Batch) -> Result<(), Error> {
        let (start, width) = x.cols("rope", cols)?;
        let positions = &batch.rows.position;
        Error::shape("rope", "rows", x.rows(), positions.len())?;
        let Config { head_dim, rope, .. } = config;
        if *head_dim == 0 || !width.is_multiple_of(*head_dim) || rope.dims > *head_dim {
            return Err(Error::Shape { op: "rope", what: "columns", found: width, expected: *head_dim });
        }
        let last = positions.iter().copied().max().unwrap_or(0);
        let level = self.level;
        let shift = u32::from(fault!("rope-position-off-by-one"));
        self.table(rope, last + shift);
        let Some((_, table)) = &self.rope else { return Ok(()) };
        self.pool.rows(x, width, |r, row| {
            let Some((cos, sin)) = table.row((positions[r] + shift) as usize) else { return };
            for head in row[start..start + width].chunks_exact_mut(*head_dim) {
                let head = &mut head[..rope.dims];
                match rope.pairing {
                    Pairing::Halves if !fault!("rope-pairs-neighbours") => {
                        simd::rotate_halves(level, head, cos, sin);
                    }
                    Pairing::Neighbours if fault!("rope-pairs-halves") => {
                        simd::rotate_halves(level, head, cos, sin);
                    }
                    _ => simd::rotate_neighbours(level, head, cos, sin),
                }
            }
        });
        Ok(())
    }

    fn append(&mut self, kv: &mut Kv, qkv: &Act, config: &Config, batch: &Batch) -> Result<(), Error> {
        kv.append(qkv, config, &batch.rows)
    }

    fn attention(
        &mut self,
        o: &mut Act,
        qkv: &Act,
        kv: &Kv,
        config: &Config,
        batch: &Batch,
    ) -> Result<(), Error> {
        attention::attention(self, o, qkv, kv, config, &batch.rows)
    }

    fn scores(
        &mut self,
        o: &mut Act,
        qkv: &Act,
        kv: &Kv,
        config: &Config,
        batch: &Batch,
        softmax: bool,
    ) -> Result<(), Error> {
        let softmax = softmax && !fault!("scores-without-softmax");
        attention::scores(self, o, qkv, kv, config, &batch.rows, softmax)
    }

    fn top_k(&mut self, o: &mut Routes, logits: &Act, config: &Config) -> Result<(), Error> {
        let Some(experts) = &config.experts else {
            return Err(Error::Shape { op: "top k", what: "experts", found: 0, expected: 1 });
        };
        Error::shape("top k", "logits of a row", logits.width(), experts.count)?;
        let k = experts.used;
        if k == 0 || k > experts.count {
            return Err(Error::Shape {
                op: "top k",
                what: "experts used",
                found: k,
                expected: experts.count,
            });
        }
        o.chosen = k;
        o.ids.resize(logits.rows() * k, 0);
        o.weights.resize(logits.rows() * k, 0.0);
        o.margin.resize(logits.rows(), 0.0);
        let order = &mut self.scratch.get(0).order;
        let rows = o.ids.chunks_exact_mut(k).zip(o.weights.chunks_exact_mut(k)).zip(&mut o.margin);
        for (((ids, weights), margin), logits) in rows.zip(logits.iter()) {
            *margin = route::choose(logits, experts, order, ids, weights);
        }
        Ok(())
    }

    fn only_expert(&mut self, o: &mut Routes, x: &Act) -> Result<(), Error> {
        let rows = x.rows();
        o.chosen = 1;
        o.ids.clear();
        o.ids.resize(rows, 0);
        o.weights.clear();
        o.weights.resize(rows, 1.0);
        o.margin.clear();
        o.margin.resize(rows, f32::INFINITY);
        Ok(())
    }

    fn swiglu(&mut self, h: &mut Act, gate_up: &Act) -> Result<(), Error> {
        let ff = h.width();
        Error::shape("swiglu", "columns", gate_up.width(), 2 * ff)?;
        h.set_rows("swiglu", gate_up.rows())?;
        let level = self.level;
        self.rows_with_blocks(h, ff * EXP_COST, |r, h| {
            let (gate, up) = gate_up.row(r).split_at(ff);
            if fault!("swiglu-gate-up-swapped") {
                return simd::swiglu(level, h, up, gate);
            }
            simd::swiglu(level, h, gate, up);
        });
        Ok(())
    }

    fn silu(&mut self, o: &mut Act, gate_up: &Act) -> Result<(), Error> {
        let ff = gate_up.width() / 2;
        o.reshape(gate_up.rows(), ff);
        let level = self.level;
        self.pool.rows(o, ff * EXP_COST, |r, o| simd::silu(level, o, &gate_up.row(r)[..ff]));
        Ok(())
    }

    fn combine(&mut self, o: &mut Act, y: &Act, route: &Routes) -> Result<(), Error> {
        let k = route.chosen;
        let rows = route.margin.len();
        Error::shape("combine", "rows", y.rows(), rows * k)?;
        Error::shape("combine", "columns", y.width(), o.width())?;
        o.set_rows("combine", rows)?;
        let level = self.level;
        self.pool.rows(o, y.width() * k, |r, o| {
            o.fill(0.0);
            for (j, weight) in route.weights[r * k..][..k].iter().enumerate() {
                let weight = if fault!("combine-scale-1000") { weight * 1000.0 } else { *weight };
                simd::add_scaled(level, o, weight, y.row(r * k + j));
            }
        });
        Ok(())
    }

    fn add(&mut self, x: &mut Act, y: &Act) -> Result<(), Error> {
        Error::shape("add", "columns", y.width(), x.width())?;
        Error::shape("add", "rows", y.rows(), x.rows())?;
        let level = self.level;
        self.pool.rows(x, y.width(), |r, row| simd::add(level, row, y.row(r)));
        Ok(())
    }

    fn select(&mut self, o: &mut Act, x: &Act, batch: &Batch) -> Result<(), Error> {
        Error::shape("select", "columns", o.width(), x.width())?;
        Error::shape("select", "rows", x.rows(), batch.rows.token.len())?;
        o.set_rows("select", batch.rows.out.len())?;
        for (row, &from) in o.iter_mut().zip(&batch.rows.out) {
            row.copy_from_slice(x.row(from as usize));
        }
        Ok(())
    }
}

/// What an exponential costs, in multiply-adds.
const EXP_COST: usize = 16;
