//! Keys and values of one layer, in pages, so that growing moves and recomputes nothing. Knows no attention.

use super::simd::{CHUNK, HALF_LANES, Halves};
use super::{Act, Error};
use crate::backend::{KvShape, Precision, Rows};
use crate::config::Config;
use fault::fault;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// Positions of a page of f32.
pub(super) const PAGE: usize = 64;

/// One layer's keys and values.
#[derive(Debug, Clone)]
pub struct Kv {
    heads: usize,
    head_dim: usize,
    precision: Precision,
    sequences: Vec<Sequence>,
    /// Keys and values of one row, on their way to half floats.
    row: Vec<f16>,
}

#[derive(Debug, Clone, Default)]
struct Sequence {
    /// Positions that hold something; those past the position being computed are never read.
    filled: usize,
    pages: Vec<Page>,
}

#[derive(Debug, Clone)]
enum Page {
    /// For `exact`.
    Float {
        /// `[heads, PAGE, head_dim]`
        keys: Box<[f32]>,
        /// `[heads, PAGE, head_dim]`
        values: Box<[f32]>,
    },
    /// For `fast`: 256 positions in half floats, as [`super::simd`]'s attention reads them.
    Half {
        /// `[heads, CHUNK / 16, head_dim]` of 16 positions each.
        keys: Box<[Halves]>,
        /// `[heads, CHUNK, head_dim / 16]` of 16 dimensions each.
        values: Box<[Halves]>,
    },
}

impl Page {
    fn new(precision: Precision, heads: usize, head_dim: usize) -> Self {
        match precision {
            Precision::Exact => {
                let empty = || vec![0.0; heads * PAGE * head_dim].into_boxed_slice();
                Self::Float { keys: empty(), values: empty() }
            }
            Precision::Fast => {
                let empty = || vec![[0; 32]; heads * CHUNK * head_dim / HALF_LANES].into_boxed_slice();
                Self::Half { keys: empty(), values: empty() }
            }
        }
    }
}

impl Kv {
    /// An empty cache with room for `shape.positions` positions in each sequence.
    ///
    /// # Errors
    /// A head width that `fast` cannot attend over.
    pub fn new(shape: KvShape, precision: Precision) -> Result<Self, Error> {
        let KvShape { heads, head_dim, positions, sequences } = shape;
        if precision == Precision::Fast && !head_dim.is_multiple_of(HALF_LANES) {
            let what = "width of a head (a multiple of it)";
            return Err(Error::Shape { op: "attention", what, found: head_dim, expected: HALF_LANES });
        }
        let row = Vec::with_capacity(2 * heads * head_dim);
        let mut kv =
            Self { heads, head_dim, precision, sequences: vec![Sequence::default(); sequences], row };
        for sequence in 0..sequences {
            kv.reserve(sequence, positions);
        }
        Ok(kv)
    }

    /// Positions of one page.
    fn page_len(&self) -> usize {
        match self.precision {
            Precision::Exact => PAGE,
            Precision::Fast => CHUNK,
        }
    }

    fn reserve(&mut self, sequence: usize, positions: usize) {
        let (precision, heads, head_dim, page) = (self.precision, self.heads, self.head_dim, self.page_len());
        if let Some(kept) = self.sequences.get_mut(sequence) {
            while kept.pages.len() * page < positions {
                kept.pages.push(Page::new(precision, heads, head_dim));
            }
        }
    }

    /// The pages of the sequence that has the most.
    pub(super) fn chunks(&self) -> usize {
        self.sequences.iter().map(|s| s.pages.len()).max().unwrap_or(0)
    }

    /// Positions of a sequence that hold something.
    #[must_use]
    pub fn filled(&self, sequence: usize) -> usize {
        self.sequences.get(sequence).map_or(0, |s| s.filled)
    }

