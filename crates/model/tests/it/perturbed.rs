//! The CPU with a planted fault: one primitive is wrong in one layer, in the prompt or from some decoded token on. One table
//! of classes says where a debugger has to find each.

use model::backend::{Backend, Cols, Cx, KvShape, Precision, Routes, Rows, Tensor};
use model::bisect::{Class, STRICT};
use model::bytes::Bytes;
use model::composed;
use model::config::{Config, Experts, Pairing};
use model::cpu::{Act, Cpu, Error, Kv, Mat};
use model::quant::Format;
use model::stage::Stage;
use model::state::State;
use model::tap::{Off, Tap};
use model::weights::Weights;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wrong {
    /// A matrix is read in another format than its own: Q4_K as Q6_K, anything else as Q4_K.
    Format(&'static str),
    /// The experts' matrices are transposed.
    Transposed(&'static str),
    /// A bit in the third row of each matrix is flipped.
    BitFlip(&'static str),
    /// The second tensor is used instead of the first.
    OtherTensor(&'static str, &'static str),
    QNormMissing,
    KNormMissing,
    QNormOfAllHeads,
    RopeDefaultBase,
    RopePositionOffByOne,
    RopeKeysOffByOne,
    RopePairsNeighbours,
    ExpertSwapped(Stage),
    ProductIsNan(Stage),
    ProductIsInfinite(Stage),
    /// The last 32 columns of a product are left out.
    ProductTruncated(Stage),
    CombineTimes1000,
    CombineUnweighted,
    CombineFirstOnly,
    /// Keys and values are those of memory that nobody wrote.
    KvStale,
    KvSwapped,
    /// Scores are divided by the root of another width than the heads'.
    HeadDimAssumed,
    MaskOffByOne,
    NotRenormalised,
    OtherExpertChosen,
    EpsilonTooLarge,
    GateUpSwapped,
    AttnResidualForgotten,
    FfnResidualForgotten,
    NormTimes(f32),
    RouterInHalfPrecision,
    TokenOffByOne,
    SelectsFirstRow,
    /// One element of a stage's value is so far off that its error is this many times what is tolerated.
    Element {
        stage: Stage,
        index: usize,
        times: f64,
    },
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Prompt,
    /// From the pass at this position on.
    From(u32),
}

/// A planted fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) wrong: Wrong,
    pub(crate) layer: usize,
    pub(crate) when: When,
}

/// One row of the table: what is wrong, the stage that shows it first, and as what.
pub(crate) type Row = (Wrong, Stage, Class);

/// Every class of fault, once.
pub(crate) const TABLE: &[Row] = {
    use Class::{KernelError, NanSource};
    use Wrong as W;
    &[
        (W::Format("ffn_down_exps"), Stage::MoeExpertOut, NanSource),
        (W::Transposed("ffn_up_exps"), Stage::MoeExpertUp, KernelError),
        (W::BitFlip("attn_output"), Stage::AttnOut, KernelError),
        (W::BitFlip("ffn_gate_exps"), Stage::MoeExpertGate, KernelError),
        (W::OtherTensor("attn_v", "attn_k"), Stage::QkvMatmul, KernelError),
        (W::QNormMissing, Stage::QNorm, KernelError),
        (W::KNormMissing, Stage::KNorm, KernelError),
        (W::QNormOfAllHeads, Stage::QNorm, KernelError),
        (W::RopeDefaultBase, Stage::QPostRope, KernelError),
        (W::RopePositionOffByOne, Stage::QPostRope, KernelError),
        (W::RopeKeysOffByOne, Stage::KPostRope, KernelError),
        (W::RopePairsNeighbours, Stage::QPostRope, KernelError),
        (W::ExpertSwapped(Stage::MoeExpertGate), Stage::MoeExpertGate, KernelError),
        (W::ExpertSwapped(Stage::MoeExpertOut), Stage::MoeExpertOut, KernelError),
        (W::ProductIsNan(Stage::AttnOut), Stage::AttnOut, NanSource),
        (W::ProductIsNan(Stage::MoeRouterLogits), Stage::MoeRouterLogits, NanSource),
        (W::ProductIsInfinite(Stage::MoeExpertUp), Stage::MoeExpertUp, NanSource),
        (W::ProductTruncated(Stage::QkvMatmul), Stage::QkvMatmul, KernelError),
        (W::ProductTruncated(Stage::LmHead), Stage::LmHead, KernelError),
        (W::CombineTimes1000, Stage::MoeFfnOut, KernelError),
        (W::CombineUnweighted, Stage::MoeFfnOut, KernelError),
        (W::CombineFirstOnly, Stage::MoeFfnOut, KernelError),
        (W::KvStale, Stage::Attention, KernelError),
        (W::KvSwapped, Stage::Attention, KernelError),
        (W::HeadDimAssumed, Stage::Attention, KernelError),
        (W::MaskOffByOne, Stage::Attention, KernelError),
        (W::NotRenormalised, Stage::MoeRouter, KernelError),
        (W::OtherExpertChosen, Stage::MoeRouterIndices, KernelError),
        (W::EpsilonTooLarge, Stage::AttnNorm, KernelError),
        (W::GateUpSwapped, Stage::MoeExpertSwigl, KernelError),
        (W::AttnResidualForgotten, Stage::PostAttnResidual, KernelError),
        (W::FfnResidualForgotten, Stage::PostFfnResidual, KernelError),
        (W::NormTimes(1.001), Stage::FfnNorm, KernelError),
        (W::RouterInHalfPrecision, Stage::MoeRouterLogits, KernelError),
        (W::TokenOffByOne, Stage::Embedding, KernelError),
        (W::SelectsFirstRow, Stage::FinalNorm, KernelError),
    ]
};

impl Fault {
    /// Whether it can show: of one row, the first is the last.
    pub(crate) fn can_show(&self) -> bool {
        !(self.wrong == Wrong::SelectsFirstRow && self.when != When::Prompt)
    }
}

/// The CPU with a fault.
pub(crate) struct Perturbed {
    inner: Cpu,
    fault: Fault,
    /// How often it struck.
    struck: Rc<Cell<usize>>,
    /// The first layer that runs, and the one at hand.
    first: usize,
    layer: usize,
    /// The stage of the first product of the part of the layer at hand; it tells equal primitives apart.
    part: Stage,
    /// Products of this part so far.
    products: usize,
    /// Whether it is active in this pass.
    on: bool,
    /// Matrices of the layer being loaded.
    loaded: HashMap<String, (Format, Vec<u8>)>,
    weights: Shared,
}

/// Matrices without a fault by name, for all backends of one precision on one file.
pub(crate) type Shared = Rc<RefCell<HashMap<String, Mat>>>;

/// The rows of a pass as they are, and as wrong kernels see them.
pub(crate) struct Batch {
    right: <Cpu as Backend>::Batch,
    /// Positions one too far, other tokens, the first row's logits.
    wrong: <Cpu as Backend>::Batch,
    /// Positions one short.
    short: <Cpu as Backend>::Batch,
}

impl Perturbed {
    /// A backend for the layers from `first` on.
    pub(crate) fn new(precision: Precision, first: usize, fault: Fault, struck: Rc<Cell<usize>>) -> Self {
        let inner = Cpu::new(precision, NonZeroUsize::new(1)).unwrap();
        let (layer, part, on) = (usize::MAX, Stage::Embedding, false);
        let (loaded, weights) = (HashMap::new(), Shared::default());
        Self { inner, fault, struck, first, layer, part, products: 0, on, loaded, weights }
    }

    /// Takes up what others of the same precision and file took up before.
    pub(crate) fn sharing(self, weights: &Shared) -> Self {
        Self { weights: Rc::clone(weights), ..self }
    }

    /// The fault, where it is active.
    fn here(&self) -> Option<Wrong> {
        (self.on && self.fault.layer == self.layer).then_some(self.fault.wrong)
    }

    fn strike(&self) {
        self.struck.set(self.struck.get() + 1);
    }

    fn is(&self, wrong: Wrong) -> bool {
        let is = self.here() == Some(wrong);
        if is {
            self.strike();
        }
        is
    }

    fn enter(&mut self, layer: usize, part: Stage) {
        (self.layer, self.part, self.products) = (layer, part, 0);
    }

    /// Changes columns of a plane.
    fn change(&mut self, x: &mut Act, cols: Cols, change: impl FnOnce(&mut Vec<f32>)) -> Result<(), Error> {
        let mut values = self.inner.read(x, cols)?;
        change(&mut values);
        self.inner.write(x, cols, &values)
    }

    /// A copy of a plane, changed.
    fn changed(&mut self, x: &Act, change: impl FnOnce(&mut Vec<f32>)) -> Result<Act, Error> {
        let mut copy = x.clone();
        self.change(&mut copy, Cols::ALL, change)?;
        Ok(copy)
    }

    /// Puts `Wrong::Element` into a stage's value.
    fn element(&mut self, stage: Stage, x: &mut Act, cols: Cols) -> Result<(), Error> {
        let Some(Wrong::Element { stage: of, index, times }) = self.here() else { return Ok(()) };
        if of != stage {
            return Ok(());
        }
        self.strike();
        self.change(x, cols, |v| off(v, index, times))
    }
}

/// Moves one element by so much that the normalized squared error is `times` what is tolerated.
fn off(v: &mut [f32], index: usize, times: f64) {
    let squares: f64 = v.iter().map(|x| f64::from(*x).powi(2)).sum();
    let at = index % v.len();
    v[at] += (times * STRICT * squares).sqrt() as f32;
}

/// `blk.3.ffn_down_exps.weight` as 3 and `ffn_down_exps`.
fn parse(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((layer.parse().ok()?, rest.strip_suffix(".weight")?))
}

/// A matrix as a wrong kernel reads it.
fn misread(
    wrong: Wrong,
    name: &str,
    t: &Tensor<'_>,
    loaded: &HashMap<String, (Format, Vec<u8>)>,
) -> Option<(Format, Vec<u8>)> {
    let row_bytes = t.format.row_bytes(t.cols).unwrap();
    match wrong {
        Wrong::Format(of) if of == name => {
            let format = if t.format == Format::Q4K { Format::Q6K } else { Format::Q4K };
            // Blocks of other lengths: the last ones lie past the tensor's end, or some of its bytes are never read.
            let mut bytes = t.bytes.to_vec();
            bytes.resize(format.row_bytes(t.cols).unwrap() * t.rows * t.count, 0xFF);
            Some((format, bytes))
        }
        Wrong::Transposed(of) if of == name => {
            let n = t.rows * t.cols;
            let mut all = vec![0.0; n * t.count];
            t.format.dequantize(t.bytes, &mut all).unwrap();
            let one = |m: &[f32]| (0..n).map(|i| m[i % t.rows * t.cols + i / t.rows]).collect::<Vec<_>>();
            let values = all.chunks_exact(n).flat_map(one);
            Some((Format::F32, values.flat_map(f32::to_le_bytes).collect()))
        }
        Wrong::BitFlip(of) if of == name => {
            let mut bytes = t.bytes.to_vec();
            for matrix in 0..t.count {
                // The middle of a block holds weights in every format of the files.
                bytes[(matrix * t.rows + 2) * row_bytes + t.format.row().bytes / 2] ^= 0x40;
            }
            Some((t.format, bytes))
        }
        Wrong::OtherTensor(of, other) if of == name => loaded.get(other).cloned(),
        _ => None,
    }
}

impl Backend for Perturbed {
    type Mat = (Mat, Option<Mat>);
    type Vector = Vec<f32>;
    type Act = Act;
    type Kv = Kv;
    type Batch = Batch;
    type Route = Routes;
    type Err = Error;
    type Inside = Off;

    fn mat(&mut self, tensor: Tensor<'_>) -> Result<Self::Mat, Error> {
        let known = self.weights.borrow().get(tensor.name).cloned();
        let right = match known {
            Some(mat) => mat,
            None => self.inner.mat(tensor)?,
        };
        self.weights.borrow_mut().entry(tensor.name.to_owned()).or_insert_with(|| right.clone());
        let Some((_, name)) = parse(tensor.name).filter(|(layer, _)| *layer == self.fault.layer) else {
            return Ok((right, None));
        };
        let misread = misread(self.fault.wrong, name, &tensor, &self.loaded);
        self.loaded.insert(name.to_owned(), (tensor.format, tensor.bytes.to_vec()));
        let wrong = misread.map(|(format, bytes)| {
            let bytes = Bytes::from(bytes);
            self.inner.mat(Tensor { format, bytes: &bytes, ..tensor })
        });
        Ok((right, wrong.transpose()?))
    }
    fn vector(&mut self, tensor: Tensor<'_>) -> Result<Vec<f32>, Error> {
        self.inner.vector(tensor)
    }
    fn act(&mut self, rows: usize, width: usize) -> Result<Act, Error> {
        self.inner.act(rows, width)
    }
    fn route_plane(&mut self, rows: usize, chosen: usize) -> Result<Routes, Error> {
        self.inner.route_plane(rows, chosen)
    }
    fn kv(&mut self, shape: KvShape) -> Result<Kv, Error> {
        self.inner.kv(shape)
    }
    fn batch(&mut self, rows: &Rows, _: Option<Batch>) -> Result<Batch, Error> {
        let first = rows.position.first().copied().unwrap_or(0);
        self.on = match self.fault.when {
            When::Prompt => first == 0,
            When::From(position) => first >= position,
        };
        let (mut wrong, mut short) = (rows.clone(), rows.clone());
        wrong.position.iter_mut().for_each(|p| *p += 1);
        wrong.token.iter_mut().for_each(|t| *t ^= 1);
        wrong.out.iter_mut().for_each(|r| *r = 0);
        short.position.iter_mut().for_each(|p| *p = p.saturating_sub(1));
        let mut on = |rows| self.inner.batch(rows, None);
        Ok(Batch { right: on(rows)?, wrong: on(&wrong)?, short: on(&short)? })
    }
    fn read(&mut self, x: &Act, cols: Cols) -> Result<Vec<f32>, Error> {
        self.inner.read(x, cols)
    }
    fn write(&mut self, x: &mut Act, cols: Cols, values: &[f32]) -> Result<(), Error> {
        self.inner.write(x, cols, values)
    }
    fn read_route(&mut self, route: &Routes) -> Result<Routes, Error> {
        self.inner.read_route(route)
    }
    fn write_route(&mut self, route: &mut Routes, values: &Routes) -> Result<(), Error> {
        self.inner.write_route(route, values)
    }

    fn embed(&mut self, o: &mut Act, table: &Self::Mat, batch: &Batch) -> Result<(), Error> {
        // Stages of the whole model are wrong whatever layer the fault names.
        self.enter(self.fault.layer, Stage::Embedding);
        let wrong = self.is(Wrong::TokenOffByOne);
        self.inner.embed(o, &table.0, if wrong { &batch.wrong } else { &batch.right })?;
        self.element(Stage::Embedding, o, Cols::ALL)
    }
    fn norm(&mut self, o: &mut Act, x: &Act, w: &Vec<f32>, eps: f32) -> Result<(), Error> {
        let stage = match self.part {
            Stage::QkvMatmul => Stage::AttnNorm,
            Stage::MoeRouterLogits => Stage::FfnNorm,
            _ => Stage::FinalNorm,
        };
        let large = stage == Stage::AttnNorm && self.is(Wrong::EpsilonTooLarge);
        self.inner.norm(o, x, w, if large { eps * 1e4 } else { eps })?;
        if let Some(Wrong::NormTimes(factor)) = self.here()
            && stage == Stage::FfnNorm
        {
            self.strike();
            self.change(o, Cols::ALL, |v| v.iter_mut().for_each(|x| *x *= factor))?;
        }
        self.element(stage, o, Cols::ALL)
    }
    fn head_norm(&mut self, x: &mut Act, cols: Cols, w: &Vec<f32>, eps: f32) -> Result<(), Error> {
        let queries = cols.start == 0;
        if self.is(if queries { Wrong::QNormMissing } else { Wrong::KNormMissing }) {
            return Ok(());
        }
        let old = self.inner.read(x, cols)?;
        self.inner.head_norm(x, cols, w, eps)?;
        if queries && self.is(Wrong::QNormOfAllHeads) {
            // One norm over the row: each head is scaled by the row's size instead of its own.
            self.change(x, cols, |v| {
                for (row, old) in v.chunks_exact_mut(cols.width).zip(old.chunks_exact(cols.width)) {
                    let squares: f32 = old.iter().map(|x| x * x).sum();
                    let scale = 1.0 / (squares / cols.width as f32 + eps).sqrt();
                    for ((x, old), w) in row.iter_mut().zip(old).zip(w.iter().cycle()) {
                        *x = old * scale * w;
                    }
                }
            })?;
        }
        self.element(if queries { Stage::QNorm } else { Stage::KNorm }, x, cols)
    }
    fn bias(&mut self, x: &mut Act, col: usize, b: &Vec<f32>) -> Result<(), Error> {
        self.inner.bias(x, col, b)
    }
    fn matmul(
        &mut self,
        o: &mut Act,
        col: usize,
        w: &Self::Mat,
        x: &Act,
        route: Option<&Routes>,
    ) -> Result<(), Error> {
        let stage = if self.part == Stage::MoeExpertGate && col > 0 { Stage::MoeExpertUp } else { self.part };
        self.products += 1;
        let (mut mat, mut input, mut routes) = (&w.0, x.clone(), route.cloned());
        if let (Some(_), Some(wrong)) = (self.here(), &w.1) {
            self.strike();
            mat = wrong;
        }
        if self.is(Wrong::ExpertSwapped(stage)) {
            routes.iter_mut().flat_map(|r| &mut r.ids).for_each(|id| *id ^= 1);
        }
        if self.is(Wrong::ProductTruncated(stage)) {
            let width = x.width();
            let cut = |v: &mut Vec<f32>| v.chunks_exact_mut(width).for_each(|r| r[width - 32..].fill(0.0));
            input = self.changed(x, cut)?;
        }
        self.inner.matmul(o, col, mat, &input, routes.as_ref())?;
        if self.is(Wrong::ProductIsNan(stage)) {
            self.change(o, Cols::ALL, |v| v[3] = f32::NAN)?;
        }
        if self.is(Wrong::ProductIsInfinite(stage)) {
            self.change(o, Cols::ALL, |v| *v.last_mut().unwrap() = f32::INFINITY)?;
        }
        let cols = match stage {
            Stage::MoeExpertGate => Cols::new(0, o.width() / 2),
            Stage::MoeExpertUp => Cols::new(col, col),
            _ => Cols::ALL,
        };
        // Queries, keys and values are one value, whole after the third product.
        if stage != Stage::QkvMatmul || self.products == 3 { self.element(stage, o, cols) } else { Ok(()) }
    }
    fn router(&mut self, o: &mut Act, w: &Self::Mat, x: &Act) -> Result<(), Error> {
        self.inner.router(o, &w.0, x)?;
        if self.is(Wrong::ProductIsNan(Stage::MoeRouterLogits)) {
            self.change(o, Cols::ALL, |v| v[1] = f32::NAN)?;
        }
        if self.is(Wrong::RouterInHalfPrecision) {
            let round = |x: &mut f32| *x = f32::from_bits((x.to_bits() + 0x8000) & 0xFFFF_0000);
            self.change(o, Cols::ALL, |v| v.iter_mut().for_each(round))?;
        }
        self.element(Stage::MoeRouterLogits, o, Cols::ALL)
    }
    fn rope(&mut self, x: &mut Act, cols: Cols, config: &Config, batch: &Batch) -> Result<(), Error> {
        let queries = cols.start == 0;
        let mut config = config.clone();
        if queries && self.is(Wrong::RopeDefaultBase) {
            config.rope.base = 10_000.0;
        }
        if queries && self.is(Wrong::RopePairsNeighbours) {
            config.rope.pairing = Pairing::Neighbours;
        }
        let shifted = if queries { Wrong::RopePositionOffByOne } else { Wrong::RopeKeysOffByOne };
        let rows = if self.is(shifted) { &batch.wrong } else { &batch.right };
        self.inner.rope(x, cols, &config, rows)?;
        self.element(if queries { Stage::QPostRope } else { Stage::KPostRope }, x, cols)
    }
    fn append(&mut self, kv: &mut Kv, qkv: &Act, config: &Config, batch: &Batch) -> Result<(), Error> {
        let (q, kv_width) = (config.q_width(), config.kv_width());
        let mut qkv = qkv.clone();
        if self.is(Wrong::KvStale) {
            qkv =
                self.changed(&qkv, |v| v.chunks_exact_mut(q + 2 * kv_width).for_each(|r| r[q..].fill(0.0)))?;
        }
        if self.is(Wrong::KvSwapped) {
            let swap = |r: &mut [f32]| r[q..].rotate_left(kv_width);
            qkv = self.changed(&qkv, |v| v.chunks_exact_mut(q + 2 * kv_width).for_each(swap))?;
        }
        self.inner.append(kv, &qkv, config, &batch.right)
    }
    fn attention(
        &mut self,
        o: &mut Act,
        qkv: &Act,
        kv: &Kv,
        config: &Config,
        batch: &Batch,
    ) -> Result<(), Error> {
        let mut qkv = qkv.clone();
        if self.is(Wrong::HeadDimAssumed) {
            let assumed = match config.hidden / config.heads {
                same if same == config.head_dim => 2 * same,
                other => other,
            };
            // Larger queries make the same scores as a smaller divisor.
            let factor = (config.head_dim as f32 / assumed as f32).sqrt();
            let (q, width) = (config.q_width(), qkv.width());
            let scale = |r: &mut [f32]| r[..q].iter_mut().for_each(|x| *x *= factor);
            qkv = self.changed(&qkv, |v| v.chunks_exact_mut(width).for_each(scale))?;
        }
        let rows = if self.is(Wrong::MaskOffByOne) { &batch.short } else { &batch.right };
        self.inner.attention(o, &qkv, kv, config, rows)?;
        if self.is(Wrong::ProductIsNan(Stage::Attention)) {
            self.change(o, Cols::ALL, |v| v[2] = f32::NAN)?;
        }
        self.element(Stage::Attention, o, Cols::ALL)
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
        self.inner.scores(o, qkv, kv, config, &batch.right, softmax)
    }
    fn top_k(&mut self, o: &mut Routes, logits: &Act, config: &Config) -> Result<(), Error> {
        let mut config = config.clone();
        if self.is(Wrong::NotRenormalised) {
            config.experts = config.experts.map(|e| Experts { renormalize: !e.renormalize, ..e });
        }
        self.inner.top_k(o, logits, &config)?;
        if self.is(Wrong::OtherExpertChosen) {
            let row = &mut o.ids[..o.chosen];
            let other = (0..logits.width() as u32).find(|e| !row.contains(e)).unwrap();
            *row.last_mut().unwrap() = other;
        }
        if let Some(Wrong::Element { stage: Stage::MoeRouter, index, times }) = self.here() {
            self.strike();
            off(&mut o.weights, index, times);
        }
        Ok(())
    }
    fn only_expert(&mut self, o: &mut Routes, x: &Act) -> Result<(), Error> {
        self.inner.only_expert(o, x)
    }
    fn swiglu(&mut self, h: &mut Act, gate_up: &Act) -> Result<(), Error> {
        let mut gate_up = gate_up.clone();
        if self.is(Wrong::GateUpSwapped) {
            let width = gate_up.width();
            let swap = |r: &mut [f32]| r.rotate_left(width / 2);
            gate_up = self.changed(&gate_up, |v| v.chunks_exact_mut(width).for_each(swap))?;
        }
        self.inner.swiglu(h, &gate_up)?;
        self.element(Stage::MoeExpertSwigl, h, Cols::ALL)
    }
    fn silu(&mut self, o: &mut Act, gate_up: &Act) -> Result<(), Error> {
        self.inner.silu(o, gate_up)
    }
    fn combine(&mut self, o: &mut Act, y: &Act, route: &Routes) -> Result<(), Error> {
        let mut route = route.clone();
        if self.is(Wrong::CombineUnweighted) {
            route.weights.fill(1.0);
        }
        if self.is(Wrong::CombineFirstOnly) {
            route.weights.chunks_exact_mut(route.chosen).for_each(|w| w[1..].fill(0.0));
        }
        if self.is(Wrong::CombineTimes1000) {
            route.weights.iter_mut().for_each(|w| *w *= 1000.0);
        }
        self.inner.combine(o, y, &route)?;
        self.element(Stage::MoeFfnOut, o, Cols::ALL)
    }
    fn add(&mut self, x: &mut Act, y: &Act) -> Result<(), Error> {
        let attn = self.part == Stage::AttnOut;
        let forgotten = if attn { Wrong::AttnResidualForgotten } else { Wrong::FfnResidualForgotten };
        if !self.is(forgotten) {
            self.inner.add(x, y)?;
        }
        self.element(if attn { Stage::PostAttnResidual } else { Stage::PostFfnResidual }, x, Cols::ALL)
    }
    fn select(&mut self, o: &mut Act, x: &Act, batch: &Batch) -> Result<(), Error> {
        let rows = if self.is(Wrong::SelectsFirstRow) { &batch.wrong } else { &batch.right };
        self.inner.select(o, x, rows)
    }

    fn qkv<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Error> {
        self.enter(self.first + cx.index, Stage::QkvMatmul);
        composed::qkv(self, cx, tap)
    }
    fn attend<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Error> {
        self.enter(self.layer, Stage::Attention);
        composed::attend(self, cx, tap)
    }
    fn attn_out<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Error> {
        self.enter(self.layer, Stage::AttnOut);
        composed::attn_out(self, cx, tap)
    }
    fn route<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Error> {
        self.enter(self.layer, Stage::MoeRouterLogits);
        composed::route(self, cx, tap)
    }
    fn gate_up<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Error> {
        self.enter(self.layer, Stage::MoeExpertGate);
        composed::gate_up(self, cx, tap)
    }
    fn down<T: Tap<Self>>(&mut self, cx: &mut Cx<'_, Self>, tap: &mut T) -> Result<(), Error> {
        self.enter(self.layer, Stage::MoeExpertOut);
        composed::down(self, cx, tap)
    }
    fn head<T: Tap<Self>>(
        &mut self,
        config: &Config,
        weights: &Weights<Self>,
        state: &mut State<Self>,
        batch: &Batch,
        tap: &mut T,
    ) -> Result<(), Error> {
        self.enter(self.fault.layer, Stage::LmHead);
        composed::head(self, config, weights, state, batch, tap)
    }
}
