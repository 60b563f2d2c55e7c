//! Weights times activations. The work is cut into units of one expert's rows and some of its outputs; every output is
//! its own sum, so the cut shows in no result. Knows no format: units are computed by [`super::float`] or
//! [`super::quantized`].

use super::pool::{Columns, Groups, Part, PerThread, Pool};
use super::q8::{BLOCK, Q8Block};
use super::simd::{self, Level};
use super::{Act, Cpu, Error, Mat, Scratch, float, quantized};
use crate::backend::{Cols, Precision, Routes};
use fault::fault;

/// How products of a matrix are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Weights as f32, activations as f32.
    Float,
    /// Weights as integers, activations in 8 bits.
    Quantized,
}

impl Kind {
    /// Formats of plain numbers have no integers: their products are f32 in any precision.
    pub(super) fn of(precision: Precision, w: &Mat) -> Self {
        match precision {
            Precision::Fast if w.is_interleaved() => Self::Quantized,
            Precision::Fast | Precision::Exact => Self::Float,
        }
    }

    /// Outputs that one unit of work computes.
    fn step(self, w: &Mat, rows: usize) -> usize {
        match self {
            Self::Float => float::step(w, rows),
            Self::Quantized => quantized::step(w),
        }
    }
}

/// Where the rows of a product's input are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub act: &'a Act,
    /// Its rows in 8 bits as the weights want them, `[rows, width / 32]`; none where products are f32.
    pub blocks: &'a [Q8Block],
    /// Rows of the output that share a row of the input.
    pub share: usize,
}

impl Input<'_> {
    /// The row of the input that output row `row` is made of.
    pub(super) fn row(self, row: u32) -> usize {
        row as usize / self.share
    }

    /// That row in 8 bits.
    pub(super) fn blocks(&self, row: u32) -> &[Q8Block] {
        let per = self.act.width() / BLOCK;
        &self.blocks[self.row(row) * per..][..per]
    }
}

/// Some outputs of some rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit<'a> {
    pub level: Level,
    pub w: &'a Mat,
    /// Which matrix.
    pub matrix: usize,
    /// Its row that makes the first output.
    pub first: usize,
    /// Rows of the output plane.
    pub rows: &'a [u32],
    pub x: Input<'a>,
}

impl Unit<'_> {
    pub(super) fn run(self, kind: Kind, scratch: &mut Scratch, out: &mut Part<'_, f32>) {
        match kind {
            Kind::Float => float::products(self, scratch, out),
            Kind::Quantized => quantized::products(self, scratch, out),
        }
    }
}

/// `o[r, col..] = w[expert] x` for every row `r` of the output.
pub(super) fn matmul(
    cpu: &mut Cpu,
    o: &mut Act,
    col: usize,
    w: &Mat,
    x: &Act,
    route: Option<&Routes>,
) -> Result<(), Error> {
    let Cpu { pool, level, precision, scratch, groups, halves, whole_blocks, .. } = cpu;
    let share = group(groups, w, x, route)?;
    let kind = Kind::of(*precision, w);
    let blocks = match kind {
        Kind::Float => &[][..],
        Kind::Quantized if w.format().by_halves() && !*whole_blocks => by_halves(pool, *level, halves, x),
        Kind::Quantized => {
            let missing =
                Error::Shape { op: "matmul", what: "8-bit blocks of the input", found: 0, expected: 1 };
            x.all_blocks().ok_or(missing)?
        }
    };
    let x = Input { act: x, blocks, share };
    product(pool, *level, kind, scratch, groups, Output { act: o, col }, w, x)
}

/// The rows of `x` in 8 bits with a scale for each half of a block, made in `halves`.
fn by_halves<'a>(pool: &mut Pool, level: Level, halves: &'a mut Vec<Q8Block>, x: &Act) -> &'a [Q8Block] {
    let (rows, per) = (x.rows(), x.width() / BLOCK);
    if halves.len() < rows * per {
        // All at once, so that later and larger batches of the plane allocate nothing.
        halves.resize(x.capacity() * per, Q8Block::default());
    }
    let halves = &mut halves[..rows * per];
    pool.tiles(halves, per, x.width(), |_, r, blocks| {
        if fault!("q8-halves-share-a-scale") {
            return simd::quantize(level, x.row(r), blocks);
        }
        simd::quantize_halves(level, x.row(r), blocks);
    });
    halves
}

/// Groups the rows of the output by their matrix, and says how many of them share a row of `x`.
fn group(groups: &mut Groups, w: &Mat, x: &Act, route: Option<&Routes>) -> Result<usize, Error> {
    Error::shape("matmul", "columns of the input", x.width(), w.cols())?;
    let Some(route) = route else {
        Error::shape("matmul", "matrices", w.count(), 1)?;
        groups.runs(x.rows(), x.rows());
        return Ok(1);
    };
    if let Some(&expert) = route.ids.iter().find(|&&id| id as usize >= w.count()) {
        return Err(Error::Expert { expert, experts: w.count() });
    }
    let shared = x.rows() * route.chosen == route.ids.len();
    if !shared {
        Error::shape("matmul", "rows of the input", x.rows(), route.ids.len())?;
    }
    groups.by_key(&route.ids, w.count());
    Ok(if shared { route.chosen } else { 1 })
}

/// Where a product goes: a plane, from a column on.
pub(super) struct Output<'a> {
    pub act: &'a mut Act,
    pub col: usize,
}

#[expect(clippy::too_many_arguments, reason = "the backend's parts, borrowed one by one")]
fn product(
    pool: &mut Pool,
    level: Level,
    kind: Kind,
    scratch: &PerThread<Scratch>,
    groups: &Groups,
    o: Output<'_>,
    w: &Mat,
    x: Input<'_>,
) -> Result<(), Error> {
    o.act.set_rows("matmul", groups.rows())?;
    let (start, outputs) = o.act.cols("matmul", Cols::new(o.col, w.rows()))?;
    if outputs == 0 {
        return Ok(());
    }
    let step = kind.step(w, groups.rows());
    let width = o.act.width();
    let mut planes = Columns::new(o.act.values_mut(), width, start, outputs, step);
    pool.split(&mut planes, groups, outputs.div_ceil(step), |thread, group, tile, mut out| {
        let key = groups.key(group);
        let matrix = if fault!("matmul-wrong-expert") { (key + 1) % w.count() } else { key };
        let unit = Unit { level, w, matrix, first: tile * step, rows: groups.get(group), x };
        unit.run(kind, &mut scratch.get(thread), &mut out);
    });
    Ok(())
}
