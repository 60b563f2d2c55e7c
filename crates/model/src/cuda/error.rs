//! What can go wrong between this process and a CUDA device. Every message is one line a person can act on.

use crate::quant::Format;

/// An error of the CUDA backend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `libcuda` cannot be opened.
    #[error("no CUDA driver on this machine: libcuda.so.1 is not in {searched} ({reason})")]
    NoDriver {
        /// Where it was looked for.
        searched: String,
        /// The loader's words.
        reason: String,
    },
    /// `libnvrtc` cannot be opened, and a kernel has to be compiled.
    #[error(
        "the CUDA compiler library is missing: libnvrtc.so.13 is not in {searched} ({reason}); \
         install the CUDA 13 toolkit or name its folder with --cuda-libs"
    )]
    NoCompiler {
        /// Where it was looked for.
        searched: String,
        /// The loader's words.
        reason: String,
    },
    /// A library opens but is too old, or a stub.
    #[error("{library} lacks {missing}: CUDA 13 or later is needed")]
    MissingSymbols {
        /// Which library, with its path.
        library: String,
        /// The names it lacks.
        missing: String,
    },
    /// The process already uses another copy of a library than the one asked for.
    #[error("this process already uses another {library} than {wanted}")]
    OtherLibrary {
        /// Which library.
        library: &'static str,
        /// The copy that was asked for.
        wanted: String,
    },
    /// The driver is there, but no device.
    #[error("the CUDA driver finds no device ({reason})")]
    NoDevice {
        /// The driver's words.
        reason: String,
    },
    /// The device exists, but not this one.
    #[error("there is no CUDA device {ordinal}: this machine has {count}")]
    NoSuchDevice {
        /// The device asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The device is too old for the kernels, or too new for the compiler.
    #[error("{name} is of architecture {found}; the kernels need {accepted}")]
    Architecture {
        /// The device.
        name: String,
        /// Its architecture.
        found: String,
        /// The accepted ones.
        accepted: String,
    },
    /// The device has too little memory left.
    #[error("{what} needs {wanted} bytes on the device; {free} are free")]
    OutOfMemory {
        /// What was to be stored.
        what: &'static str,
        /// How much it takes.
        wanted: usize,
        /// How much is left.
        free: usize,
    },
    /// A driver call failed.
    #[error("{call}: {name} ({message})")]
    Driver {
        /// The call.
        call: &'static str,
        /// The driver's name of the error.
        name: String,
        /// The driver's words.
        message: String,
    },
    /// A compiler call failed for a reason other than the source.
    #[error("{call}: {message}")]
    Compiler {
        /// The call.
        call: &'static str,
        /// The library's words, or the first line of its log.
        message: String,
    },
    /// A kernel's source does not compile.
    #[error("{unit} does not compile for {architecture}:\n{log}")]
    Source {
        /// The source file and its definitions.
        unit: String,
        /// For which architecture.
        architecture: String,
        /// The compiler's log.
        log: String,
    },
    /// The cache of compiled kernels cannot be written.
    #[error("the cache of compiled kernels at {path}: {source}")]
    Cache {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// An operation was given operands that do not fit together.
    #[error("{operation}: {what} is {found}, expected {expected}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// The operand or length.
        what: &'static str,
        /// What it is.
        found: usize,
        /// What it has to be.
        expected: usize,
    },
    /// A tensor's bytes are not what its format and shape take.
    #[error("{name}: {found} bytes, but {count} x {rows} x {cols} weights of {format:?} are {expected}")]
    Bytes {
        /// The tensor.
        name: String,
        /// Its format.
        format: Format,
        /// Matrices.
        count: usize,
        /// Rows of one.
        rows: usize,
        /// Columns.
        cols: usize,
        /// The bytes given.
        found: usize,
        /// The bytes expected.
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
    /// Bytes and weights do not fit.
    #[error(transparent)]
    Quant(#[from] crate::quant::Error),
    /// A tap ended the pass.
    #[error(transparent)]
    Stopped(#[from] crate::tap::Stop),
    /// A step was recorded with other objects than before.
    #[error("a recorded step was asked for with other planes or weights than it was recorded with")]
    Changed,
    /// The kernels do not cover this model.
    #[error("the CUDA kernels do not cover this model: {what}")]
    Unsupported {
        /// What is not covered, and what is.
        what: String,
    },
}

/// Shorthand of this module.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// An error unless two lengths agree.
pub(crate) fn same(operation: &'static str, what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::Shape { operation, what, found, expected }) }
}

/// An error unless there is room.
pub(crate) fn fits(operation: &'static str, what: &'static str, needed: usize, room: usize) -> Result<()> {
    if needed <= room { Ok(()) } else { Err(Error::Shape { operation, what, found: needed, expected: room }) }
}
