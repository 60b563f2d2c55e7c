//! Files with random weights: any shape, any format, the same bytes for a seed on every machine and thread count.
//!
//! A full-size model can so be run where none can be downloaded. The weights are drawn in the format's own blocks, with
//! scales chosen so that a matrix has standard deviation `1 / sqrt(columns)` and activations keep their size from layer to
//! layer. Nothing here knows how a model computes: it writes what [`crate::gguf`] reads.

mod fill;
mod mix;
mod shape;
mod vocabulary;

pub use mix::{MIXES, Mix};
pub use shape::{PRESETS, Preset, Shape};

use crate::gguf::{self, Array, Layout, Metadata, Spec, Value};
use crate::quant::Format;
use fault::fault;
use fill::{Distribution, fill};
use rayon::prelude::*;
use std::io::{self, Write};
use std::ops::ControlFlow;
use vocabulary::{Dialect, Vocabulary};

/// Why no file comes of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The numbers do not make a model.
    #[error("no model has this shape: {0}")]
    Shape(String),
    /// The tensors do not make a file.
    #[error(transparent)]
    Gguf(#[from] gguf::Error),
    /// The output refused.
    #[error("writing the weights: {0}")]
    Write(#[from] io::Error),
    /// The caller wished to stop.
    #[error("interrupted after {written} of {total} bytes")]
    Interrupted {
        /// Bytes written.
        written: usize,
        /// Bytes of the whole file.
        total: usize,
    },
}

/// A file that is yet to be written.
#[derive(Debug)]
pub struct Plan {
    layout: Layout,
    contents: Vec<Content>,
    seed: u64,
}

/// Blocks drawn from one stream of random numbers. Part of what a seed means.
const CHUNK: usize = 4096;
/// Chunks per thread that are held in memory at once.
const DEPTH: usize = 4;

impl Plan {
    /// Lays out a model of that shape.
    ///
    /// # Errors
    /// When the shape or its tensors cannot be.
    pub fn new(name: &str, shape: &Shape, mix: Mix, seed: u64) -> Result<Self, Error> {
        let config = shape.config().map_err(Error::Shape)?;
        let (specs, contents): (Vec<_>, Vec<_>) = shape
            .tensors(&config)
            .into_iter()
            .map(|t| {
                let format = mix.format(t.kind, t.layer, shape.layers, t.dims[0]);
                (Spec { name: t.name, dims: t.dims, format }, t.content)
            })
            .unzip();
        let metadata = metadata(name, shape, mix)?;
        Ok(Self { layout: Layout::new(&metadata, &specs)?, contents, seed })
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layout.len
    }

    /// Its tensors, with their places in the file.
    #[must_use]
    pub fn tensors(&self) -> &[gguf::Tensor] {
        &self.layout.tensors
    }

    /// How many tensors and weights it has.
    #[must_use]
    pub fn weights(&self) -> (usize, usize) {
        (self.layout.tensors.len(), self.layout.tensors.iter().map(gguf::Tensor::weights).sum())
    }

    /// Writes the file from first byte to last. Chunks are drawn in parallel on rayon's current pool; memory is bounded by
    /// a few chunks per thread. `progress` hears how many bytes are out and may end the work.
    ///
    /// # Errors
    /// What the output reports, or [`Error::Interrupted`].
    pub fn write(
        &self,
        out: &mut impl Write,
        mut progress: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        out.write_all(&self.layout.header)?;
        let mut written = self.layout.header.len();
        let batch = rayon::current_num_threads() * DEPTH;
        let mut buffers: Vec<Vec<u8>> = vec![Vec::new(); batch];
        for (tensor, content) in self.layout.tensors.iter().zip(&self.contents) {
            out.write_all(&vec![0; tensor.bytes.start - written])?;
            let size = tensor.format.row().bytes;
            let blocks = tensor.bytes.len() / size;
            let chunks = blocks.div_ceil(CHUNK);
            for first in (0..chunks).step_by(batch) {
                let count = batch.min(chunks - first);
                buffers[..count].par_iter_mut().enumerate().for_each(|(i, buffer)| {
                    let chunk = first + i;
                    buffer.resize(CHUNK.min(blocks - chunk * CHUNK) * size, 0);
                    let thread = rayon::current_thread_index().unwrap_or(0);
                    let key = if fault!("synth-stream-per-thread") { thread } else { chunk };
                    match content {
                        Content::Drawn(distribution) => {
                            let stream = fill::stream(self.seed, &tensor.name, key as u64);
                            fill(tensor.format, *distribution, stream, buffer);
                        }
                        Content::Given(bytes) => {
                            let chunks = bytes.chunks(CHUNK * size).skip(chunk);
                            chunks.take(1).for_each(|bytes| buffer.copy_from_slice(bytes));
                        }
                    }
                });
                for buffer in &buffers[..count] {
                    out.write_all(buffer)?;
                }
                written = tensor.bytes.start + ((first + count) * CHUNK).min(blocks) * size;
                if progress(written).is_break() {
                    return Err(Error::Interrupted { written, total: self.layout.len });
                }
            }
            written = tensor.bytes.end;
        }
        out.write_all(&vec![0; self.layout.len - written])?;
        out.flush()?;
        Ok(())
    }
}

/// The metadata that a reader of this architecture asks for.
fn metadata(name: &str, s: &Shape, mix: Mix) -> Result<Metadata, Error> {
    let mut m = Metadata::default();
    let arch = s.architecture;
    let text = |v: &str| Value::String(v.to_owned());
    let number = |what: &str, v: usize| {
        u32::try_from(v).map(Value::U32).map_err(|_| Error::Shape(format!("{what} {v} does not fit 32 bits")))
    };
    m.set("general.architecture", text(arch));
    m.set("general.name", text(name));
    m.set("general.file_type", Value::U32(mix.file_type()));
    m.set("general.quantization_version", Value::U32(2));
    for (key, v) in [
        ("block_count", s.layers),
        ("context_length", s.context),
        ("embedding_length", s.hidden),
        ("feed_forward_length", s.ff),
        ("attention.head_count", s.heads),
        ("attention.head_count_kv", s.kv_heads),
        ("attention.key_length", s.head_dim),
        ("attention.value_length", s.head_dim),
        ("rope.dimension_count", s.head_dim),
        ("vocab_size", s.vocab),
    ] {
        m.set(format!("{arch}.{key}"), number(key, v)?);
    }
    m.set(format!("{arch}.rope.freq_base"), Value::F32(s.rope_base));
    m.set(format!("{arch}.attention.layer_norm_rms_epsilon"), Value::F32(s.eps));
    if s.experts > 0 {
        m.set(format!("{arch}.expert_count"), number("experts", s.experts)?);
        m.set(format!("{arch}.expert_used_count"), number("used experts", s.used)?);
        m.set(format!("{arch}.expert_feed_forward_length"), number("ff", s.ff)?);
    }
    let v = Vocabulary::new(Dialect::of(arch), s.vocab).map_err(Error::Shape)?;
    m.set("tokenizer.ggml.model", text("gpt2"));
    m.set("tokenizer.ggml.pre", text(v.pre));
    m.set("tokenizer.ggml.tokens", Value::Array(Array::String(v.tokens)));
    m.set("tokenizer.ggml.token_type", Value::Array(Array::I32(v.kinds)));
    m.set("tokenizer.ggml.merges", Value::Array(Array::String(v.merges)));
    if let Some(bos) = v.bos {
        m.set("tokenizer.ggml.bos_token_id", Value::U32(bos));
    }
    m.set("tokenizer.ggml.eos_token_id", Value::U32(v.eos));
    m.set("tokenizer.ggml.padding_token_id", Value::U32(v.padding));
    m.set("tokenizer.ggml.add_bos_token", Value::Bool(v.bos.is_some()));
    m.set("tokenizer.chat_template", text(v.chat_template));
    Ok(m)
}

/// What a mix looks at to choose a tensor's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Norms, biases, the router, rotary factors: always F32.
    Small,
    /// The output head.
    Head,
    /// Value projections and down projections, which mixes favour in some layers.
    Favoured,
    /// Every other matrix.
    Matrix,
}

/// What a tensor holds.
#[derive(Debug, Clone)]
enum Content {
    /// Random weights.
    Drawn(Distribution),
    /// These bytes, all of them.
    Given(Vec<u8>),
}

/// A tensor of a shape.
struct Tensor {
    name: String,
    /// Contiguous axis first.
    dims: Vec<usize>,
    kind: Kind,
    layer: usize,
    content: Content,
}

impl Format {
    /// The format that takes this one's place where rows are no whole number of its blocks: of about the same size, in
    /// blocks of 32, or else half floats.
    fn for_rows_of(self, cols: usize) -> Self {
        let small = match self {
            Self::Q2K | Self::Q3K => Self::Q4_0,
            Self::Q4K => Self::Q5_0,
            Self::Q5K => Self::Q5_1,
            Self::Q6K => Self::Q8_0,
            Self::IQ4XS => Self::IQ4NL,
            other => other,
        };
        [self, small].into_iter().find(|f| cols.is_multiple_of(f.row().block)).unwrap_or(Self::F16)
    }
}