    /// Puts the keys and values of each row, behind the queries of `qkv`, at the row's position. A position that is
    /// already filled is overwritten, and what came after it counts no more.
    pub(super) fn append(&mut self, qkv: &Act, config: &Config, rows: &Rows) -> Result<(), Error> {
        let width = self.heads * self.head_dim;
        Error::shape("append", "columns", qkv.width(), config.q_width() + 2 * width)?;
        Error::shape("append", "rows", qkv.rows(), rows.position.len())?;
        let sequences = self.sequences.len();
        for ((row, &position), &sequence) in qkv.iter().zip(&rows.position).zip(&rows.sequence) {
            let Some(kept) = self.sequences.get_mut(sequence as usize) else {
                return Err(Error::Sequence { sequence, sequences });
            };
            let at = position as usize;
            if at > kept.filled {
                return Err(Error::Gap { sequence, position, filled: kept.filled });
            }
            kept.filled = at + 1;
            self.reserve(sequence as usize, at + 1);
            if fault!("kv-stale") && at >= 5 {
                // The position counts as filled, its keys and values are those of whatever was there before.
                continue;
            }
            self.put(sequence as usize, at, &row[config.q_width()..]);
        }
        Ok(())
    }

    /// Writes the keys and values `row` at one position.
    fn put(&mut self, sequence: usize, at: usize, row: &[f32]) {
        let (head_dim, page) = (self.head_dim, self.page_len());
        let Self { sequences, row: halves, .. } = self;
        let width = row.len() / 2;
        let at_in_page = at % page;
        match &mut sequences[sequence].pages[at / page] {
            Page::Float { keys, values } => {
                let cells = row[..width].chunks_exact(head_dim).zip(row[width..].chunks_exact(head_dim));
                for (head, (key, value)) in cells.enumerate() {
                    let cell = (head * PAGE + at_in_page) * head_dim;
                    keys[cell..cell + head_dim].copy_from_slice(key);
                    values[cell..cell + head_dim].copy_from_slice(value);
                }
            }
            Page::Half { keys, values } => {
                halves.resize(row.len(), f16::ZERO);
                halves.convert_from_f32_slice(row);
                let cells =
                    halves[..width].chunks_exact(head_dim).zip(halves[width..].chunks_exact(head_dim));
                for (head, (key, value)) in cells.enumerate() {
                    let first = (head * CHUNK + at_in_page) / HALF_LANES * head_dim;
                    let lane = at_in_page % HALF_LANES * 2;
                    for (line, k) in keys[first..first + head_dim].iter_mut().zip(key) {
                        line[lane..lane + 2].copy_from_slice(&k.to_le_bytes());
                    }
                    let lines = head_dim / HALF_LANES;
                    let first = (head * CHUNK + at_in_page) * lines;
                    for (line, v) in
                        values[first..first + lines].iter_mut().zip(value.chunks_exact(HALF_LANES))
                    {
                        for (to, v) in line.as_chunks_mut::<2>().0.iter_mut().zip(v) {
                            *to = v.to_le_bytes();
                        }
                    }
                }
            }
        }
    }

    /// Keys and values of one head at positions `0..keys`, page by page, `[positions, head_dim]` each; nothing when they
    /// are held as half floats.
    pub(super) fn pages(
        &self,
        sequence: usize,
        head: usize,
        keys: usize,
    ) -> impl Iterator<Item = (&[f32], &[f32])> {
        let head_dim = self.head_dim;
        let pages = self.sequences.get(sequence).map_or(&[][..], |s| &s.pages);
        pages.iter().take(keys.div_ceil(PAGE)).enumerate().filter_map(move |(p, page)| {
            let Page::Float { keys: k, values: v } = page else { return None };
            let start = head * PAGE * head_dim;
            let len = (keys - p * PAGE).min(PAGE) * head_dim;
            Some((&k[start..start + len], &v[start..start + len]))
        })
    }

    /// Keys and values of one head at positions `256 chunk ..`; `None` past the last page, and when they are held as f32.
    pub(super) fn chunk(&self, sequence: usize, head: usize, chunk: usize) -> Option<(&[Halves], &[Halves])> {
        let Page::Half { keys, values } = self.sequences.get(sequence)?.pages.get(chunk)? else {
            return None;
        };
        let lines = CHUNK * self.head_dim / HALF_LANES;
        Some((keys.get(head * lines..)?.get(..lines)?, values.get(head * lines..)?.get(..lines)?))
    }

    /// How keys and values are held.
    pub(super) fn precision(&self) -> Precision {
        self.precision
    }
}
