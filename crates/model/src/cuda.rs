//! The CUDA backend: one NVIDIA device behind [`Backend`], chosen at run time. Nothing of CUDA is needed to build this
//! crate or to start a program that contains it; [`Cuda::new`] says in one line what a machine lacks.
//!
//! Reading order: `libs` finds the libraries, `driver` owns the driver's objects, `rtc` compiles kernels/, `table` says
//! which kernel does what, `resident` is what lies on the device, `launch` is the fence around every launch, `graph`
//! replays steps, `tap` watches them. This file knows no kernel and no order of layers.

mod ahead;
mod args;
mod check;
mod driver;
mod error;
mod graph;
mod launch;
mod libs;
mod resident;
mod rtc;
mod table;
mod tap;
mod upload;

pub use ahead::embedded;
pub use check::{Compiled, compile_all};
pub use driver::Properties;
pub use error::Error;
pub use resident::{Batch, Cache, Matrix, Plane, Route, Vector};
pub use tap::Taps;

use crate::backend::{self, Backend, Cols, Cx, KvShape, Precision, Routes, Rows, Tensor};
use crate::composed;
use crate::config::{Config, Rope};
use crate::numerics::RopeTable;
use crate::stage::{Site, Stage};
use crate::tap::{Kept, Tap};
use driver::{Context, Memory, Stream};
use error::{Result, same};
use graph::{Key, Known};
use launch::{Launcher, Splits};
use std::path::PathBuf;
use tap::Slots;
use upload::Uploader;
use zerocopy::IntoBytes;

/// Rows of a step up to which it is recorded; longer ones are dominated by their work, not by its launches.
const RECORDED_ROWS: usize = 64;
/// Architecture that a compiler is asked about where there is no device.
const ASSUMED: &str = "sm_90";
/// Blocks of exact attention for each multiprocessor, each with scratch for a whole context.
const EXACT_BLOCKS: usize = 4;

/// Where to look, and how to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which device.
    pub device: usize,
    /// Folders with libcuda and libnvrtc, before the loader's own search.
    pub libraries: Vec<PathBuf>,
    /// Where compiled kernels are kept; `None` compiles them anew in every process.
    pub cache: Option<PathBuf>,
    /// Run every step call by call instead of replaying recordings.
    pub eager: bool,
    /// How stages run.
    pub ops: Ops,
}

/// How the stages of a layer run. The bits are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ops {
    /// Primitive by primitive.
    Composed,
    /// In steps of one row, products together with what follows them.
    #[default]
    Fused,
}

impl Ops {
    /// Every way, once.
    pub const ALL: [Self; 2] = [Self::Composed, Self::Fused];

    /// Its name in flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Composed => "composed",
            Self::Fused => "fused",
        }
    }
}

impl std::str::FromStr for Ops {
    type Err = String;
    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(" ");
        let found = Self::ALL.into_iter().find(|ops| ops.name() == name);
        found.ok_or_else(|| format!("expected one of {names}"))
    }
}

/// What there is of CUDA, part by part.
#[derive(Debug)]
pub struct Probe {
    /// The device and the bytes of its memory that are free.
    pub device: Result<(Properties, usize)>,
    /// Where device code comes from.
    pub code: Result<String>,
}

/// Looks for a device and for device code, and takes nothing into use.
#[must_use]
pub fn probe(options: &Options) -> Probe {
    let device = Context::new(options.device, &options.libraries)
        .and_then(|context| Ok((context.properties().clone(), context.memory()?.0)));
    let architecture = match &device {
        Ok((properties, _)) => properties.architecture.clone(),
        Err(_) => ASSUMED.to_owned(),
    };
    let code = if options.libraries.is_empty() && ahead::is_for(&architecture) {
        Ok(format!("embedded for {architecture}"))
    } else {
        let version = rtc::Compiler::new(&options.libraries, None, architecture.clone()).version();
        version.map(|(major, minor)| format!("NVRTC {major}.{minor} for {architecture}"))
    };
    Probe { device, code }
}

/// A device, a precision and the kernels for them. It stays on the thread that made it.
pub struct Cuda {
    precision: Precision,
    eager: bool,
    ops: Ops,
    launcher: Launcher,
    uploader: Uploader,
    rotation: Option<Rotation>,
    /// Scratch of exact attention.
    scores: Memory,
    splits: Splits,
    slots: Option<Slots>,
    graphs: graph::Cache,
    /// The step whose shapes the planes have at the moment.
    last: Option<Key>,
    /// Tokens of the embedding table, as far as one was used.
    vocab: usize,
    /// Bytes that weights and that keys and values take, as the driver rounds them.
    weights: usize,
    kv: usize,
    free_at_start: usize,
}

