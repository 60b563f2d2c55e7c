//! A plane of activations in memory, with the 8-bit blocks of its rows where they are wanted. Knows no operation.

use super::Error;
use super::q8::{BLOCK, Q8Block};
use super::simd::{self, Level};
use crate::backend::Cols;

/// `[rows, width]` numbers, row by row; room for a fixed number of rows.
#[derive(Debug, Clone, Default)]
pub struct Act {
    width: usize,
    /// Rows at hand.
    rows: usize,
    /// Rows there is room for.
    capacity: usize,
    /// `rows * width` numbers.
    values: Vec<f32>,
    /// The same in blocks of 32 with one scale, `[rows, width / 32]`, while `fresh`.
    blocks: Vec<Q8Block>,
    /// The operation that wrote the values wrote the blocks, too.
    fresh: bool,
}

impl Act {
    /// An empty plane with room for `capacity` rows.
    #[must_use]
    pub fn new(capacity: usize, width: usize) -> Self {
        Self { width, capacity, values: Vec::with_capacity(capacity * width), ..Self::default() }
    }

    /// A plane that holds `values`, row by row; `None` when they are no whole number of rows.
    #[must_use]
    pub fn of(width: usize, values: Vec<f32>) -> Option<Self> {
        let rows = values.len().checked_div(width)?;
        let whole = rows * width == values.len();
        whole.then(|| Self { width, rows, capacity: rows, values, ..Self::default() })
    }

    /// Rows at hand.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Numbers of one row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// All numbers, row by row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// One row.
    #[must_use]
    pub fn row(&self, r: usize) -> &[f32] {
        &self.values[r * self.width..][..self.width]
    }

    /// The rows, also of a plane of width 0.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        (0..self.rows).map(|r| self.row(r))
    }

    /// The rows; none of a plane of width 0.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.width.max(1))
    }

    /// One row in 8 bits; `None` unless the operation that wrote the plane wrote them.
    #[must_use]
    pub fn blocks(&self, r: usize) -> Option<&[Q8Block]> {
        let per = self.width / BLOCK;
        self.all_blocks()?.get(r * per..)?.get(..per)
    }

    /// All rows in 8 bits, `[rows, width / 32]`; `None` as for one. A plane of no rows has none to write.
    pub(super) fn all_blocks(&self) -> Option<&[Q8Block]> {
        if self.fresh || self.rows == 0 { self.blocks.get(..self.rows * (self.width / BLOCK)) } else { None }
    }

    /// Makes room for the 8-bit blocks of the rows at hand, if their width allows any; says whether it does.
    pub(super) fn with_blocks(&mut self) -> bool {
        self.fresh = self.width.is_multiple_of(BLOCK);
        if self.fresh {
            let per = self.width / BLOCK;
            // All at once, so that later and larger batches allocate nothing.
            self.blocks.reserve_exact((self.capacity * per).saturating_sub(self.blocks.len()));
            self.blocks.resize(self.rows * per, Q8Block::default());
        }
        self.fresh
    }

    /// All numbers, and all blocks.
    pub(super) fn parts_mut(&mut self) -> (&mut [f32], &mut [Q8Block]) {
        (&mut self.values, &mut self.blocks)
    }

    /// Writes the blocks again if there are any, after values were overwritten.
    pub(super) fn refresh(&mut self, level: Level) {
        if self.fresh {
            simd::quantize(level, &self.values, &mut self.blocks);
        }
    }

    /// Sets the number of rows; what they hold is for the operation to write.
    pub(super) fn set_rows(&mut self, op: &'static str, rows: usize) -> Result<(), Error> {
        if rows > self.capacity {
            return Err(Error::Shape { op, what: "rows", found: rows, expected: self.capacity });
        }
        self.rows = rows;
        self.values.resize(rows * self.width, 0.0);
        self.fresh = false;
        Ok(())
    }

    /// Takes another shape: for planes whose width their user sets.
    pub(super) fn reshape(&mut self, rows: usize, width: usize) {
        let values = std::mem::take(&mut self.values);
        *self = Self { width, rows, capacity: self.capacity.max(rows), values, ..Self::default() };
        self.values.resize(rows * width, 0.0);
    }

    /// Checks a range of columns; first column and width.
    pub(super) fn cols(&self, op: &'static str, cols: Cols) -> Result<(usize, usize), Error> {
        if cols == Cols::ALL {
            return Ok((0, self.width));
        }
        match cols.start.checked_add(cols.width) {
            Some(end) if end <= self.width => Ok((cols.start, cols.width)),
            end => Err(Error::Shape {
                op,
                what: "end of the columns",
                found: end.unwrap_or(usize::MAX),
                expected: self.width,
            }),
        }
    }
}
