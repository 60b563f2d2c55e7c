//! The fence around kernel launches: each function checks the shapes of its operands, then queues one kernel.
//!
//! Nothing outside this file launches. A kernel's argument has the type its [`Kernel`] promises, every address in it comes
//! from a borrowed allocation, and the checks here say that the kernel stays inside them.
#![expect(unsafe_code, reason = "the launch is a C call that trusts its argument")]

use super::args::{
    self, AddArgs, AppendArgs, AttentionExactArgs, AttentionFastArgs, BiasArgs, CombineArgs, DownArgs,
    EmbedArgs, GateUpArgs, HeadNormArgs, HeadsArgs, MatmulArgs, NormArgs, OnlyExpertArgs, RepackArgs,
    RopeArgs, ScoresArgs, SelectArgs, SortArgs, SumArgs, SwigluArgs, TapArgs, TopKArgs,
};
use super::driver::{Context, Function, Memory, Module, Stream, check};
use super::error::{Error, Result, fits, same};
use super::graph::Fingerprint;
use super::resident::{Batch, Cache, Matrix, Plane, QUANTUM, Route, Vector, word};
use super::rtc::Compiler;
use super::table::{self, Entries, Kernel, MOST_CHOSEN, MOST_EXPERTS, TILE};
use crate::backend::{Cols, Precision};
use crate::config::{Config, Pairing};
use crate::quant::Format;
use cudarc::driver::sys;
use fault::fault;
use std::collections::HashMap;
use std::rc::Rc;

/// Rows of weights a block of the matmul kernels covers: a warp each.
const ROWS_OF_BLOCK: usize = 8;
const THREADS: usize = 256;

/// Blocks, threads and dynamic shared memory of a launch.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    grid: [usize; 3],
    threads: usize,
    shared: usize,
}

impl Geometry {
    fn new(x: usize, y: usize, z: usize) -> Self {
        Self { grid: [x, y, z], threads: THREADS, shared: 0 }
    }
}

/// What a launch amounts to.
enum Mode {
    /// It is queued.
    Queue,
    /// It is queued and counted.
    Record(Fingerprint),
    /// It is checked and counted.
    Rehearse(Fingerprint),
}

/// A stream with the kernels that were loaded for it.
pub(crate) struct Launcher {
    pub(super) context: Rc<Context>,
    pub(super) stream: Rc<Stream>,
    mode: Mode,
    compiler: Compiler,
    modules: HashMap<(&'static str, Vec<String>), Rc<Module>>,
    functions: HashMap<(&'static str, &'static str, Vec<String>), Function>,
    planted: Vec<String>,
}

impl Launcher {
    pub(crate) fn new(context: Rc<Context>, stream: Rc<Stream>, compiler: Compiler) -> Self {
        let planted = table::planted();
        Self {
            context,
            stream,
            mode: Mode::Queue,
            compiler,
            modules: HashMap::new(),
            functions: HashMap::new(),
            planted,
        }
    }

    /// Counts what is queued from here on, until `fingerprint` is asked for.
    pub(super) fn record(&mut self) {
        self.mode = Mode::Record(Fingerprint::default());
    }

    /// Checks what follows without queueing it, until `fingerprint` is asked for.
    pub(super) fn rehearse(&mut self) {
        self.mode = Mode::Rehearse(Fingerprint::default());
    }

    /// What was launched since `rehearse` or `record`; launches are queued again.
    pub(super) fn fingerprint(&mut self) -> u64 {
        match std::mem::replace(&mut self.mode, Mode::Queue) {
            Mode::Queue => 0,
            Mode::Record(fingerprint) | Mode::Rehearse(fingerprint) => fingerprint.value(),
        }
    }