/// Tables of rotation on the device.
struct Rotation {
    rope: Rope,
    table: RopeTable,
    cos: Memory,
    sin: Memory,
}

impl Cuda {
    /// Takes a device into use.
    ///
    /// # Errors
    /// When there is no driver, no such device, one that the kernels do not run on, or no compiler for them.
    pub fn new(precision: Precision, options: &Options) -> Result<Self> {
        let context = Context::new(options.device, &options.libraries)?;
        let stream = Stream::new(&context)?;
        let mut compiler = rtc::Compiler::new(
            &options.libraries,
            options.cache.clone(),
            context.properties().architecture.clone(),
        );
        // Found missing now, not in the middle of a pass.
        compiler.ready()?;
        let (free_at_start, _) = context.memory()?;
        let empty = || Memory::new(&context, "scratch", 0);
        Ok(Self {
            precision,
            eager: options.eager,
            ops: options.ops,
            uploader: Uploader::default(),
            rotation: None,
            scores: empty()?,
            splits: Splits { partials: empty()?, arrivals: empty()? },
            slots: None,
            graphs: graph::Cache::default(),
            last: None,
            vocab: usize::MAX,
            weights: 0,
            kv: 0,
            free_at_start,
            launcher: Launcher::new(context, stream, compiler),
        })
    }

