//! Where a pass runs: the primitives, and the seven stages composed of them.
//!
//! A backend implements the primitives. The stages have a composed default, which is the specification; a backend
//! may override one with a single fused kernel made of the same bodies, storing the same values at the same sites.
//!
//! # Arithmetic
//! Results are specified, not left to a compiler, so that backends can be compared to the last bits:
//! - *Tree sums* (norms, softmax denominators of the router): 128 lanes, lane `l` adds the terms `l`, `l + 128`, ... in
//!   order with one rounding each (`fma` for squares), then lanes are halved: `s[l] += s[l + half]`, half = 64 .. 1.
//! - *Norm*: `y[i] = (x[i] * (1 / sqrt(sum / n + eps))) * w[i]`, division and square root correctly rounded.
//! - *exp* is `numerics::exp`, the same polynomial everywhere.
//! - *Rotation* uses tables of `numerics::RopeTable`, made in f64 and rounded once:
//!   `a' = fma(a, cos, -(b * sin))`, `b' = fma(b, cos, a * sin)`.
//! - *Matmul* sums each output element in an order that depends on the column count alone: not on the number of
//!   rows, threads or splits. So prefill, single steps and any thread count agree bitwise.
//! - *Router*: f32 throughout. Experts are ranked by logit, ties by lowest index; weights are the softmax over all
//!   experts at the chosen ones, divided by their sum (in rank order) where the model says so. A NaN logit makes
//!   every weight NaN.

use crate::bytes::Bytes;
use crate::composed;
use crate::config::Config;
use crate::stage::Site;
use crate::state::State;
use crate::tap::{Kept, Stop, Tap};
use crate::weights::{Layer, Weights};
use std::ops::Range;

/// How a pass computes; written into every trace and every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Weights dequantized to f32, activations f32, keys and values f32. The reference.
    Exact,
    /// Activations in 8 bits with a scale for 32 columns (on a CPU for 16 in front of Q8_0), integer dot products, keys and
    /// values f16. For speed.
    Fast,
}

impl Precision {
    /// Every precision, once.
    pub const ALL: [Self; 2] = [Self::Exact, Self::Fast];

    /// Its name in flags and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
        }
    }
    /// The precision of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }
}

/// Columns of every row of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cols {
    /// The first.
    pub start: usize,
    /// How many.
    pub width: usize,
}

impl Cols {
    /// All of them, whatever the plane's width.
    pub const ALL: Self = Self { start: 0, width: usize::MAX };
    /// `width` columns from `start`.
    #[must_use]
    pub const fn new(start: usize, width: usize) -> Self {
        Self { start, width }
    }
}

/// A tensor of a file, as a backend takes it up.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    /// Its name in the file.
    pub name: &'a str,
    /// Its format.
    pub format: crate::quant::Format,
    /// How many matrices: experts, or 1.
    pub count: usize,
    /// Rows of one matrix; 1 for a vector.
    pub rows: usize,
    /// Columns, the contiguous axis.
    pub cols: usize,
    /// `count * rows * format.row_bytes(cols)` bytes; the reader checked it. A backend that keeps a clone keeps the
    /// file mapped; one that copies may release the pages behind it.
    pub bytes: &'a Bytes,
}

/// The shape of a KV cache: one per layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Key (and value) heads.
    pub heads: usize,
    /// Width of one.
    pub head_dim: usize,
    /// Positions to make room for at first; it grows without recomputation.
    pub positions: usize,
    /// Sequences held side by side.
    pub sequences: usize,
}

/// The rows of one pass: a prefill chunk, one decode step and 64 sequences are the same thing.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Rows {
    /// Token of each row.
    pub token: Vec<u32>,
    /// Position of each row in its sequence.
    pub position: Vec<u32>,
    /// Sequence of each row.
    pub sequence: Vec<u32>,
    /// Rows that logits are wanted for, ascending.
    pub out: Vec<u32>,
}

impl Clone for Rows {
    fn clone(&self) -> Self {
        let mut rows = Self::default();
        rows.clone_from(self);
        rows
    }

    /// Keeps the room there is, so that a step of decoding allocates nothing.
    fn clone_from(&mut self, source: &Self) {
        let Self { token, position, sequence, out } = source;
        self.token.clone_from(token);
        self.position.clone_from(position);
        self.sequence.clone_from(sequence);
        self.out.clone_from(out);
    }
}

