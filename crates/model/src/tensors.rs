//! The one table of the tensors that models are made of, and their way from a file to a backend. It knows no backend.

use crate::architecture::{EMBEDDING, ROPE_FACTORS};
use crate::backend::{Backend, Tensor};
use crate::bytes::Bytes;
use crate::config::Config;
use crate::gguf;
use crate::mapped::Mapped;
use crate::quant::Format;
use crate::weights::{Layer, Projection, Weights};
use fault::fault;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What a tensor is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// [`Weights::embed`].
    Embed,
    /// [`Weights::norm`].
    Norm,
    /// [`Weights::head`].
    Head,
    /// `config::Rope::factors`; read with the configuration.
    RopeFactors,
    /// [`Layer::attn_norm`].
    AttnNorm,
    /// The query projection.
    Q,
    /// The key projection.
    K,
    /// The value projection.
    V,
    /// Bias of the query projection.
    QBias,
    /// Bias of the key projection.
    KBias,
    /// Bias of the value projection.
    VBias,
    /// [`Layer::q_norm`].
    QNorm,
    /// [`Layer::k_norm`].
    KNorm,
    /// [`Layer::attn_out`].
    AttnOut,
    /// [`Layer::ffn_norm`].
    FfnNorm,
    /// [`Layer::router`].
    Router,
    /// [`Layer::gate`].
    Gate,
    /// [`Layer::up`].
    Up,
    /// [`Layer::down`].
    Down,
}

/// One row of the table of tensors.
#[derive(Debug)]
pub struct Row {
    /// What it is.
    pub role: Role,
    /// Its name; `{}` stands for the layer.
    pub name: &'static str,
    /// Matrices, rows, columns; a vector is one row.
    pub shape: fn(&Config) -> [usize; 3],
    /// Whether a model of this shape has it.
    pub presence: fn(&Config) -> Presence,
}

/// Whether a tensor belongs to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must be there.
    Needed,
    /// It may be there.
    Optional,
    /// It must not: the model would be computed without it.
    Foreign,
}

fn needed(_: &Config) -> Presence {
    Presence::Needed
}
fn optional(_: &Config) -> Presence {
    Presence::Optional
}
fn when(condition: bool) -> Presence {
    if condition { Presence::Needed } else { Presence::Foreign }
}
fn head_norm(c: &Config) -> Presence {
    when(c.head_norm)
}
fn bias(c: &Config) -> Presence {
    when(c.qkv_bias)
}
fn mixture(c: &Config) -> Presence {
    when(c.experts.is_some())
}
fn dense(c: &Config) -> Presence {
    when(c.experts.is_none())
}
fn experts(c: &Config) -> usize {
    c.experts.map_or(1, |e| e.count)
}
fn hidden(c: &Config) -> [usize; 3] {
    [1, 1, c.hidden]
}
fn head(c: &Config) -> [usize; 3] {
    [1, 1, c.head_dim]
}
fn vocab(c: &Config) -> [usize; 3] {
    [1, c.vocab, c.hidden]
}
fn keys(c: &Config) -> [usize; 3] {
    [1, c.kv_width(), c.hidden]
}
fn key_bias(c: &Config) -> [usize; 3] {
    [1, 1, c.kv_width()]
}
fn into_ff(c: &Config) -> [usize; 3] {
    [experts(c), c.ff, c.hidden]
}
fn out_of_ff(c: &Config) -> [usize; 3] {
    [experts(c), c.hidden, c.ff]
}