    /// How it computes.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The device.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        self.launcher.context.properties()
    }

    /// Waits until everything queued is done; errors of the work itself surface here.
    ///
    /// # Errors
    /// A fault on the device.
    pub fn wait(&self) -> Result<()> {
        self.launcher.stream.wait()
    }

    /// Makes sure there is a table of watched values for so many layers.
    fn slots(&mut self, layers: usize) -> Result<()> {
        if self.slots.as_ref().is_none_or(|s| s.layers() != layers) {
            self.slots = Some(Slots::new(&self.launcher.context, &self.launcher.stream, layers)?);
        }
        Ok(())
    }

    /// Quanta and scales of a plane's 8-bit form, `[rows, width]` and `[rows, width / 32]`; `None` where there is none.
    ///
    /// # Errors
    /// A fault on the device.
    pub fn read_quanta(&self, x: &Plane) -> Result<Option<(Vec<i8>, Vec<f32>)>> {
        let Some((q, s)) = &x.q else { return Ok(None) };
        let n = x.rows * x.width;
        let mut quanta = vec![0_i8; n];
        q.read(&self.launcher.stream, 0, quanta.as_mut_bytes())?;
        let mut scales = vec![[0_u32; 2]; n / 32];
        s.read(&self.launcher.stream, 0, scales.as_mut_bytes())?;
        Ok(Some((quanta, scales.into_iter().map(|[d, _]| f32::from_bits(d)).collect())))
    }

    /// Tables of rotation that reach past `positions`.
    fn rotate(&mut self, rope: &Rope, positions: usize) -> Result<()> {
        let known = self.rotation.take().filter(|r| r.rope == *rope);
        if let Some(rotation) = known {
            if rotation.table.positions() >= positions {
                self.rotation = Some(rotation);
                return Ok(());
            }
            self.rotation = Some(self.rotation(rotation.rope, rotation.table, positions)?);
        } else {
            self.rotation = Some(self.rotation(rope.clone(), RopeTable::new(rope), positions)?);
        }
        Ok(())
    }

    fn rotation(&self, rope: Rope, mut table: RopeTable, positions: usize) -> Result<Rotation> {
        table.reserve(positions.next_power_of_two().max(512));
        let upload = |values: &[f32]| {
            let memory = Memory::new(&self.launcher.context, "the tables of rotation", values.len() * 4)?;
            memory.write(&self.launcher.stream, 0, values.as_bytes())?;
            Ok::<_, Error>(memory)
        };
        let (cos, sin) = (upload(table.cosines())?, upload(table.sines())?);
        Ok(Rotation { rope, table, cos, sin })
    }

    /// Scratch for attention over a cache of this shape, for `rows` rows with `heads` query heads.
    fn attention_scratch(&mut self, shape: KvShape, rows: usize, heads: usize) -> Result<()> {
        let context = &self.launcher.context;
        match self.precision {
            Precision::Exact => {
                let blocks = (rows * heads).min(EXACT_BLOCKS * context.properties().multiprocessors.max(1));
                let bytes = blocks * shape.positions * 4;
                if self.scores.bytes() < bytes {
                    self.scores = Memory::new(context, "scratch of attention", bytes)?;
                }
            }
            Precision::Fast => {
                let cells = rows * shape.heads;
                let bytes = cells * Splits::partial_bytes(shape.head_dim, heads / shape.heads.max(1));
                if self.splits.partials.bytes() < bytes {
                    self.splits.partials = Memory::new(context, "scratch of attention", bytes)?;
                }
                if self.splits.arrivals.bytes() < cells * 4 {
                    self.splits.arrivals = Memory::new(context, "scratch of attention", cells * 4)?;
                    self.splits.arrivals.fill(&self.launcher.stream, 0)?;
                }
            }
        }
        Ok(())
    }

    /// Parts in which the keys of one head are attended: enough to occupy the device, none without work.
    fn kv_splits(&self, longest: usize) -> usize {
        // Powers of two, so that a growing context is recorded anew a few times only.
        longest.div_ceil(table::SMALLEST_CHUNK).next_power_of_two().min(table::MOST_CHUNKS)
    }

    /// Makes a plane whose width its user sets have room for `[rows, width]`.
    fn reshape(&mut self, x: &mut Plane, rows: usize, width: usize) -> Result<()> {
        if x.width != width || x.capacity < rows {
            *x = Plane::new(&self.launcher.context, Precision::Exact, rows, width)?;
        }
        Ok(())
    }

    /// What a step needs before it is recorded or replayed.
    fn prepare(&mut self, kv: &mut [Cache], batch: &Batch) -> Result<()> {
        if let Some(&token) = batch.rows.token.iter().find(|&&t| t as usize >= self.vocab) {
            return Err(Error::Token { token, vocab: self.vocab });
        }
        for cache in kv.iter_mut() {
            self.grow(cache, batch)?;
        }
        if let Some(rope) = self.rotation.as_ref().map(|r| r.rope.clone()) {
            self.rotate(&rope, batch.longest())?;
        }
        Ok(())
    }

    fn capture(&mut self, record: impl FnOnce(&mut Self) -> Result<()>) -> Result<(driver::Graph, u64)> {
        self.launcher.record();
        let stream = self.launcher.stream.clone();
        let captured = stream.capture(|| record(self));
        let fingerprint = self.launcher.fingerprint();
        Ok((captured?, fingerprint))
    }

    /// Whether a stage runs fused: the kernels store what a tap inside wants, and derived values are made between
    /// primitives.
    fn fuses<T: Tap<Self>>(&self, tap: &T, batch: &Batch) -> bool {
        self.ops == Ops::Fused
            && batch.len() == 1
            && tap.inside()
            && !self.slots.as_ref().is_some_and(Slots::derives)
    }

    /// Places in the table of watched values; none when nobody watches.
    fn places<const N: usize>(&self, layer: usize, stages: [Stage; N]) -> [u64; N] {
        let slots = self.slots.as_ref().filter(|slots| slots.watching());
        stages.map(|stage| slots.map_or(0, |slots| slots.place(layer, stage)))
    }

    fn grow(&mut self, cache: &mut Cache, batch: &Batch) -> Result<()> {
        cache.admit(&batch.rows)?;
        let before = self.launcher.context.allocated();
        cache.grow(&self.launcher.context, &self.launcher.stream, batch.longest())?;
        self.kv += self.launcher.context.allocated() - before;
        Ok(())
    }
}

impl Backend for Cuda {
    type Mat = Matrix;
    type Vector = Vector;
    type Act = Plane;
    type Kv = Cache;
    type Batch = Batch;
    type Route = Route;
    type Err = Error;
    type Inside = Taps;

    fn wait(&mut self) -> Result<()> {
        self.launcher.stream.wait()
    }

    fn mat(&mut self, tensor: Tensor<'_>) -> Result<Matrix> {
        let before = self.launcher.context.allocated();
        let matrix = self.uploader.matrix(&mut self.launcher, tensor)?;
        self.weights += self.launcher.context.allocated() - before;
        Ok(matrix)
    }