/// Memory of a device that is not the host's, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Taken for weights.
    pub weights: usize,
    /// Taken for keys and values.
    pub kv: usize,
    /// Taken for everything else: planes, tables, scratch.
    pub workspace: usize,
    /// Free when the device was taken into use, before anything was stored.
    pub free_at_start: usize,
    /// Free now.
    pub free: usize,
    /// All of it.
    pub total: usize,
}

impl Memory {
    /// What was taken in all.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.weights + self.kv + self.workspace
    }
    /// By how much the device's free memory dropped. Others that use the device show here, too.
    #[must_use]
    pub fn drop(&self) -> usize {
        self.free_at_start.saturating_sub(self.free)
    }
}

/// The router's decision, on the host. Row `r` holds elements `r * chosen ..` of `ids` and `weights`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Routes {
    /// Experts of one row.
    pub chosen: usize,
    /// The chosen experts, best first. `[rows, chosen]`
    pub ids: Vec<u32>,
    /// Their weights. `[rows, chosen]`
    pub weights: Vec<f32>,
    /// By how much the last chosen logit beats the best one left out; infinite when none is left out. `[rows]`
    pub margin: Vec<f32>,
}

/// What a stage of one layer works on.
pub struct Cx<'a, B: Backend> {
    /// The model's shape.
    pub config: &'a Config,
    /// Which layer.
    pub index: usize,
    /// The layer's weights.
    pub layer: &'a Layer<B>,
    /// The planes.
    pub state: &'a mut State<B>,
    /// The layer's keys and values.
    pub kv: &'a mut B::Kv,
    /// The rows.
    pub batch: &'a B::Batch,
}

/// A place where passes run.
///
/// An operation that writes a plane sets its number of rows; which rows and columns are read follows from the
/// operands. Under [`Precision::Fast`] `norm`, `attention` and `swiglu` also write the 8-bit planes of their output,
/// which `matmul` reads.
pub trait Backend: Sized {
    /// A weight matrix, or `count` of them, in the file's format (possibly permuted, never widened).
    type Mat;
    /// A small f32 vector.
    type Vector;
    /// A plane of activations, `[rows, width]`.
    type Act;
    /// One layer's keys and values.
    type Kv;
    /// The rows of a pass, on the backend.
    type Batch;
    /// The router's decision: ids, weights, margin.
    type Route;
    /// What can go wrong, a tap's wish to stop included.
    type Err: From<Stop>;
    /// A tap whose values the backend keeps until the pass is over: the host is not asked in between.
    type Inside: Tap<Self>;

    // Residence.