/// Every tensor of every architecture, once.
pub const TENSORS: &[Row] = &[
    Row { role: Role::Embed, name: EMBEDDING, shape: vocab, presence: needed },
    Row { role: Role::Norm, name: "output_norm.weight", shape: hidden, presence: needed },
    Row { role: Role::Head, name: "output.weight", shape: vocab, presence: optional },
    Row {
        role: Role::RopeFactors,
        name: ROPE_FACTORS,
        shape: |c| [1, 1, c.rope.dims / 2],
        presence: optional,
    },
    Row { role: Role::AttnNorm, name: "blk.{}.attn_norm.weight", shape: hidden, presence: needed },
    Row {
        role: Role::Q,
        name: "blk.{}.attn_q.weight",
        shape: |c| [1, c.q_width(), c.hidden],
        presence: needed,
    },
    Row { role: Role::K, name: "blk.{}.attn_k.weight", shape: keys, presence: needed },
    Row { role: Role::V, name: "blk.{}.attn_v.weight", shape: keys, presence: needed },
    Row { role: Role::QBias, name: "blk.{}.attn_q.bias", shape: |c| [1, 1, c.q_width()], presence: bias },
    Row { role: Role::KBias, name: "blk.{}.attn_k.bias", shape: key_bias, presence: bias },
    Row { role: Role::VBias, name: "blk.{}.attn_v.bias", shape: key_bias, presence: bias },
    Row { role: Role::QNorm, name: "blk.{}.attn_q_norm.weight", shape: head, presence: head_norm },
    Row { role: Role::KNorm, name: "blk.{}.attn_k_norm.weight", shape: head, presence: head_norm },
    Row {
        role: Role::AttnOut,
        name: "blk.{}.attn_output.weight",
        shape: |c| [1, c.hidden, c.q_width()],
        presence: needed,
    },
    Row { role: Role::FfnNorm, name: "blk.{}.ffn_norm.weight", shape: hidden, presence: needed },
    Row {
        role: Role::Router,
        name: "blk.{}.ffn_gate_inp.weight",
        shape: |c| [1, experts(c), c.hidden],
        presence: mixture,
    },
    Row { role: Role::Gate, name: "blk.{}.ffn_gate_exps.weight", shape: into_ff, presence: mixture },
    Row { role: Role::Up, name: "blk.{}.ffn_up_exps.weight", shape: into_ff, presence: mixture },
    Row { role: Role::Down, name: "blk.{}.ffn_down_exps.weight", shape: out_of_ff, presence: mixture },
    Row { role: Role::Gate, name: "blk.{}.ffn_gate.weight", shape: into_ff, presence: dense },
    Row { role: Role::Up, name: "blk.{}.ffn_up.weight", shape: into_ff, presence: dense },
    Row { role: Role::Down, name: "blk.{}.ffn_down.weight", shape: out_of_ff, presence: dense },
];

impl Row {
    /// The tensor's name in a layer; `None` when it belongs to the whole model.
    fn in_layer(&self, layer: usize) -> Option<String> {
        self.name.contains("{}").then(|| self.name.replace("{}", &layer.to_string()))
    }

    /// The tensor's names in a model of so many layers.
    pub fn names(&self, layers: usize) -> impl Iterator<Item = (Option<usize>, String)> {
        let per_layer = self.name.contains("{}");
        let whole = (!per_layer).then(|| (None, self.name.to_owned()));
        let layers = if per_layer { 0..layers } else { 0..0 };
        whole.into_iter().chain(layers.filter_map(|l| Some((Some(l), self.in_layer(l)?))))
    }
}

/// Why a file's tensors are not those of its model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// Everything that is missing, misshapen or not understood.
    #[error("{}", Few(.problems))]
    Tensors {
        /// One for each tensor.
        problems: Vec<Problem>,
    },
    /// The backend refused a tensor.
    #[error("tensor '{tensor}': {source}")]
    Backend {
        /// Its name.
        tensor: String,
        /// Why.
        source: E,
    },
}

