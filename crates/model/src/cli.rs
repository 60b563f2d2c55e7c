//! The command line as clap types: names, flags and help, no behaviour. Each command is a function from its arguments to
//! an [`exit::Exit`]; nothing here ends the process or reads the environment.

pub mod bench;
pub mod bisect;
pub mod diff;
pub mod doctor;
pub mod error;
pub mod eval;
pub mod exit;
pub mod inspect;
pub mod interrupt;
pub mod kernels;
pub mod output;
pub mod place;
pub mod prompt;
pub mod replay;
pub mod run;
pub mod synth;
pub mod test_ops;
pub mod trace;

use clap::{Parser, Subcommand};
use error::Error;
use exit::Exit;

/// Transformer models from GGUF files: run them, and see, compare and bisect every value on the way.
#[derive(Debug, Parser)]
#[command(
    name = "apr",
    version,
    propagate_version = true,
    after_help = "\
Exit codes: 0 holds, 1 does not hold (a comparison that diverges), 2 nothing was checked, 3 usage or I/O;
of replay also 125, cannot be tried here.

Example: apr inspect model.gguf"
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// One row per command: its help line, its variant, its module.
macro_rules! commands {
    ($($(#[$meta:meta])* $variant:ident => $module:ident,)*) => {
        /// What `apr` is asked to do.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$meta])* $variant(Box<$module::Args>),)*
        }
        impl Command {
            /// Runs it.
            ///
            /// # Errors
            /// Usage and I/O errors; a comparison that diverges is no error but an [`Exit`].
            pub fn run(&self) -> Result<Exit, Error> {
                match self {
                    $(Self::$variant(args) => $module::run(args),)*
                }
            }
        }
    };
}

commands! {
    /// Show a file's metadata and tensors, and what one token costs
    Inspect => inspect,
    /// Continue a prompt, or hold a conversation
    Run => run,
    /// Measure tokens per second
    Bench => bench,
    /// Measure how well a text is predicted, and how far that is from logits that were saved
    Eval => eval,
    /// Write a file of any shape with random weights
    Synth => synth,
    /// Compare every operation on every weight format with what it means, and time it
    TestOps => test_ops,
    /// Tell what this machine has, and whether it is enough for a model
    Doctor => doctor,
    /// Compile every CUDA kernel, and report registers, spills and warnings
    Kernels => kernels,
    /// Run a prompt and keep the values made on the way
    Trace => trace,
    /// Compare two recordings of a pass, tensor by tensor
    Diff => diff,
    /// Find the first operation in which two backends, or two recordings, differ, and why
    Bisect => bisect,
    /// Perform the one operation of a capsule again, alone, and hold it against what is expected
    Replay => replay,
}
