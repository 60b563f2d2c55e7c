//! A weight matrix, or one for each expert: in the file's own format and order, or with its rows interleaved. Knows no
//! product.

use super::tile::{self, ROWS};
use super::{Error, Pool};
use crate::backend::Tensor;
use crate::bytes::Bytes;
use crate::quant::{self, Format};
use fault::fault;
use std::sync::Arc;

/// `[count, rows, cols]` weights in blocks.
#[derive(Debug, Clone)]
pub struct Mat {
    format: Format,
    count: usize,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    held: Held,
}

#[derive(Debug, Clone)]
enum Held {
    /// Row by row, as the file has them.
    Rows(Bytes),
    /// The first rows of each matrix in tiles of 16, the rest as they were.
    Tiles(Arc<memmap2::Mmap>),
}

impl Mat {
    /// Takes up a tensor without copying it.
    ///
    /// # Errors
    /// When its bytes are not exactly those of its shape and format.
    pub fn new(tensor: Tensor<'_>) -> Result<Self, Error> {
        let Tensor { format, count, rows, cols, bytes, .. } = tensor;
        let weights = count.saturating_mul(rows).saturating_mul(cols);
        let row_bytes = format.row_bytes(cols).ok_or(quant::Error::Blocks { format, weights: cols })?;
        let expected = count.saturating_mul(rows).saturating_mul(row_bytes);
        if bytes.len() != expected {
            return Err(quant::Error::Bytes { format, weights, expected, found: bytes.len() }.into());
        }
        Ok(Self { format, count, rows, cols, row_bytes, held: Held::Rows(bytes.clone()) })
    }

    /// Takes up a tensor as tiles for integer products; formats of plain numbers stay as they are. The copy takes as many
    /// bytes as the tensor, whose pages are released; all that take up the same part of a file share it.
    ///
    /// # Errors
    /// As [`Mat::new`], or when there is no memory.
    pub(super) fn interleaved(tensor: Tensor<'_>, pool: &mut Pool) -> Result<Self, Error> {
        let mat = Self::new(tensor)?;
        let bytes = tensor.bytes;
        if !tile::interleaves(mat.format) || bytes.is_empty() {
            return Ok(mat);
        }
        let tiles = bytes.shared(|| mat.tiles_of(bytes, pool))?;
        Ok(Self { held: Held::Tiles(tiles), ..mat })
    }

    /// A copy of its bytes in tiles.
    fn tiles_of(&self, bytes: &Bytes, pool: &mut Pool) -> Result<memmap2::Mmap, Error> {
        let memory =
            |source: std::io::Error| Error::Memory { bytes: bytes.len(), reason: source.to_string() };
        let mut map = memmap2::MmapMut::map_anon(bytes.len()).map_err(memory)?;
        // Fewer translations to look up while rows stream by. Systems without large pages do as well, more slowly.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let tile_bytes = ROWS * self.row_bytes;
        let (tiles, matrix_bytes) = (self.rows / ROWS, self.rows * self.row_bytes);
        for (from, to) in bytes.chunks_exact(matrix_bytes).zip(map.chunks_exact_mut(matrix_bytes)) {
            let (from, rest) = from.split_at(tiles * tile_bytes);
            let (to, rest_to) = to.split_at_mut(tiles * tile_bytes);
            rest_to.copy_from_slice(rest);
            pool.tiles(to, tile_bytes, tile_bytes, |_, i, tile| {
                tile::interleave(self.format, &from[i * tile_bytes..][..tile_bytes], tile);
            });
        }
        bytes.release().map_err(|e| Error::Memory { bytes: bytes.len(), reason: e.to_string() })?;
        map.make_read_only().map_err(memory)
    }

    /// Its format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many matrices.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Rows of one.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, the contiguous axis.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of one row.
    pub(super) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// The bytes of `n` rows of one matrix from row `first`, as the file has them; `None` past the end. `scratch` holds
    /// them if they have to be put together.
    #[must_use]
    pub fn rows_of<'a>(
        &'a self,
        matrix: usize,
        first: usize,
        n: usize,
        scratch: &'a mut Vec<u8>,
    ) -> Option<&'a [u8]> {
        if matrix >= self.count || first.checked_add(n)? > self.rows {
            return None;
        }
        let start = matrix * self.rows * self.row_bytes;
        let at = |row: usize| start + row * self.row_bytes;
        let tiles = match &self.held {
            Held::Rows(bytes) => return bytes.get(at(first)..at(first + n)),
            Held::Tiles(tiles) => tiles,
        };
        scratch.resize(n * self.row_bytes, 0);
        for (row, out) in (first..first + n).zip(scratch.chunks_exact_mut(self.row_bytes)) {
            let tile = row / ROWS * ROWS;
            if tile + ROWS <= self.rows {
                let within = (row + usize::from(fault!("tile-rows-shifted"))) % ROWS;
                tile::row(self.format, tiles.get(at(tile)..at(tile + ROWS))?, within, out);
            } else {
                out.copy_from_slice(tiles.get(at(row)..at(row + 1))?);
            }
        }
        Some(scratch)
    }

    /// Whether its rows are held in tiles.
    #[must_use]
    pub fn is_interleaved(&self) -> bool {
        matches!(self.held, Held::Tiles(_))
    }

    /// One matrix as tiles, and the rows behind them as the file has them; `None` when it is not held so.
    pub(super) fn tiles(&self, matrix: usize) -> Option<(&[u8], &[u8])> {
        let Held::Tiles(tiles) = &self.held else { return None };
        let bytes = self.rows * self.row_bytes;
        let matrix = tiles.get(matrix * bytes..)?.get(..bytes)?;
        matrix.split_at_checked(self.rows / ROWS * ROWS * self.row_bytes)
    }
}
