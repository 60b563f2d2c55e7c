//! What lies on the device: weights, planes, caches, the rows of a pass, routes. Each knows its shape and its room; what
//! is done with it is `launch`'s.

use super::args;
use super::driver::{Context, Memory, Stream};
use super::error::{Error, Result, fits};
use super::table::{self, TILE};
use crate::backend::{Cols, KvShape, Precision, Rows};
use crate::quant::Format;
use std::rc::Rc;

/// Weights that share a scale in an 8-bit plane.
pub(super) const QUANTUM: usize = 32;

/// A weight tensor: `count` matrices in the file's format, some formats permuted.
pub struct Matrix {
    pub(super) memory: Memory,
    pub(super) format: Format,
    pub(super) count: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl Matrix {
    pub(super) fn args(&self) -> args::Weights {
        let blocks = self.count * self.rows * self.cols / self.format.row().block;
        args::Weights {
            data: self.memory.address(),
            blocks: blocks as u64,
            rows: word(self.rows),
            cols: word(self.cols),
        }
    }
}

/// A vector of floats.
pub struct Vector {
    pub(super) memory: Memory,
    pub(super) len: usize,
}

/// Activations, `[rows, width]`, with their 8-bit form where the precision has one.
pub struct Plane {
    pub(super) f: Memory,
    /// Quanta, and a scale with sums per 32.
    pub(super) q: Option<(Memory, Memory)>,
    pub(super) capacity: usize,
    pub(super) width: usize,
    pub(super) rows: usize,
}

impl Plane {
    pub(super) fn new(
        context: &Rc<Context>,
        precision: Precision,
        capacity: usize,
        width: usize,
    ) -> Result<Self> {
        const WHAT: &str = "a plane of activations";
        let n = capacity.saturating_mul(width);
        let f = Memory::new(context, WHAT, n.saturating_mul(4))?;
        let q = if precision == Precision::Fast && width.is_multiple_of(QUANTUM) {
            Some((Memory::new(context, WHAT, n)?, Memory::new(context, WHAT, n / QUANTUM * 8)?))
        } else {
            None
        };
        Ok(Self { f, q, capacity, width, rows: 0 })
    }

    /// Sets the number of rows an operation is about to write.
    pub(super) fn set_rows(&mut self, operation: &'static str, rows: usize) -> Result<()> {
        fits(operation, "output rows", rows, self.capacity)?;
        self.rows = rows;
        Ok(())
    }

    pub(super) fn args(&self) -> args::Plane {
        let (q, s) = self.q.as_ref().map_or((0, 0), |(q, s)| (q.address(), s.address()));
        args::Plane { f: self.f.address(), q, s, width: word(self.width) }
    }

    /// The same without its 8-bit form.
    pub(super) fn floats(&self) -> args::Plane {
        args::Plane { q: 0, s: 0, ..self.args() }
    }

    /// First column and width of a range.
    pub(super) fn cols(&self, operation: &'static str, cols: Cols) -> Result<(usize, usize)> {
        if cols == Cols::ALL {
            return Ok((0, self.width));
        }
        fits(operation, "end of the columns", cols.start.saturating_add(cols.width), self.width)?;
        Ok((cols.start, cols.width))
    }
}

/// Keys and values of one layer, `[sequences, heads, capacity, head_dim]` each.
pub struct Cache {
    pub(super) k: Memory,
    pub(super) v: Memory,
    pub(super) shape: KvShape,
    /// How its elements are stored.
    pub(super) precision: Precision,
    /// Positions each sequence has filled, as far as this host has queued.
    pub(super) filled: Vec<usize>,
}

impl Cache {
    pub(super) fn new(context: &Rc<Context>, precision: Precision, shape: KvShape) -> Result<Self> {
        let element = table::kv_bytes(precision);
        let bytes = [shape.sequences, shape.heads, shape.positions, shape.head_dim, element]
            .into_iter()
            .fold(1_usize, usize::saturating_mul);
        let new = || Memory::new(context, "a layer's keys and values", bytes);
        Ok(Self { k: new()?, v: new()?, shape, precision, filled: vec![0; shape.sequences] })
    }

    /// Bytes of one head of one sequence.
    fn stride(&self, positions: usize) -> usize {
        positions * self.shape.head_dim * table::kv_bytes(self.precision)
    }

    /// Counts the rows' positions as filled. A position that is already filled will be overwritten, and what came after
    /// it counts no more.
    pub(super) fn admit(&mut self, rows: &Rows) -> Result<()> {
        let sequences = self.filled.len();
        for (&position, &sequence) in rows.position.iter().zip(&rows.sequence) {
            let Some(filled) = self.filled.get_mut(sequence as usize) else {
                return Err(Error::Sequence { sequence, sequences });
            };
            if position as usize > *filled {
                return Err(Error::Gap { sequence, position, filled: *filled });
            }
            *filled = position as usize + 1;
        }
        Ok(())
    }

