//! Weights on their way to the device: checked, copied through pinned buffers that are filled by many threads, permuted
//! where the kernels want another order. Knows formats; knows no model.

use super::driver::{Memory, Pinned};
use super::error::{Error, Result};
use super::launch::Launcher;
use super::resident::Matrix;
use crate::backend::Tensor;
use crate::quant::Format;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

/// Bytes of a buffer: large enough that a copy runs at full speed, small enough to keep a few.
const BUFFER: usize = 32 << 20;
/// Buffers in turn: one being filled, one on its way, one to spare.
const BUFFERS: usize = 3;
/// What one thread copies at a time.
const PIECE: usize = 1 << 20;
/// Tensors below this go without a pinned buffer.
const SMALL: usize = 1 << 20;

/// The buffers, made when the first large tensor comes.
#[derive(Default)]
pub(crate) struct Uploader {
    buffers: Vec<Pinned>,
    next: usize,
    /// Blocks as the file has them, before they are permuted.
    raw: Option<Memory>,
}

impl Uploader {
    /// Puts a tensor on the device.
    pub(super) fn matrix(&mut self, launcher: &mut Launcher, tensor: Tensor<'_>) -> Result<Matrix> {
        let Tensor { name, format, count, rows, cols, bytes } = tensor;
        let expected = format
            .row_bytes(cols)
            .and_then(|b| b.checked_mul(rows)?.checked_mul(count))
            .unwrap_or(usize::MAX);
        if bytes.len() != expected {
            return Err(Error::Bytes {
                name: name.into(),
                format,
                count,
                rows,
                cols,
                found: bytes.len(),
                expected,
            });
        }
        // Kernels count rows and columns in 32 bits.
        let limit = u32::MAX as usize;
        if rows > limit || cols > limit || count > limit {
            return Err(Error::Unsupported { what: format!("{name} has a side of more than {limit}") });
        }
        let memory = Memory::new(&launcher.context, "the weights", bytes.len())?;
        let matrix = Matrix { memory, format, count, rows, cols };
        if format == Format::Q6K {
            self.permuted(launcher, &matrix, bytes)?;
        } else if bytes.len() < SMALL {
            matrix.memory.write(&launcher.stream, 0, bytes)?;
        } else {
            for (i, part) in bytes.chunks(BUFFER).enumerate() {
                self.send(launcher, &matrix.memory, i * BUFFER, part)?;
            }
        }
        if bytes.len() >= SMALL {
            tensor.bytes.release().map_err(|e| Error::Unsupported { what: e.to_string() })?;
        }
        Ok(matrix)
    }

    /// Sends blocks in runs and permutes each run on the device.
    fn permuted(&mut self, launcher: &mut Launcher, matrix: &Matrix, bytes: &[u8]) -> Result<()> {
        let block = matrix.format.row().bytes;
        let run = BUFFER / block * block;
        let raw = match self.raw.take() {
            Some(raw) if raw.bytes() >= run.min(bytes.len()) => raw,
            _ => Memory::new(&launcher.context, "weights on their way", run.min(bytes.len()))?,
        };
        for (i, part) in bytes.chunks(run).enumerate() {
            if bytes.len() < SMALL {
                raw.write(&launcher.stream, 0, part)?;
            } else {
                self.send(launcher, &raw, 0, part)?;
            }
            launcher.repack(matrix, &raw, i * (run / block), part.len() / block)?;
        }
        self.raw = Some(raw);
        Ok(())
    }

    fn send(&mut self, launcher: &Launcher, target: &Memory, offset: usize, part: &[u8]) -> Result<()> {
        if self.buffers.len() < BUFFERS {
            self.buffers.push(Pinned::new(&launcher.context, BUFFER)?);
            self.next = self.buffers.len() - 1;
        }
        let Some(buffer) = self.buffers.get_mut(self.next) else { return Ok(()) };
        self.next = (self.next + 1) % BUFFERS;
        let bytes = buffer.bytes_mut()?;
        bytes[..part.len()]
            .par_chunks_mut(PIECE)
            .zip(part.par_chunks(PIECE))
            .for_each(|(to, from)| to.copy_from_slice(from));
        buffer.send(&launcher.stream, target, offset, part.len())
    }

    /// Gives back what loading needed and computing does not.
    pub(super) fn finish(&mut self) {
        self.buffers.clear();
        self.raw = None;
        self.next = 0;
    }
}