/// One thing that is wrong with a tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is not there.
    #[error("tensor '{tensor}' is missing, expected shape {expected:?}")]
    Missing {
        /// Its name.
        tensor: String,
        /// Its lengths, contiguous axis first.
        expected: Vec<usize>,
    },
    /// It has another shape.
    #[error("tensor '{tensor}' has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        tensor: String,
        /// Its lengths, contiguous axis first.
        found: Vec<usize>,
        /// What they should be.
        expected: Vec<usize>,
    },
    /// The router's weights are no f32.
    #[error("tensor '{tensor}' has type {found}, expected F32")]
    Router {
        /// Its name.
        tensor: String,
        /// Its format.
        found: Format,
    },
    /// It belongs to no model of this architecture.
    #[error("tensor {} is not part of architecture '{architecture}'", gguf::Quoted(.tensor))]
    Foreign {
        /// Its name.
        tensor: String,
        /// The architecture.
        architecture: &'static str,
    },
    /// A weight is no finite number.
    #[error(
        "tensor '{tensor}' of type {format} holds a value that is not finite at element {element}, expected finite weights"
    )]
    NotFinite {
        /// Its name.
        tensor: String,
        /// Its format.
        format: Format,
        /// The first such weight.
        element: usize,
    },
}

/// Problems in one line: the first few, and how many more.
pub(crate) struct Few<'a>(pub(crate) &'a [Problem]);

impl fmt::Display for Few<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        for (i, problem) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{problem}", if i > 0 { "; " } else { "" })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// The lengths of a row's tensors as a file has them, contiguous axis first.
pub(crate) fn dims(config: &Config, row: &Row) -> Vec<usize> {
    let [count, rows, cols] = (row.shape)(config);
    match (row.name.contains("_exps"), rows) {
        (true, _) => vec![cols, rows, count],
        (false, 1) => vec![cols],
        (false, _) => vec![cols, rows],
    }
}

/// Checks a file's tensors against the table: presence, shapes, nothing left over, no weight that is not finite.
///
/// # Errors
/// All problems, shapes before values.
pub(crate) fn check(config: &Config, file: &gguf::File, data: &[u8]) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut used = HashSet::new();
    for row in TENSORS {
        let presence = (row.presence)(config);
        if presence == Presence::Foreign {
            continue;
        }
        for (_, name) in row.names(config.layers) {
            let expected = dims(config, row);
            match file.tensor(&name) {
                None if presence == Presence::Needed => {
                    problems.push(Problem::Missing { tensor: name, expected });
                    continue;
                }
                None => continue,
                // A matrix of one row may be written as a vector and the other way round.
                Some(t) if t.dims == expected || t.dims == [&expected[..], &[1]].concat() => {
                    if row.role == Role::Router && t.format != Format::F32 {
                        problems.push(Problem::Router { tensor: name.clone(), found: t.format });
                    }
                }
                Some(_) if fault!("load-shape-unchecked") => {}
                Some(t) => {
                    let found = t.dims.clone();
                    problems.push(Problem::Shape { tensor: name.clone(), found, expected });
                }
            }
            used.insert(name);
        }
    }
    let architecture = config.architecture;
    problems.extend(
        file.tensors
            .iter()
            .filter(|t| !used.contains(&t.name))
            .map(|t| Problem::Foreign { tensor: t.name.clone(), architecture }),
    );
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut bad: Vec<Problem> = file
        .tensors
        .par_iter()
        .filter_map(|t| {
            let element = t.format.first_not_finite(data.get(t.bytes.clone())?)?;
            Some(Problem::NotFinite { tensor: t.name.clone(), format: t.format, element })
        })
        .collect();
    if fault!("load-nan-swallowed") {
        bad.clear();
    }
    if bad.is_empty() { Ok(()) } else { Err(bad) }
}

/// Tensors of one file on their way to a backend.
struct Loader<'a, B: Backend> {
    be: &'a mut B,
    config: &'a Config,
    file: &'a gguf::File,
    mapped: &'a Arc<Mapped>,
}

