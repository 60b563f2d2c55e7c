//! What can go wrong in the engine: one value per family of operations, and the file it happened in.

use crate::{architecture, gguf, quant, tensors, tokenizer, trace};
use std::path::{Path, PathBuf};

/// An error of the engine. Its text is one line that says what was found and what is accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// Something is wrong with the contents of a file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What.
        source: Box<Error>,
    },
    /// A GGUF file does not hold together.
    #[error(transparent)]
    Gguf(#[from] gguf::Error),
    /// A metadata key is missing or of another type.
    #[error(transparent)]
    Key(#[from] gguf::KeyError),
    /// Bytes and weights do not fit a format.
    #[error(transparent)]
    Quant(#[from] quant::Error),
    /// The file's vocabulary is no tokenizer, or text is none.
    #[error(transparent)]
    Tokenizer(#[from] tokenizer::Error),
    /// The metadata describes no model that can be run.
    #[error(transparent)]
    Config(#[from] architecture::Error),
    /// The tensors are not those of the model.
    #[error("{}", tensors::Few(problems))]
    Tensors {
        /// One for each tensor.
        problems: Vec<tensors::Problem>,
    },
    /// A backend refused a tensor.
    #[error("tensor '{tensor}': {source}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A backend that is not there.
    #[error("backend '{device}' is not available: {reason}")]
    Device {
        /// Its name.
        device: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// More layers than there are, or none.
    #[error("{found} layers were asked for, expected 1 to {layers}")]
    Layers {
        /// How many.
        found: usize,
        /// How many the model has.
        layers: usize,
    },
    /// A token that is none.
    #[error("token {token} is not in the vocabulary of {vocab}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens are below this.
        vocab: usize,
    },
    /// No tokens, or more than the model was made for.
    #[error(
        "{tokens} tokens at position {position}, expected at least 1 and none past the context of {context}"
    )]
    Context {
        /// How many.
        tokens: usize,
        /// Where they would start.
        position: usize,
        /// Positions of the model.
        context: usize,
    },
    /// A position that was not computed.
    #[error("position {found} was not computed, expected at most {computed}")]
    Position {
        /// The position.
        found: usize,
        /// How many were computed.
        computed: usize,
    },
    /// Two recordings that are not of the same pass.
    #[error("the recordings do not compare: {what} differ: left {left}, right {right}")]
    Recordings {
        /// What differs.
        what: String,
        /// On the left.
        left: String,
        /// On the right.
        right: String,
    },
    /// A recording cannot be written or read.
    #[error(transparent)]
    Trace(#[from] trace::Error),
    /// Nothing that could be recorded was selected.
    #[error(transparent)]
    Select(#[from] trace::SelectError),
    /// Logits among which there is no largest.
    #[error("the logits at position {position} are not all numbers: there is no next token")]
    NoToken {
        /// The position.
        position: usize,
    },
    /// A backend failed.
    #[error(transparent)]
    Backend(Box<dyn std::error::Error + Send + Sync>),
    /// A backend computes something else than the CPU.
    #[error(
        "the logits of {device}:{precision} differ from the CPU's on a short prompt by a normalized squared error of \
         {nmse:.1e}, expected at most {bound:.0e}: the device, its driver or a kernel is broken (--no-load-check goes on)"
    )]
    Disagrees {
        /// Its name.
        device: &'static str,
        /// Its precision.
        precision: &'static str,
        /// The error found.
        nmse: f64,
        /// The largest accepted.
        bound: f64,
    },
    /// A pass made what is no finite number, and was asked to stop there.
    #[error("{0}")]
    NotFinite(Box<crate::bisect::NotFinite>),
    /// What a pass was to be changed by does not fit it.
    #[error("{what}: {found}, expected {expected}")]
    Intervention {
        /// Which one.
        what: String,
        /// What was found.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// An operation whose operands do not fit together, or are not there.
    #[error("{site}: the operation {what}")]
    Operation {
        /// The value that it makes.
        site: String,
        /// What was found and what is accepted.
        what: String,
    },
    /// A file of saved logits that cannot be used, or may not be written.
    #[error("{}: {what}", path.display())]
    Logits {
        /// The file.
        path: PathBuf,
        /// What was found and what is accepted.
        what: String,
    },
    /// A capsule that cannot be read.
    #[error("{}: {what}", path.display())]
    Capsule {
        /// The file.
        path: PathBuf,
        /// What was found and what is accepted.
        what: String,
    },
    /// The observer of a pass ended it.
    #[error("the pass was ended by its observer")]
    Stopped,
}

impl Error {
    /// What a backend reported.
    pub(crate) fn backend(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Backend(error.into())
    }

    /// Names the file in which this happened.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Self {
        match self {
            // Already named.
            Self::Io { .. } | Self::File { .. } => self,
            other => Self::File { path: path.to_owned(), source: Box::new(other) },
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<tensors::Error<E>> for Error {
    fn from(error: tensors::Error<E>) -> Self {
        match error {
            tensors::Error::Tensors { problems } => Self::Tensors { problems },
            tensors::Error::Backend { tensor, source } => Self::Tensor { tensor, source: source.into() },
        }
    }
}
