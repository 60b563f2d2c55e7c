//! Who watches a pass. A tap sees every named value where it is made, and may replace it there.

use crate::backend::{Backend, Cols, Routes};
use crate::stage::{Site, Stage};
use std::fmt;

/// A tap's wish to end the pass; what it found, it keeps itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pass was ended by its observer")
    }
}

impl std::error::Error for Stop {}

/// An observer of the forward pass.
///
/// A tap may also write: forced routes, injected values and teacher forcing are taps that overwrite what they see.
pub trait Tap<B: Backend> {
    /// The pass enters a layer.
    fn layer(&mut self, layer: usize);
    /// Whether a derived stage should be computed at all. Made stages are passed to [`Tap::at`] in any case.
    fn wants(&self, stage: Stage) -> bool;
    /// Whether a fused stage may pass this tap by: it watches nothing, or the backend's own kernels store the values
    /// at the sites for it. Otherwise stages run primitive by primitive, with [`Tap::at`] between them.
    fn inside(&self) -> bool {
        false
    }
    /// A value was made: columns `cols` of `x`.
    ///
    /// # Errors
    /// Whatever the backend reports, or [`Stop`].
    fn at(&mut self, be: &mut B, stage: Stage, x: &mut B::Act, cols: Cols) -> Result<(), B::Err>;
    /// The router decided.
    ///
    /// # Errors
    /// As [`Tap::at`].
    fn route(&mut self, be: &mut B, route: &mut B::Route) -> Result<(), B::Err>;
}

/// What a backend kept of a pass for a tap that is inside, see [`Backend::keep`].
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// A value.
    Value {
        /// Where it was made.
        site: Site,
        /// `[positions, ...]`, row by row.
        values: Vec<f32>,
    },
    /// A router's decision.
    Route {
        /// Of which layer.
        layer: usize,
        /// What it decided.
        routes: Routes,
    },
}

/// What a pass does for its tap only. Built with `--cfg no_tap` it is not there at all: a test compares the machine code
/// of that build with the ordinary one under [`Off`].
macro_rules! tapped {
    ($($statement:tt)*) => {
        #[cfg(not(no_tap))]
        {
            $($statement)*;
        }
    };
}
pub(crate) use tapped;

/// Nobody watches. Compiles to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Off;

impl<B: Backend> Tap<B> for Off {
    #[inline(always)]
    fn layer(&mut self, _: usize) {}
    #[inline(always)]
    fn wants(&self, _: Stage) -> bool {
        false
    }
    #[inline(always)]
    fn inside(&self) -> bool {
        true
    }
    #[inline(always)]
    fn at(&mut self, _: &mut B, _: Stage, _: &mut B::Act, _: Cols) -> Result<(), B::Err> {
        Ok(())
    }
    #[inline(always)]
    fn route(&mut self, _: &mut B, _: &mut B::Route) -> Result<(), B::Err> {
        Ok(())
    }
}