    fn vector(&mut self, tensor: Tensor<'_>) -> Result<Vector> {
        let len = tensor.count * tensor.rows * tensor.cols;
        let mut values = vec![0.0_f32; len];
        tensor.format.dequantize(tensor.bytes, &mut values)?;
        let before = self.launcher.context.allocated();
        let memory = Memory::new(&self.launcher.context, "a vector of weights", len * 4)?;
        memory.write(&self.launcher.stream, 0, values.as_bytes())?;
        self.weights += self.launcher.context.allocated() - before;
        Ok(Vector { memory, len })
    }

    fn settle(&mut self) {
        self.uploader.finish();
    }

    fn memory(&self) -> Result<Option<backend::Memory>> {
        let context = &self.launcher.context;
        let (free, total) = context.memory()?;
        let workspace = context.allocated().saturating_sub(self.weights + self.kv);
        let Self { weights, kv, free_at_start, .. } = *self;
        Ok(Some(backend::Memory { weights, kv, workspace, free_at_start, free, total }))
    }

    fn act(&mut self, rows: usize, width: usize) -> Result<Plane> {
        Plane::new(&self.launcher.context, self.precision, rows, width)
    }

    fn route_plane(&mut self, rows: usize, chosen: usize) -> Result<Route> {
        Route::new(&self.launcher.context, rows, chosen)
    }

    fn kv(&mut self, shape: KvShape) -> Result<Cache> {
        let before = self.launcher.context.allocated();
        let cache = Cache::new(&self.launcher.context, self.precision, shape)?;
        self.kv += self.launcher.context.allocated() - before;
        Ok(cache)
    }

    fn batch(&mut self, rows: &Rows, reuse: Option<Batch>) -> Result<Batch> {
        Batch::new(&self.launcher.context, &self.launcher.stream, rows, reuse)
    }

    fn read(&mut self, x: &Plane, cols: Cols) -> Result<Vec<f32>> {
        let (start, width) = x.cols("read", cols)?;
        // Columns beside them may not have been written yet.
        let mut values = vec![0.0_f32; x.rows * width];
        x.f.read_rows(&self.launcher.stream, start * 4, x.width * 4, width * 4, values.as_mut_bytes())?;
        Ok(values)
    }

    fn write(&mut self, x: &mut Plane, cols: Cols, values: &[f32]) -> Result<()> {
        let (start, width) = x.cols("write", cols)?;
        same("write", "values", values.len(), x.rows * width)?;
        if width == x.width {
            x.f.write(&self.launcher.stream, 0, values.as_bytes())?;
        } else if width > 0 {
            for (r, row) in values.chunks_exact(width).enumerate() {
                x.f.write(&self.launcher.stream, (r * x.width + start) * 4, row.as_bytes())?;
            }
        }
        self.launcher.quantize(x, cols)
    }

    fn read_route(&mut self, route: &Route) -> Result<Routes> {
        let stream = &self.launcher.stream;
        let n = route.entries();
        let mut routes = Routes {
            chosen: route.chosen,
            ids: vec![0; n],
            weights: vec![0.0; n],
            margin: vec![0.0; route.rows],
        };
        route.ids.read(stream, 0, routes.ids.as_mut_bytes())?;
        route.weights.read(stream, 0, routes.weights.as_mut_bytes())?;
        route.margin.read(stream, 0, routes.margin.as_mut_bytes())?;
        Ok(routes)
    }

    fn write_route(&mut self, route: &mut Route, values: &Routes) -> Result<()> {
        same("forced route", "experts of a row", values.chosen, route.chosen)?;
        same("forced route", "rows", values.margin.len(), route.rows)?;
        same("forced route", "ids", values.ids.len(), route.entries())?;
        same("forced route", "weights", values.weights.len(), route.entries())?;
        if let Some(&id) = values.ids.iter().find(|&&id| id as usize >= route.experts) {
            return Err(Error::Expert { expert: id, experts: route.experts });
        }
        let stream = &self.launcher.stream;
        route.ids.write(stream, 0, values.ids.as_bytes())?;
        route.weights.write(stream, 0, values.weights.as_bytes())?;
        route.margin.write(stream, 0, values.margin.as_bytes())?;
        self.launcher.sort(route)
    }

    fn embed(&mut self, o: &mut Plane, table: &Matrix, batch: &Batch) -> Result<()> {
        self.vocab = table.rows;
        self.launcher.embed(o, table, batch)
    }

    fn norm(&mut self, o: &mut Plane, x: &Plane, w: &Vector, eps: f32) -> Result<()> {
        self.launcher.norm(o, x, w, eps)
    }