    /// Makes room for `positions` positions, moving what is there.
    pub(super) fn grow(&mut self, context: &Rc<Context>, stream: &Stream, positions: usize) -> Result<()> {
        if positions <= self.shape.positions {
            return Ok(());
        }
        let shape = KvShape { positions: positions.next_multiple_of(256), ..self.shape };
        let new = Self::new(context, self.precision, shape)?;
        let len = self.stride(self.shape.positions);
        for head in 0..shape.sequences * shape.heads {
            let (to, from) = (head * new.stride(shape.positions), head * len);
            new.k.copy_from(stream, to, &self.k, from, len)?;
            new.v.copy_from(stream, to, &self.v, from, len)?;
        }
        let filled = std::mem::take(&mut self.filled);
        *self = Self { filled, ..new };
        Ok(())
    }
}

/// The rows of a pass on the device: token, position, sequence and output row, `capacity` words each.
pub struct Batch {
    pub(super) memory: Memory,
    pub(super) capacity: usize,
    pub(super) rows: Rows,
}

impl Batch {
    pub(super) fn new(
        context: &Rc<Context>,
        stream: &Stream,
        rows: &Rows,
        reuse: Option<Self>,
    ) -> Result<Self> {
        let n = rows.token.len();
        super::error::same("batch", "positions", rows.position.len(), n)?;
        super::error::same("batch", "sequences", rows.sequence.len(), n)?;
        if let Some(&row) = rows.out.iter().find(|&&row| row as usize >= n) {
            return Err(Error::Shape {
                operation: "batch",
                what: "an output row",
                found: row as usize,
                expected: n,
            });
        }
        fits("batch", "output rows", rows.out.len(), n)?;
        let mut batch = match reuse {
            Some(batch) if batch.capacity >= n => batch,
            _ => Self {
                memory: Memory::new(context, "the rows of a pass", n * 16)?,
                capacity: n,
                rows: Rows::default(),
            },
        };
        let mut words = vec![0_u32; batch.capacity * 4];
        for (part, values) in [&rows.token, &rows.position, &rows.sequence, &rows.out].into_iter().enumerate()
        {
            words[part * batch.capacity..][..values.len()].copy_from_slice(values);
        }
        batch.memory.write(stream, 0, zerocopy::IntoBytes::as_bytes(words.as_slice()))?;
        batch.rows.clone_from(rows);
        Ok(batch)
    }

    fn part(&self, part: usize) -> u64 {
        self.memory.address() + (part * self.capacity * 4) as u64
    }
    pub(super) fn tokens(&self) -> u64 {
        self.part(0)
    }
    pub(super) fn positions(&self) -> u64 {
        self.part(1)
    }
    pub(super) fn sequences(&self) -> u64 {
        self.part(2)
    }
    pub(super) fn out(&self) -> u64 {
        self.part(3)
    }
    pub(super) fn len(&self) -> usize {
        self.rows.token.len()
    }
    /// The longest context of its rows.
    pub(super) fn longest(&self) -> usize {
        self.rows.position.iter().max().map_or(0, |&p| p as usize + 1)
    }
}

/// The router's decision on the device.
pub struct Route {
    /// `[rows, chosen]`
    pub(super) ids: Memory,
    /// `[rows, chosen]`
    pub(super) weights: Memory,
    /// `[rows]`
    pub(super) margin: Memory,
    /// Entries by expert, `[rows * chosen]`.
    pub(super) order: Memory,
    /// Runs of entries of one expert.
    pub(super) tiles: Memory,
    pub(super) tile_count: Memory,
    pub(super) capacity: usize,
    pub(super) chosen: usize,
    pub(super) rows: usize,
    /// Experts the ids are below; 1 for the route of a dense layer.
    pub(super) experts: usize,
}

impl Route {
    pub(super) fn new(context: &Rc<Context>, capacity: usize, chosen: usize) -> Result<Self> {
        let words = |n: usize| Memory::new(context, "the routes of a pass", n * 4);
        let entries = capacity * chosen;
        Ok(Self {
            ids: words(entries)?,
            weights: words(entries)?,
            margin: words(capacity)?,
            order: words(entries)?,
            tiles: words(4 * tile_room(entries, table::MOST_EXPERTS))?,
            tile_count: words(1)?,
            capacity,
            chosen,
            rows: 0,
            experts: 0,
        })
    }

    pub(super) fn entries(&self) -> usize {
        self.rows * self.chosen
    }

    /// Most tiles that its entries can make.
    pub(super) fn most_tiles(&self) -> usize {
        tile_room(self.entries(), self.experts)
    }
}

/// Every expert can have one tile that is not full.
fn tile_room(entries: usize, experts: usize) -> usize {
    entries.min(experts) + entries / TILE
}

/// A length as kernels take it; the checks on shapes keep lengths far below the limit, and a saturated one fails there.
pub(super) fn word(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