    /// Takes up a matrix.
    fn mat(&mut self, tensor: Tensor<'_>) -> Result<Self::Mat, Self::Err>;
    /// Takes up a vector, as f32.
    fn vector(&mut self, tensor: Tensor<'_>) -> Result<Self::Vector, Self::Err>;
    /// All weights are taken up: gives back what only that needed.
    fn settle(&mut self) {}
    /// Waits until everything asked for is done, where a backend queues its work.
    fn wait(&mut self) -> Result<(), Self::Err> {
        Ok(())
    }
    /// Memory of its device; `None` where that is the host's.
    fn memory(&self) -> Result<Option<Memory>, Self::Err> {
        Ok(None)
    }
    /// Room for a plane of up to `rows` rows.
    fn act(&mut self, rows: usize, width: usize) -> Result<Self::Act, Self::Err>;
    /// Room for the routes of up to `rows` rows.
    fn route_plane(&mut self, rows: usize, chosen: usize) -> Result<Self::Route, Self::Err>;
    /// An empty KV cache of one layer.
    fn kv(&mut self, shape: KvShape) -> Result<Self::Kv, Self::Err>;
    /// Puts rows on the backend; `reuse` is the batch of the step before, whose memory may be taken over.
    fn batch(&mut self, rows: &Rows, reuse: Option<Self::Batch>) -> Result<Self::Batch, Self::Err>;
    /// Reads columns of a plane back, row by row.
    fn read(&mut self, x: &Self::Act, cols: Cols) -> Result<Vec<f32>, Self::Err>;
    /// Reads columns of some rows into `out`, replacing what it holds. Rows are counted in parts of the plane, of which there
    /// are `of`: positions that have a row for each of their experts.
    fn read_rows(
        &mut self,
        x: &Self::Act,
        cols: Cols,
        rows: Range<usize>,
        of: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), Self::Err> {
        let all = self.read(x, cols)?;
        let part = all.len() / of.max(1);
        out.clear();
        out.extend_from_slice(all.get(rows.start * part..rows.end * part).unwrap_or_default());
        Ok(())
    }
    /// Does all of `work`, which is the host's own, side by side where the backend has threads for it.
    fn apart(&mut self, work: &mut [&mut (dyn FnMut() + Send)]) {
        work.iter_mut().for_each(|work| work());
    }
    /// Overwrites columns of a plane, row by row; under `Fast` its 8-bit planes follow.
    fn write(&mut self, x: &mut Self::Act, cols: Cols, values: &[f32]) -> Result<(), Self::Err>;
    /// Reads a route back.
    fn read_route(&mut self, route: &Self::Route) -> Result<Routes, Self::Err>;
    /// Overwrites a route: forced experts and weights.
    fn write_route(&mut self, route: &mut Self::Route, values: &Routes) -> Result<(), Self::Err>;

    // Primitives: the unit of replay, of generated tests and of planted faults.

    /// `o[r] = table[token[r]]`.
    fn embed(&mut self, o: &mut Self::Act, table: &Self::Mat, batch: &Self::Batch) -> Result<(), Self::Err>;
    /// Root-mean-square norm of each row.
    fn norm(&mut self, o: &mut Self::Act, x: &Self::Act, w: &Self::Vector, eps: f32)
    -> Result<(), Self::Err>;
    /// The same, in place, of each group of `w.len()` columns within `cols`.
    fn head_norm(
        &mut self,
        x: &mut Self::Act,
        cols: Cols,
        w: &Self::Vector,
        eps: f32,
    ) -> Result<(), Self::Err>;
    /// Adds a vector to columns of each row.
    fn bias(&mut self, x: &mut Self::Act, col: usize, b: &Self::Vector) -> Result<(), Self::Err>;
    /// `o[r, col..] = w x[r]`. With a route, row `r * chosen + j` of the output uses the `j`-th expert of row `r`, and
    /// the input has either one row per position or one per chosen expert.
    fn matmul(
        &mut self,
        o: &mut Self::Act,
        col: usize,
        w: &Self::Mat,
        x: &Self::Act,
        route: Option<&Self::Route>,
    ) -> Result<(), Self::Err>;
    /// The router's matrix: f32 activations whatever the precision.
    fn router(&mut self, o: &mut Self::Act, w: &Self::Mat, x: &Self::Act) -> Result<(), Self::Err>;
    /// Rotates each head within `cols` by its row's position.
    fn rope(
        &mut self,
        x: &mut Self::Act,
        cols: Cols,
        config: &Config,
        batch: &Self::Batch,
    ) -> Result<(), Self::Err>;
    /// Appends the rows' keys and values, which lie behind the queries in `qkv`.
    fn append(
        &mut self,
        kv: &mut Self::Kv,
        qkv: &Self::Act,
        config: &Config,
        batch: &Self::Batch,
    ) -> Result<(), Self::Err>;
    /// Causal grouped-query attention of each row over its sequence.
    fn attention(
        &mut self,
        o: &mut Self::Act,
        qkv: &Self::Act,
        kv: &Self::Kv,
        config: &Config,
        batch: &Self::Batch,
    ) -> Result<(), Self::Err>;
    /// Scaled scores, `[rows, heads * keys]` with `keys` the longest context of the batch and masked cells minus
    /// infinity; with `softmax` their softmax, masked cells 0.
    fn scores(
        &mut self,
        o: &mut Self::Act,
        qkv: &Self::Act,
        kv: &Self::Kv,
        config: &Config,
        batch: &Self::Batch,
        softmax: bool,
    ) -> Result<(), Self::Err>;
    /// Chooses experts.
    fn top_k(&mut self, o: &mut Self::Route, logits: &Self::Act, config: &Config) -> Result<(), Self::Err>;
    /// The route of a dense layer: expert 0 with weight 1 for each row of `x`.
    fn only_expert(&mut self, o: &mut Self::Route, x: &Self::Act) -> Result<(), Self::Err>;
    /// `h[r, i] = silu(gate[r, i]) * up[r, i]` of a plane `gate | up`.
    fn swiglu(&mut self, h: &mut Self::Act, gate_up: &Self::Act) -> Result<(), Self::Err>;
    /// `o[r, i] = silu(gate[r, i])`: a derived stage of its own.
    fn silu(&mut self, o: &mut Self::Act, gate_up: &Self::Act) -> Result<(), Self::Err>;
    /// `o[r] = sum over j of weight[r, j] * y[r * chosen + j]`, in rank order.
    fn combine(&mut self, o: &mut Self::Act, y: &Self::Act, route: &Self::Route) -> Result<(), Self::Err>;
    /// `x += y`.
    fn add(&mut self, x: &mut Self::Act, y: &Self::Act) -> Result<(), Self::Err>;
    /// `o` = the output rows of `x`.
    fn select(&mut self, o: &mut Self::Act, x: &Self::Act, batch: &Self::Batch) -> Result<(), Self::Err>;

    // Stages. A fused override of one stores the same values at the same sites, and leaves the stage to `composed`
    // whenever the tap has to be asked between the primitives (`Tap::inside` is false).

    /// Norm and the three projections.
    #[inline(always)]
    fn qkv<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Self::Err> {
        composed::qkv(self, cx, tap)
    }

    /// Head norm, rotation, append, attention.
    #[inline(always)]
    fn attend<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Self::Err> {
        composed::attend(self, cx, tap)
    }

    /// Output projection and residual.
    #[inline(always)]
    fn attn_out<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Self::Err> {
        composed::attn_out(self, cx, tap)
    }

    /// Norm, router, choice.
    #[inline(always)]
    fn route<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Self::Err> {
        composed::route(self, cx, tap)
    }

    /// Gate, up and their product, for each chosen expert.
    #[inline(always)]
    fn gate_up<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Self::Err> {
        composed::gate_up(self, cx, tap)
    }

    /// Down projection, weighted sum, residual.
    #[inline(always)]
    fn down<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Self::Err> {
        composed::down(self, cx, tap)
    }

    /// Final norm and logits of the output rows.
    #[inline(always)]
    fn head<T: Tap<Self>>(
        &mut self,
        config: &Config,
        weights: &Weights<Self>,
        state: &mut State<Self>,
        batch: &Self::Batch,
        tap: &mut T,
    ) -> Result<(), Self::Err> {
        composed::head(self, config, weights, state, batch, tap)
    }

    /// Has the next step keep the values of `sites`, which come in the order of the pass, under the tap that it returns.
    /// `None` where the backend keeps nothing, or not so much: the tap then has to ask between the primitives.
    fn keep(
        &mut self,
        config: &Config,
        layers: usize,
        sites: &[Site],
        rows: &Rows,
    ) -> Result<Option<Self::Inside>, Self::Err> {
        let _ = (config, layers, sites, rows);
        Ok(None)
    }

    /// What the last step kept, in the order of the pass; later steps keep nothing until [`Backend::keep`].
    fn kept(&mut self) -> Result<Vec<Kept>, Self::Err> {
        Ok(Vec::new())
    }

    /// Runs one step whose tap asks the host between the primitives: it is neither recorded nor replayed.
    fn step_by_step(
        &mut self,
        kv: &mut [Self::Kv],
        batch: &Self::Batch,
        record: impl FnOnce(&mut Self, &mut [Self::Kv]) -> Result<(), Self::Err>,
    ) -> Result<(), Self::Err> {
        self.step(kv, batch, record)
    }

    /// Runs one step: a CPU calls `record`; a backend that replays makes room in `kv` for the batch, calls `record` once
    /// for each shape of step, and replays what it recorded. What `record` captures must be the same objects each time.
    fn step(
        &mut self,
        kv: &mut [Self::Kv],
        batch: &Self::Batch,
        record: impl FnOnce(&mut Self, &mut [Self::Kv]) -> Result<(), Self::Err>,
    ) -> Result<(), Self::Err> {
        let _ = batch;
        record(self, kv)
    }
}