    fn head_norm(&mut self, x: &mut Plane, cols: Cols, w: &Vector, eps: f32) -> Result<()> {
        if fault::fault!("cuda-head-norm-missing") {
            return Ok(());
        }
        self.launcher.head_norm(x, cols, w, eps)
    }

    fn bias(&mut self, x: &mut Plane, col: usize, b: &Vector) -> Result<()> {
        self.launcher.bias(x, col, b)
    }

    fn matmul(
        &mut self,
        o: &mut Plane,
        col: usize,
        w: &Matrix,
        x: &Plane,
        route: Option<&Route>,
    ) -> Result<()> {
        self.launcher.matmul(self.precision, o, col, w, x, route)
    }

    fn router(&mut self, o: &mut Plane, w: &Matrix, x: &Plane) -> Result<()> {
        self.launcher.matmul(Precision::Exact, o, 0, w, x, None)
    }

    fn rope(&mut self, x: &mut Plane, cols: Cols, config: &Config, batch: &Batch) -> Result<()> {
        self.rotate(&config.rope, batch.longest())?;
        let Some(rotation) = &self.rotation else { return Ok(()) };
        self.launcher.rope(x, cols, config, batch, &rotation.cos, &rotation.sin)
    }

    fn append(&mut self, kv: &mut Cache, qkv: &Plane, config: &Config, batch: &Batch) -> Result<()> {
        self.grow(kv, batch)?;
        self.launcher.append(kv, qkv, config, batch)
    }

    fn attention(
        &mut self,
        o: &mut Plane,
        qkv: &Plane,
        kv: &Cache,
        config: &Config,
        batch: &Batch,
    ) -> Result<()> {
        self.attention_scratch(kv.shape, qkv.rows, config.heads)?;
        match self.precision {
            Precision::Exact => self.launcher.attention_exact(o, qkv, kv, config, batch, &self.scores),
            Precision::Fast => {
                let splits = self.kv_splits(batch.longest());
                self.launcher.attention_fast(o, qkv, kv, config, batch, splits, &self.splits)
            }
        }
    }

    fn scores(
        &mut self,
        o: &mut Plane,
        qkv: &Plane,
        kv: &Cache,
        config: &Config,
        batch: &Batch,
        softmax: bool,
    ) -> Result<()> {
        self.reshape(o, qkv.rows, config.heads * batch.longest())?;
        self.launcher.scores(o, qkv, kv, config, batch, softmax)
    }

    fn top_k(&mut self, o: &mut Route, logits: &Plane, config: &Config) -> Result<()> {
        self.launcher.top_k(o, logits, config)
    }

    fn only_expert(&mut self, o: &mut Route, x: &Plane) -> Result<()> {
        self.launcher.only_expert(o, x.rows)
    }

    fn swiglu(&mut self, h: &mut Plane, gate_up: &Plane) -> Result<()> {
        self.launcher.swiglu(h, gate_up)
    }

    fn silu(&mut self, o: &mut Plane, gate_up: &Plane) -> Result<()> {
        self.reshape(o, gate_up.rows, gate_up.width / 2)?;
        self.launcher.silu(o, gate_up)
    }

    fn combine(&mut self, o: &mut Plane, y: &Plane, route: &Route) -> Result<()> {
        self.launcher.combine(o, y, route)
    }

    fn add(&mut self, x: &mut Plane, y: &Plane) -> Result<()> {
        self.launcher.add(x, y)
    }

    fn select(&mut self, o: &mut Plane, x: &Plane, batch: &Batch) -> Result<()> {
        self.launcher.select(o, x, batch)
    }

    fn attn_out<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<()> {
        if !self.fuses(tap, cx.batch) {
            return composed::attn_out(self, cx, tap);
        }
        let places = self.places(cx.index, [Stage::AttnOut, Stage::PostAttnResidual]);
        let s = &mut *cx.state;
        self.launcher.sum(self.precision, &mut s.x, &cx.layer.attn_out, &s.attn, places)
    }

    fn gate_up<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<()> {
        let (gate, up) = (&cx.layer.gate, &cx.layer.up);
        if !self.fuses(tap, cx.batch) || gate.format != up.format {
            return composed::gate_up(self, cx, tap);
        }
        let stages = match cx.config.experts {
            Some(_) => [Stage::MoeExpertGate, Stage::MoeExpertUp, Stage::MoeExpertSwigl],
            None => [Stage::FfnGate, Stage::FfnUp, Stage::FfnSwigl],
        };
        let places = self.places(cx.index, stages);
        let s = &mut *cx.state;
        self.launcher.gate_up(self.precision, &mut s.h, gate, up, &s.xn, &s.route, places)
    }