impl<B: Backend> Loader<'_, B> {
    /// The tensor of a role, handed to `take`; `None` when the model does not have it.
    fn find<T>(
        &mut self,
        role: Role,
        layer: usize,
        take: impl FnOnce(&mut B, Tensor<'_>) -> Result<T, B::Err>,
    ) -> Result<Option<T>, Error<B::Err>> {
        let rows = TENSORS.iter().filter(|r| r.role == role);
        let Some(row) = rows.into_iter().find(|r| (r.presence)(self.config) != Presence::Foreign) else {
            return Ok(None);
        };
        let name = row.in_layer(layer).unwrap_or_else(|| row.name.to_owned());
        let Some(tensor) = self.file.tensor(&name) else { return Ok(None) };
        let [count, rows, cols] = (row.shape)(self.config);
        let mut bytes =
            Bytes::of_file(self.mapped, tensor.bytes.clone()).unwrap_or_else(|| Vec::new().into());
        let mut format = tensor.format;
        if fault!("load-q4k-as-q6k") && format == Format::Q4K && role == Role::Down {
            // The kernel is chosen by the role: longer blocks than the tensor has, so the last ones lie past its end.
            format = Format::Q6K;
            let mut longer = bytes.to_vec();
            longer.resize(bytes.len() / Format::Q4K.row().bytes * Format::Q6K.row().bytes, 0xFF);
            bytes = longer.into();
        }
        let tensor = Tensor { name: &name, format, count, rows, cols, bytes: &bytes };
        take(self.be, tensor).map(Some).map_err(|source| Error::Backend { tensor: name.clone(), source })
    }

    fn needed<T>(
        &mut self,
        role: Role,
        layer: usize,
        take: impl FnOnce(&mut B, Tensor<'_>) -> Result<T, B::Err>,
    ) -> Result<T, Error<B::Err>> {
        // `check` has seen it; a table row that contradicts itself is reported as missing.
        self.find(role, layer, take)?.ok_or_else(|| Error::Tensors {
            problems: vec![Problem::Missing { tensor: format!("{role:?}"), expected: Vec::new() }],
        })
    }

    fn layer(&mut self, l: usize) -> Result<Layer<B>, Error<B::Err>> {
        let c = self.config;
        let starts = [0, c.q_width(), c.q_width() + c.kv_width()];
        let roles = [(Role::Q, Role::QBias), (Role::K, Role::KBias), (Role::V, Role::VBias)];
        let mut projection = |i: usize| -> Result<Projection<B>, Error<B::Err>> {
            let (mat, bias) = roles[i];
            Ok(Projection {
                mat: self.needed(mat, l, B::mat)?,
                col: starts[i],
                bias: self.find(bias, l, B::vector)?,
            })
        };
        Ok(Layer {
            qkv: [projection(0)?, projection(1)?, projection(2)?],
            attn_norm: self.needed(Role::AttnNorm, l, B::vector)?,
            q_norm: self.find(Role::QNorm, l, B::vector)?,
            k_norm: self.find(Role::KNorm, l, B::vector)?,
            attn_out: self.needed(Role::AttnOut, l, B::mat)?,
            ffn_norm: self.needed(Role::FfnNorm, l, B::vector)?,
            router: self.find(Role::Router, l, B::mat)?,
            gate: self.needed(Role::Gate, l, B::mat)?,
            up: self.needed(Role::Up, l, B::mat)?,
            down: self.needed(Role::Down, l, B::mat)?,
        })
    }
}

impl<B: Backend> Weights<B> {
    /// Takes a file's tensors up on a backend, of the layers those in `layers`. `check` has seen them.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn load(
        be: &mut B,
        config: &Config,
        file: &gguf::File,
        mapped: &Arc<Mapped>,
        layers: Range<usize>,
    ) -> Result<Self, Error<B::Err>> {
        let mut loader = Loader { be, config, file, mapped };
        Ok(Self {
            embed: loader.needed(Role::Embed, 0, B::mat)?,
            layers: layers.map(|l| loader.layer(l)).collect::<Result<_, _>>()?,
            norm: loader.needed(Role::Norm, 0, B::vector)?,
            head: loader.find(Role::Head, 0, B::mat)?,
        })
    }
}
