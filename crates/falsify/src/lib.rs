//! What a falsifier calls: the [`Claim`] handle with its comparisons, [`require!`], test data, and behind them the
//! recorder that leaves evidence when a runner asks for it.
//!
//! A falsifier is a test that could show a contract's claim false. [`macro@falsifier`] ties the function to the
//! claim; the bound comes from the contract and never stands in the test. This crate runs no cargo, knows no git
//! and no host classes: it says what one test did in one process.
//!
//! ```ignore
//! use falsify::{Claim, falsifier, require};
//!
//! #[falsifier("FALSIFY-MOE-ROUTER-001")]
//! fn weights(claim: &mut Claim) -> Result<(), model::Error> {
//!     let file = require!(data "router.safetensors");
//!     for case in ["random", "ties", "all-equal"] {
//!         let (x, want) = load(&file, case)?;
//!         claim.at("case", case).compare(&want, &model::route::route(&x)?.weights);
//!     }
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

mod claim;
#[cfg(feature = "generated")]
mod domain;
mod environment;
mod metric;
mod operand;
mod recorder;
mod require;
mod root;
mod run;

pub use claim::{At, Claim};
pub use contract::claim::{Bound, Cell};
pub use contract::evidence::tally::Judgement;
pub use contract::gpu::Gpu;
#[cfg(feature = "generated")]
pub use domain::{Case, Domain, DomainError, Size};
pub use falsify_macros::falsifier;
pub use operand::{Operand, View};
pub use require::gpu;
pub use root::{RootError, data, model, root};

/// What the expansion of the macros calls; no part of the surface.
#[doc(hidden)]
pub mod __private {
    pub use crate::require::{cuda, data, gpu_memory, model};
    pub use crate::run::{Site, Verdict, run, run_async};
}