    fn down<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<()> {
        if !self.fuses(tap, cx.batch) {
            return composed::down(self, cx, tap);
        }
        let [mut experts, mut out, sum] =
            self.places(cx.index, [Stage::MoeExpertOut, Stage::MoeFfnOut, Stage::PostFfnResidual]);
        if cx.config.experts.is_none() {
            // A dense layer has no experts to tell apart.
            [out] = self.places(cx.index, [Stage::FfnOut]);
            experts = 0;
        }
        let s = &mut *cx.state;
        let places = [experts, out, sum];
        self.launcher.down(self.precision, &mut s.x, &cx.layer.down, &s.h, &s.route, places)
    }

    fn keep(&mut self, config: &Config, layers: usize, sites: &[Site], rows: &Rows) -> Result<Option<Taps>> {
        // A step that is not recorded can ask as it goes.
        if rows.token.len() > RECORDED_ROWS {
            return Ok(None);
        }
        self.slots(layers)?;
        let Some(slots) = &mut self.slots else { return Ok(None) };
        let room = slots.watch(&self.launcher.context, &self.launcher.stream, config, sites, rows)?;
        Ok(room.then(|| Taps::new(slots)))
    }

    fn kept(&mut self) -> Result<Vec<Kept>> {
        let Some(slots) = &mut self.slots else { return Ok(Vec::new()) };
        let kept = slots.take(&self.launcher.stream);
        slots.forget();
        kept
    }

    fn step_by_step(
        &mut self,
        kv: &mut [Cache],
        batch: &Batch,
        record: impl FnOnce(&mut Self, &mut [Cache]) -> Result<()>,
    ) -> Result<()> {
        if fault::fault!("cuda-records-observed-steps") {
            return self.step(kv, batch, record);
        }
        self.prepare(kv, batch)?;
        self.last = None;
        record(self, kv)
    }

    fn step(
        &mut self,
        kv: &mut [Cache],
        batch: &Batch,
        record: impl FnOnce(&mut Self, &mut [Cache]) -> Result<()>,
    ) -> Result<()> {
        self.prepare(kv, batch)?;
        let derives = self.slots.as_ref().is_some_and(Slots::derives);
        if self.eager || derives || batch.len() > RECORDED_ROWS {
            self.last = None;
            return record(self, kv);
        }
        // What a graph remembers of memory; with nothing of it, one is replayed into planes that are gone.
        let forgetful = fault::fault!("cuda-stale-graph");
        let batch_address = if forgetful { 0 } else { batch.memory.address() };
        let releases = |be: &Self| if forgetful { 0 } else { be.launcher.context.releases() };
        let key = Key {
            rows: batch.len(),
            out_rows: batch.rows.out.len(),
            splits: self.kv_splits(batch.longest()),
            batch: batch_address,
            kv: kv.first().map_or(0, |c| c.k.address()),
            releases: releases(self),
            composed: self.ops == Ops::Composed,
            watched: self.slots.as_ref().is_some_and(Slots::watching),
        };
        match self.graphs.get(&key) {
            None => {
                self.last = None;
                record(self, kv)?;
                // What the first run released, such as scratch that had to grow, is counted now.
                let key = Key { releases: releases(self), ..key };
                self.graphs.set(key, Known::Warm);
                return Ok(());
            }
            Some(Known::Ready(..)) if self.last == Some(key) => {}
            Some(Known::Ready(_, recorded)) => {
                let recorded = *recorded;
                // Another step ran in between, whose shapes are on the planes. This sets them again and queues nothing.
                self.launcher.rehearse();
                let rehearsed = record(self, kv);
                let found = self.launcher.fingerprint();
                rehearsed?;
                if found != recorded && !forgetful {
                    // The caller records other objects than before; the next call finds nothing known.
                    self.graphs.remove(&key);
                    return Err(Error::Changed);
                }
            }
            Some(Known::Warm) => {
                let (graph, recorded) = self.capture(|be| record(be, kv))?;
                self.graphs.set(key, Known::Ready(graph, recorded));
            }
        }
        self.last = Some(key);
        match self.graphs.get(&key) {
            Some(Known::Ready(graph, _)) => self.launcher.stream.launch(graph),
            _ => Ok(()),
        }
    }
}
