//! What can go wrong in an operation of the CPU backend.

use crate::quant;
use crate::tap::Stop;

/// An operation that cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Operands that do not fit each other.
    #[error("{op}: {what} {found}, expected {expected}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// What does not fit.
        what: &'static str,
        /// What it is.
        found: usize,
        /// What it should be, or at most be.
        expected: usize,
    },
    /// A token that is none.
    #[error("token {token} is not in the vocabulary of {vocab}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens are below this.
        vocab: usize,
    },
    /// A position whose predecessors were never computed.
    #[error("position {position} of sequence {sequence} cannot follow {filled} computed positions")]
    Gap {
        /// The sequence.
        sequence: u32,
        /// The position.
        position: u32,
        /// How many positions there are.
        filled: usize,
    },
    /// A sequence that the KV cache was not made for.
    #[error("sequence {sequence} is past the {sequences} sequences of the KV cache")]
    Sequence {
        /// The sequence.
        sequence: u32,
        /// How many there are.
        sequences: usize,
    },
    /// An expert that is none.
    #[error("expert {expert} is not among the {experts} experts of the layer")]
    Expert {
        /// The expert.
        expert: u32,
        /// How many there are.
        experts: usize,
    },
    /// There is no memory for the weights.
    #[error("no memory for {bytes} bytes of weights: {reason}")]
    Memory {
        /// How many.
        bytes: usize,
        /// Why not.
        reason: String,
    },
    /// Threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many.
        threads: usize,
        /// Why not.
        reason: String,
    },
    /// Bytes and weights do not fit.
    #[error(transparent)]
    Quant(#[from] quant::Error),
    /// A tap ended the pass.
    #[error(transparent)]
    Stopped(#[from] Stop),
}

impl Error {
    /// Demands that two numbers be equal.
    pub(super) fn shape(
        op: &'static str,
        what: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::Shape { op, what, found, expected }) }
    }
}