    /// Loads a kernel, compiling its source if need be.
    fn function<A>(&mut self, kernel: &Kernel<A>, shared: usize) -> Result<Function> {
        let key = (kernel.source, kernel.function, kernel.definitions.to_vec());
        if let Some(function) = self.functions.get(&key) {
            return Ok(function.clone());
        }
        let definitions = [&kernel.definitions[..], &self.planted].concat();
        let unit = (kernel.source, definitions);
        let module = match self.modules.get(&unit) {
            Some(module) => module.clone(),
            None => {
                let Some(source) = table::unit(kernel.source, &unit.1) else {
                    return Err(Error::Unsupported { what: format!("no source {}", kernel.source) });
                };
                let image = self.compiler.compile(&source)?;
                let module = Module::new(&self.context, &image.cubin)?;
                self.modules.insert(unit, module.clone());
                module
            }
        };
        let function = module.function(kernel.function, shared)?;
        self.functions.insert(key, function.clone());
        Ok(function)
    }

    /// Queues a kernel. Private: callers in this file have checked that it stays inside its operands.
    fn launch<A: Copy + std::fmt::Debug>(
        &mut self,
        kernel: &Kernel<A>,
        geometry: Geometry,
        mut argument: A,
    ) -> Result<()> {
        let [x, y, z] = geometry.grid;
        if x == 0 || y == 0 || z == 0 {
            return Ok(());
        }
        fits(kernel.function, "blocks along y", y, 65_535)?;
        fits(kernel.function, "blocks along z", z, 65_535)?;
        fits(kernel.function, "blocks along x", x, i32::MAX as usize)?;
        if let Mode::Record(fingerprint) | Mode::Rehearse(fingerprint) = &mut self.mode {
            fingerprint
                .add(format_args!("{} {:?} {geometry:?} {argument:?}", kernel.function, kernel.definitions));
        }
        if matches!(self.mode, Mode::Rehearse(_)) {
            return Ok(());
        }
        let function = self.function(kernel, geometry.shared)?;
        let config = sys::CUlaunchConfig {
            gridDimX: word(x),
            gridDimY: word(y),
            gridDimZ: word(z),
            blockDimX: word(geometry.threads),
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: word(geometry.shared),
            hStream: self.stream.raw(),
            attrs: std::ptr::null_mut(),
            numAttrs: 0,
        };
        let mut arguments = [(&raw mut argument).cast::<std::ffi::c_void>()];
        // SAFETY: function and stream are live. The kernel takes one parameter, of type `A` by value (`Kernel` says so,
        // args.cuh is generated from the same table), which is copied before the call returns. Its addresses lie in
        // allocations that the caller borrowed and checked; memory is released only after the work queued before.
        check("cuLaunchKernelEx", unsafe {
            sys::cuLaunchKernelEx(
                &raw const config,
                function.raw(),
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        })
    }

    // Residence.

    /// Permutes `n` blocks of Q6_K that lie in `source` to places `first ..` of `target`'s planes.
    pub(super) fn repack(&mut self, target: &Matrix, source: &Memory, first: usize, n: usize) -> Result<()> {
        let blocks = target.count * target.rows * target.cols / target.format.row().block;
        fits("repack", "blocks", first + n, blocks)?;
        fits("repack", "bytes", n * target.format.row().bytes, source.bytes())?;
        same("repack", "bytes of the tensor", target.memory.bytes(), blocks * target.format.row().bytes)?;
        let argument = RepackArgs {
            source: source.address(),
            target: target.memory.address(),
            blocks: blocks as u64,
            first: first as u64,
            n: n as u64,
        };
        self.launch(&table::REPACK_Q6_K, Geometry::new(n.div_ceil(THREADS / 8), 1, 1), argument)
    }

    /// Makes the 8-bit form of columns of a plane follow their floats; other columns may not be there yet.
    pub(super) fn quantize(&mut self, x: &Plane, cols: Cols) -> Result<()> {
        let (start, n) = x.cols("quantize", cols)?;
        let Some((q, s)) = &x.q else { return Ok(()) };
        if n == x.width {
            return self.launch(&table::QUANTIZE, Geometry::new(1, x.rows, 1), x.args());
        }
        // The whole blocks that the columns touch, which stay inside a row: its width is a multiple of a block's.
        let first = start / QUANTUM * QUANTUM;
        let width = (start + n).next_multiple_of(QUANTUM) - first;
        for row in 0..x.rows {
            let at = (row * x.width + first) as u64;
            let argument = args::Plane {
                f: x.f.address() + at * 4,
                q: q.address() + at,
                s: s.address() + at / QUANTUM as u64 * 8,
                width: word(width),
            };
            self.launch(&table::QUANTIZE, Geometry::new(1, 1, 1), argument)?;
        }
        Ok(())
    }

    /// Stores columns of `x` at the address that `slot` (an offset into `slots`) holds, if any.
    pub(super) fn tap(&mut self, x: &Plane, cols: Cols, slots: &Memory, slot: usize) -> Result<()> {
        let (start, n) = x.cols("tap", cols)?;
        fits("tap", "slot", slot + 8, slots.bytes())?;
        let argument = TapArgs {
            x: x.f.address(),
            slot: slots.address() + slot as u64,
            stride: word(x.width),
            start: word(start),
            n: word(n),
        };
        self.launch(&table::TAP, Geometry::new(n.div_ceil(THREADS), x.rows, 1), argument)
    }

    /// The same for `n` words of each row of `words`.
    pub(super) fn tap_words(
        &mut self,
        words: &Memory,
        rows: usize,
        n: usize,
        slots: &Memory,
        slot: usize,
    ) -> Result<()> {
        fits("tap", "words", rows * n * 4, words.bytes())?;
        fits("tap", "slot", slot + 8, slots.bytes())?;
        let argument = TapArgs {
            x: words.address(),
            slot: slots.address() + slot as u64,
            stride: word(n),
            start: 0,
            n: word(n),
        };
        self.launch(&table::TAP, Geometry::new(n.div_ceil(THREADS), rows, 1), argument)
    }

    // Primitives.

    pub(super) fn embed(&mut self, o: &mut Plane, table: &Matrix, batch: &Batch) -> Result<()> {
        same("embed", "columns", table.cols, o.width)?;
        if let Some(&token) = batch.rows.token.iter().find(|&&t| t as usize >= table.rows) {
            return Err(Error::Token { token, vocab: table.rows });
        }
        o.set_rows("embed", batch.len())?;
        let argument = EmbedArgs { table: table.args(), token: batch.tokens(), out: o.f.address() };
        self.launch(&table::embed(table.format), Geometry::new(batch.len(), 1, 1), argument)
    }

    pub(super) fn norm(&mut self, o: &mut Plane, x: &Plane, w: &Vector, eps: f32) -> Result<()> {
        same("norm", "columns", x.width, w.len)?;
        same("norm", "output columns", o.width, w.len)?;
        o.set_rows("norm", x.rows)?;
        let eps = if fault!("cuda-norm-eps-dropped") { 0.0 } else { eps };
        let argument = NormArgs { out: o.args(), x: x.f.address(), w: w.memory.address(), eps };
        self.launch(&table::NORM, Geometry::new(x.rows, 1, 1), argument)
    }

    pub(super) fn head_norm(&mut self, x: &mut Plane, cols: Cols, w: &Vector, eps: f32) -> Result<()> {
        let (start, width) = x.cols("head norm", cols)?;
        if w.len == 0 || !width.is_multiple_of(w.len) {
            return Err(Error::Shape {
                operation: "head norm",
                what: "columns",
                found: width,
                expected: w.len,
            });
        }
        let argument = HeadNormArgs {
            x: x.f.address(),
            w: w.memory.address(),
            stride: word(x.width),
            start: word(start),
            n: word(w.len),
            eps,
        };
        let geometry = Geometry { threads: 128, ..Geometry::new(width / w.len, x.rows, 1) };
        self.launch(&table::HEAD_NORM, geometry, argument)
    }

    pub(super) fn bias(&mut self, x: &mut Plane, col: usize, b: &Vector) -> Result<()> {
        x.cols("bias", Cols::new(col, b.len))?;
        let argument = BiasArgs {
            x: x.f.address(),
            b: b.memory.address(),
            stride: word(x.width),
            col: word(col),
            n: word(b.len),
        };
        self.launch(&table::BIAS, Geometry::new(b.len.div_ceil(THREADS), x.rows, 1), argument)
    }

    pub(super) fn matmul(
        &mut self,
        precision: Precision,
        o: &mut Plane,
        col: usize,
        w: &Matrix,
        x: &Plane,
        route: Option<&Route>,
    ) -> Result<()> {
        same("matmul", "columns", x.width, w.cols)?;
        fits("matmul", "end of the output columns", col + w.rows, o.width)?;
        let expected = w.format.row_bytes(w.cols).unwrap_or(usize::MAX).saturating_mul(w.rows * w.count);
        same("matmul", "bytes of the weights", w.memory.bytes(), expected)?;
        let (entries, entries_per_row) = match route {
            None => (x.rows, 1),
            Some(route) => {
                same("matmul", "experts", w.count, route.experts)?;
                let entries = route.entries();
                if x.rows != entries {
                    same("matmul", "rows", x.rows, route.rows)?;
                }
                (entries, if x.rows == entries { 1 } else { route.chosen })
            }
        };
        let integers = !matches!(w.format, Format::F32 | Format::F16 | Format::BF16);
        if precision == Precision::Fast && integers && x.q.is_none() {
            return Err(Error::Shape {
                operation: "matmul",
                what: "columns (a multiple of 32)",
                found: x.width,
                expected: 32,
            });
        }
        o.set_rows("matmul", entries)?;
        let routed = route.filter(|r| r.experts > 1);
        let many = entries > 1 && routed.is_none_or(|r| r.rows > 1);
        let mut argument = MatmulArgs {
            w: w.args(),
            x: x.args(),
            out: o.f.address(),
            experts: 0,
            order: 0,
            tiles: 0,
            tile_count: 0,
            out_stride: word(o.width),
            col: word(col),
            entries: word(entries),
            entries_per_row: word(entries_per_row),
        };
        let blocks = w.rows.div_ceil(ROWS_OF_BLOCK);
        let (class, height) = match routed {
            Some(route) if many => {
                argument.order = route.order.address();
                argument.tiles = route.tiles.address();
                argument.tile_count = route.tile_count.address();
                (Entries::Many, route.most_tiles())
            }
            Some(route) => {
                argument.experts = route.ids.address();
                (Entries::One, entries)
            }
            None if many => (Entries::Many, entries.div_ceil(TILE)),
            None => (Entries::One, entries),
        };
        self.launch(&table::matmul(w.format, precision, class), Geometry::new(blocks, height, 1), argument)
    }

    /// Whether a product's operands fit, `x` having so many rows.
    fn product_fits(
        operation: &'static str,
        precision: Precision,
        w: &Matrix,
        x: &Plane,
        rows: usize,
    ) -> Result<()> {
        same(operation, "columns", x.width, w.cols)?;
        same(operation, "rows", x.rows, rows)?;
        let expected = w.format.row_bytes(w.cols).unwrap_or(usize::MAX).saturating_mul(w.rows * w.count);
        same(operation, "bytes of the weights", w.memory.bytes(), expected)?;
        let integers = !matches!(w.format, Format::F32 | Format::F16 | Format::BF16);
        if precision == Precision::Fast && integers && x.q.is_none() {
            let (what, found) = ("columns (a multiple of 32)", x.width);
            return Err(Error::Shape { operation, what, found, expected: QUANTUM });
        }
        Ok(())
    }

    /// `sum += w x`; `slots` are places in the table of watched values for the product and the sum, 0 for none.
    pub(super) fn sum(
        &mut self,
        precision: Precision,
        sum: &mut Plane,
        w: &Matrix,
        x: &Plane,
        slots: [u64; 2],
    ) -> Result<()> {
        Self::product_fits("sum", precision, w, x, sum.rows)?;
        same("sum", "rows of the weights", w.rows, sum.width)?;
        let [slot_out, slot_sum] = slots;
        let argument = SumArgs { w: w.args(), x: x.args(), sum: sum.f.address(), slot_out, slot_sum };
        let geometry = Geometry::new(w.rows.div_ceil(ROWS_OF_BLOCK), x.rows, 1);
        self.launch(&table::sum(w.format, precision), geometry, argument)
    }

    /// `h = silu(gate x) * (up x)` for each entry of the route; `slots` for gate, up and `h`.
    #[expect(clippy::too_many_arguments, reason = "two matrices, their operands and where their values go")]
    pub(super) fn gate_up(
        &mut self,
        precision: Precision,
        h: &mut Plane,
        gate: &Matrix,
        up: &Matrix,
        x: &Plane,
        route: &Route,
        slots: [u64; 3],
    ) -> Result<()> {
        for w in [gate, up] {
            Self::product_fits("gate and up", precision, w, x, route.rows)?;
            same("gate and up", "rows of the weights", w.rows, h.width)?;
            same("gate and up", "experts", w.count, route.experts)?;
        }
        same("gate and up", "the id of the format", up.format as usize, gate.format as usize)?;
        h.set_rows("gate and up", route.entries())?;
        let [slot_gate, slot_up, slot_out] = slots;
        let argument = GateUpArgs {
            gate: gate.args(),
            up: up.args(),
            x: x.args(),
            out: h.args(),
            experts: if route.experts > 1 { route.ids.address() } else { 0 },
            entries_per_row: word(route.chosen),
            slot_gate,
            slot_up,
            slot_out,
        };
        let geometry = Geometry::new(gate.rows.div_ceil(QUANTUM), route.entries(), 1);
        self.launch(&table::gate_up(gate.format, precision), geometry, argument)
    }

    /// `sum += sum over experts of weight * (w h)`; `slots` for the experts' outputs, their sum and the residual stream.
    pub(super) fn down(
        &mut self,
        precision: Precision,
        sum: &mut Plane,
        w: &Matrix,
        h: &Plane,
        route: &Route,
        slots: [u64; 3],
    ) -> Result<()> {
        Self::product_fits("down", precision, w, h, route.entries())?;
        same("down", "rows of the weights", w.rows, sum.width)?;
        same("down", "experts", w.count, route.experts)?;
        same("down", "rows", sum.rows, route.rows)?;
        let [slot_down, slot_out, slot_sum] = slots;
        let argument = DownArgs {
            w: w.args(),
            x: h.args(),
            experts: if route.experts > 1 { route.ids.address() } else { 0 },
            weights: route.weights.address(),
            sum: sum.f.address(),
            chosen: word(route.chosen),
            slot_down,
            slot_out,
            slot_sum,
        };
        let geometry = Geometry::new(w.rows.div_ceil(ROWS_OF_BLOCK), route.rows, 1);
        self.launch(&table::down(w.format, precision), geometry, argument)
    }

    /// Rotates by tables `[positions, pairs]` that reach past every position of the batch.
    pub(super) fn rope(
        &mut self,
        x: &mut Plane,
        cols: Cols,
        config: &Config,
        batch: &Batch,
        cos: &Memory,
        sin: &Memory,
    ) -> Result<()> {
        let (start, width) = x.cols("rope", cols)?;
        same("rope", "rows", x.rows, batch.len())?;
        let (head_dim, pairs) = (config.head_dim, config.rope.dims / 2);
        if head_dim == 0 || !width.is_multiple_of(head_dim) || config.rope.dims > head_dim {
            return Err(Error::Shape {
                operation: "rope",
                what: "columns",
                found: width,
                expected: head_dim,
            });
        }
        fits("rope", "positions", batch.longest() * pairs * 4, cos.bytes().min(sin.bytes()))?;
        let argument = RopeArgs {
            x: x.f.address(),
            position: batch.positions(),
            cos: cos.address(),
            sin: sin.address(),
            stride: word(x.width),
            start: word(start),
            head_dim: word(head_dim),
            pairs: word(pairs),
            neighbours: u32::from(
                config.rope.pairing == Pairing::Neighbours || fault!("cuda-rope-neighbours"),
            ),
        };
        self.launch(&table::ROPE, Geometry::new(pairs.div_ceil(THREADS), width / head_dim, x.rows), argument)
    }

    pub(super) fn append(
        &mut self,
        kv: &mut Cache,
        qkv: &Plane,
        config: &Config,
        batch: &Batch,
    ) -> Result<()> {
        heads_fit("append", qkv, kv, config, batch)?;
        let argument = AppendArgs {
            qkv: qkv.f.address(),
            k: kv.k.address(),
            v: kv.v.address(),
            position: batch.positions(),
            sequence: batch.sequences(),
            stride: word(qkv.width),
            k_start: word(config.q_width()),
            heads: word(config.kv_heads),
            head_dim: word(config.head_dim),
            capacity: word(kv.shape.positions),
        };
        let geometry = Geometry::new(config.head_dim.div_ceil(THREADS), config.kv_heads, qkv.rows);
        self.launch(&table::append(kv.precision), geometry, argument)
    }

    /// `scratch` holds `capacity` floats for each of its blocks.
    pub(super) fn attention_exact(
        &mut self,
        o: &mut Plane,
        qkv: &Plane,
        kv: &Cache,
        config: &Config,
        batch: &Batch,
        scratch: &Memory,
    ) -> Result<()> {
        let h = heads_fit("attention", qkv, kv, config, batch)?;
        same("attention", "output columns", o.width, config.q_width())?;
        same("attention", "bytes of a key element", table::kv_bytes(kv.precision), 4)?;
        let items = qkv.rows * config.heads;
        let blocks = items.min(scratch.bytes() / 4 / kv.shape.positions.max(1));
        if items > 0 && blocks == 0 {
            return Err(Error::Shape {
                operation: "attention",
                what: "scratch",
                found: scratch.bytes(),
                expected: kv.shape.positions * 4,
            });
        }
        o.set_rows("attention", qkv.rows)?;
        let argument =
            AttentionExactArgs { h, out: o.args(), scratch: scratch.address(), items: word(items) };
        self.launch(&table::ATTENTION_EXACT, Geometry::new(blocks, 1, 1), argument)
    }

    /// `partials` and `arrivals` have room for every key head of every row; arrivals are zero.
    #[expect(clippy::too_many_arguments, reason = "the operands of attention and its two scratch areas")]
    pub(super) fn attention_fast(
        &mut self,
        o: &mut Plane,
        qkv: &Plane,
        kv: &Cache,
        config: &Config,
        batch: &Batch,
        splits: usize,
        scratch: &Splits,
    ) -> Result<()> {
        let h = heads_fit("attention", qkv, kv, config, batch)?;
        same("attention", "output columns", o.width, config.q_width())?;
        same("attention", "bytes of a key element", table::kv_bytes(kv.precision), 2)?;
        let (dim, group) = (config.head_dim, config.heads / config.kv_heads);
        let cells = qkv.rows * config.kv_heads;
        fits(
            "attention",
            "partial results",
            cells * Splits::partial_bytes(dim, group),
            scratch.partials.bytes(),
        )?;
        fits("attention", "arrival counters", cells * 4, scratch.arrivals.bytes())?;
        o.set_rows("attention", qkv.rows)?;
        let argument = AttentionFastArgs {
            h,
            out: o.args(),
            partials: scratch.partials.address(),
            arrivals: scratch.arrivals.address(),
        };
        let geometry = Geometry {
            shared: Splits::shared_bytes(dim, group),
            ..Geometry::new(splits.clamp(1, table::MOST_CHUNKS), config.kv_heads, qkv.rows)
        };
        self.launch(&table::attention_fast(dim, group), geometry, argument)
    }

    pub(super) fn scores(
        &mut self,
        o: &mut Plane,
        qkv: &Plane,
        kv: &Cache,
        config: &Config,
        batch: &Batch,
        softmax: bool,
    ) -> Result<()> {
        let h = heads_fit("scores", qkv, kv, config, batch)?;
        let longest = batch.longest();
        same("scores", "output columns", o.width, config.heads * longest)?;
        o.set_rows("scores", qkv.rows)?;
        let argument =
            ScoresArgs { h, out: o.f.address(), longest: word(longest), softmax: u32::from(softmax) };
        self.launch(&table::scores(kv.precision), Geometry::new(config.heads, qkv.rows, 1), argument)
    }

    pub(super) fn top_k(&mut self, o: &mut Route, logits: &Plane, config: &Config) -> Result<()> {
        let Some(experts) = config.experts else {
            return Err(Error::Shape { operation: "top k", what: "experts", found: 0, expected: 1 });
        };
        same("top k", "logits of a row", logits.width, experts.count)?;
        same("top k", "experts of a row", experts.used, o.chosen)?;
        fits("top k", "rows", logits.rows, o.capacity)?;
        fits("top k", "experts", experts.count, MOST_EXPERTS)?;
        fits("top k", "experts of a row", experts.used, experts.count.min(MOST_CHOSEN))?;
        o.rows = logits.rows;
        o.experts = experts.count;
        let argument = TopKArgs {
            logits: logits.f.address(),
            ids: o.ids.address(),
            weights: o.weights.address(),
            margin: o.margin.address(),
            experts: word(experts.count),
            chosen: word(experts.used),
            renormalize: u32::from(experts.renormalize),
        };
        let geometry = Geometry { threads: 128, ..Geometry::new(logits.rows, 1, 1) };
        self.launch(&table::TOP_K, geometry, argument)?;
        self.sort(o)
    }

    /// Orders the entries of several rows by expert.
    pub(super) fn sort(&mut self, o: &mut Route) -> Result<()> {
        if o.rows <= 1 {
            return Ok(());
        }
        fits("sort", "tiles", o.most_tiles() * 16, o.tiles.bytes())?;
        let argument = SortArgs {
            ids: o.ids.address(),
            order: o.order.address(),
            tiles: o.tiles.address(),
            tile_count: o.tile_count.address(),
            entries: word(o.entries()),
            experts: word(o.experts),
            tile: word(TILE),
        };
        let geometry = Geometry { threads: 1024, ..Geometry::new(1, 1, 1) };
        self.launch(&table::SORT, geometry, argument)
    }

    pub(super) fn only_expert(&mut self, o: &mut Route, rows: usize) -> Result<()> {
        same("route of a dense layer", "experts of a row", o.chosen, 1)?;
        fits("route of a dense layer", "rows", rows, o.capacity)?;
        o.rows = rows;
        o.experts = 1;
        let argument = OnlyExpertArgs {
            ids: o.ids.address(),
            weights: o.weights.address(),
            margin: o.margin.address(),
            rows: word(rows),
        };
        self.launch(&table::ONLY_EXPERT, Geometry::new(rows.div_ceil(THREADS), 1, 1), argument)
    }

    pub(super) fn swiglu(&mut self, h: &mut Plane, gate_up: &Plane) -> Result<()> {
        same("swiglu", "columns", gate_up.width, 2 * h.width)?;
        h.set_rows("swiglu", gate_up.rows)?;
        let argument = SwigluArgs { out: h.args(), gate_up: gate_up.f.address() };
        self.launch(&table::SWIGLU, Geometry::new(1, gate_up.rows, 1), argument)
    }

    pub(super) fn silu(&mut self, o: &mut Plane, gate_up: &Plane) -> Result<()> {
        same("silu", "columns", gate_up.width, 2 * o.width)?;
        o.set_rows("silu", gate_up.rows)?;
        let argument = SwigluArgs { out: o.floats(), gate_up: gate_up.f.address() };
        self.launch(&table::SILU, Geometry::new(1, gate_up.rows, 1), argument)
    }

    pub(super) fn combine(&mut self, o: &mut Plane, y: &Plane, route: &Route) -> Result<()> {
        same("combine", "rows", y.rows, route.entries())?;
        same("combine", "columns", y.width, o.width)?;
        o.set_rows("combine", route.rows)?;
        let argument = CombineArgs {
            out: o.f.address(),
            y: y.f.address(),
            weights: route.weights.address(),
            chosen: word(route.chosen),
            width: word(o.width),
        };
        self.launch(&table::COMBINE, Geometry::new(o.width.div_ceil(THREADS), route.rows, 1), argument)
    }

    pub(super) fn add(&mut self, x: &mut Plane, y: &Plane) -> Result<()> {
        same("add", "columns", y.width, x.width)?;
        same("add", "rows", y.rows, x.rows)?;
        let argument = AddArgs { x: x.f.address(), y: y.f.address(), width: word(x.width) };
        self.launch(&table::ADD, Geometry::new(x.width.div_ceil(THREADS), x.rows, 1), argument)
    }

    pub(super) fn select(&mut self, o: &mut Plane, x: &Plane, batch: &Batch) -> Result<()> {
        same("select", "columns", o.width, x.width)?;
        same("select", "rows", x.rows, batch.len())?;
        let rows = batch.rows.out.len();
        o.set_rows("select", rows)?;
        let argument =
            SelectArgs { out: o.f.address(), x: x.f.address(), rows: batch.out(), width: word(x.width) };
        self.launch(&table::SELECT, Geometry::new(x.width.div_ceil(THREADS), rows, 1), argument)
    }
}

/// Scratch of `fast` attention.
pub(crate) struct Splits {
    pub(super) partials: Memory,
    pub(super) arrivals: Memory,
}

impl Splits {
    /// Bytes of the partial results of one key head of one row; see attention.cuh.
    pub(super) fn partial_bytes(head_dim: usize, group: usize) -> usize {
        table::MOST_CHUNKS * group * (head_dim + 2) * 4
    }

    /// Bytes of `Chunk` of attention.cuh.
    fn shared_bytes(head_dim: usize, group: usize) -> usize {
        const WARPS: usize = 8;
        const KEYS: usize = 8;
        4 * (group * (head_dim + 16)
            + WARPS * group * KEYS
            + 2 * group * WARPS
            + WARPS * group * head_dim
            + 1)
    }
}

/// Checks that queries, keys and rows fit each other and that every row's position has room.
fn heads_fit(
    operation: &'static str,
    qkv: &Plane,
    kv: &Cache,
    config: &Config,
    batch: &Batch,
) -> Result<HeadsArgs> {
    same(operation, "columns", qkv.width, config.q_width() + 2 * config.kv_width())?;
    same(operation, "rows", qkv.rows, batch.len())?;
    same(operation, "key heads", config.kv_heads, kv.shape.heads)?;
    same(operation, "head width", config.head_dim, kv.shape.head_dim)?;
    if config.kv_heads == 0 || !config.heads.is_multiple_of(config.kv_heads) {
        return Err(Error::Shape {
            operation,
            what: "query heads",
            found: config.heads,
            expected: config.kv_heads,
        });
    }
    fits(operation, "positions", batch.longest(), kv.shape.positions)?;
    let sequences = batch.rows.sequence.iter().max().map_or(0, |&s| s as usize + 1);
    fits(operation, "sequences", sequences, kv.shape.sequences)?;
    Ok(HeadsArgs {
        qkv: qkv.f.address(),
        k: kv.k.address(),
        v: kv.v.address(),
        position: batch.positions(),
        sequence: batch.sequences(),
        stride: word(qkv.width),
        heads: word(config.heads),
        kv_heads: word(config.kv_heads),
        head_dim: word(config.head_dim),
        capacity: word(kv.shape.positions),
        scale: if fault!("cuda-attention-unscaled") { 1.0 } else { 1.0 / (config.head_dim as f32).sqrt() },
    })
}
