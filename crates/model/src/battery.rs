//! Operations of a backend with operands made from a case: what each means, computed here in double precision and apart from
//! every backend, and what a backend makes of it.
//!
//! One table for whoever asks whether a kernel is right or how fast it is: generated tests, comparisons of one backend with
//! another, and `apr test-ops`. Of a backend's name it knows what arithmetic that says.

mod attention;
mod elementwise;
pub mod operands;
mod products;
mod route;
mod table;

pub use table::{Bound, Entry, Given, Sizes, TABLE, larger};

use crate::backend::Backend;
use crate::config::{Config, Experts, Pairing};
use operands::{config, numbers, plane, rows, vector};
use std::time::{Duration, Instant};

/// Why a case makes no operands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The case does not say what the operation needs.
    #[error("the case has no {what} '{name}'")]
    Missing {
        /// A number, a word or a truth value.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The case says what is nothing.
    #[error("'{found}' is no {what}, expected {expected}")]
    Unknown {
        /// What it was to be.
        what: &'static str,
        /// What was found.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// Weights of such a shape cannot be.
    #[error("weights: {0}")]
    Weights(String),
    /// Weights and their bytes do not fit.
    #[error(transparent)]
    Quant(#[from] crate::quant::Error),
}

/// Numbers and words that make an operation's operands.
pub trait Case {
    /// A number, by its name.
    ///
    /// # Errors
    /// When the case has none.
    fn size(&self, name: &str) -> Result<usize, Error>;
    /// A word, by its name: `values`, `format`, `pairing`, `backend`.
    ///
    /// # Errors
    /// When the case has none.
    fn word(&self, name: &str) -> Result<&str, Error>;
    /// A truth value, by its name.
    ///
    /// # Errors
    /// When the case has none.
    fn truth(&self, name: &str) -> Result<bool, Error>;
    /// What random operands are drawn from.
    fn seed(&self) -> u64;
}

/// An operation with its operands.
pub trait Operation: Sized {
    /// With the operands of a case.
    ///
    /// # Errors
    /// When the case makes none.
    fn of(case: &dyn Case) -> Result<Self, Error>;
    /// What it gives, in double precision.
    fn meaning(&self) -> Vec<f64>;
    /// The sum of the magnitudes of the terms of each result. Terms that cancel leave a small sum with the rounding of
    /// large terms, which says nothing of the sum's order or of a missing term: such results are seen against this.
    fn magnitude(&self) -> Option<Vec<f64>> {
        None
    }
    /// What a backend gives; `clock` performs the primitive itself.
    ///
    /// # Errors
    /// What the backend reports.
    fn results<B: Backend>(&self, be: &mut B, clock: &mut Clock) -> Result<Vec<f32>, B::Err>;
    /// What the primitive does at least.
    fn work(&self) -> Work;

    /// Its meaning and results, both over the magnitudes that were added where there are such.
    fn beside(&self, results: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let mut meaning = self.meaning();
        let mut results: Vec<f64> = results.iter().map(|v| f64::from(*v)).collect();
        for (i, magnitude) in self.magnitude().into_iter().flatten().enumerate() {
            // Nothing but zeros was added.
            let magnitude = if magnitude == 0.0 { 1.0 } else { magnitude };
            meaning[i] /= magnitude;
            if let Some(result) = results.get_mut(i) {
                *result /= magnitude;
            }
        }
        (meaning, results)
    }
}

/// What a primitive does at least, for its speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Bytes that it reads and writes: weights in their format, everything else in f32.
    pub bytes: usize,
    /// Additions, multiplications, divisions and exponentials.
    pub flops: usize,
}

impl Work {
    /// That of elements read and written, and of operations.
    fn floats(elements: usize, flops: usize) -> Self {
        Self { bytes: 4 * elements, flops }
    }
}

/// Performs a primitive: once, or as often as it takes to time it.
#[derive(Debug, Default)]
pub struct Clock {
    /// Time to spend; none performs it once.
    budget: Option<Duration>,
    best: Option<Duration>,
}

impl Clock {
    /// One that times: about so long.
    #[must_use]
    pub fn timing(budget: Duration) -> Self {
        Self { budget: Some(budget), best: None }
    }

    /// The shortest time that one performance took, of runs that were long enough to tell.
    #[must_use]
    pub fn best(&self) -> Option<Duration> {
        self.best
    }

    /// Performs it. Timed, it is performed again and again on what it made.
    fn run<B: Backend>(
        &mut self,
        be: &mut B,
        mut primitive: impl FnMut(&mut B) -> Result<(), B::Err>,
    ) -> Result<(), B::Err> {
        primitive(be)?;
        let Some(budget) = self.budget else { return Ok(()) };
        be.wait()?;
        let whole = Instant::now();
        let mut n = 1_u32;
        loop {
            let start = Instant::now();
            for _ in 0..n {
                primitive(be)?;
            }
            be.wait()?;
            let took = start.elapsed();
            // A shorter run is mostly the clock and the waiting.
            if took * 8 >= budget {
                let one = took / n;
                self.best = Some(self.best.map_or(one, |best| best.min(one)));
            } else {
                n = n.saturating_mul(2);
            }
            if whole.elapsed() >= budget && self.best.is_some() {
                return Ok(());
            }
        }
    }
}

/// Calls code that is generic over an operation.
pub trait Visit {
    /// What it gives.
    type Out;
    /// Runs with one operation.
    fn visit<O: Operation>(self) -> Self::Out;
}

macro_rules! operations {
    ($($name:ident $text:literal $operation:ty;)*) => {
        /// An operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $(#[doc = $text] $name,)* }
        impl Kind {
            /// Every operation, once.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// Runs code that is generic over operations with this one.
            pub fn visit<V: Visit>(self, visitor: V) -> V::Out {
                match self { $(Self::$name => visitor.visit::<$operation>(),)* }
            }
        }
    };
}

operations! {
    Norm "norm" elementwise::Norm;
    HeadNorm "head_norm" elementwise::HeadNorm;
    Rope "rope" elementwise::Rope;
    Swiglu "swiglu" elementwise::Swiglu;
    TopK "top_k" route::TopK;
    Combine "combine" route::Combine;
    Attention "attention" attention::Attention;
    Product "product" products::Product;
    Dequantize "dequantize" products::Dequantize;
}

/// Numbers of a kind that a case names.
fn values(kind: &str, seed: u64, n: usize) -> Result<Vec<f32>, Error> {
    let mut x = numbers(seed, n);
    match kind {
        "ordinary" => {}
        "zeros" => x.fill(0.0),
        "equal" => x.fill(0.5),
        // Squares of these are still numbers.
        "large" => x.iter_mut().for_each(|v| *v *= 1e15),
        "tiny" => x.iter_mut().for_each(|v| *v *= 1e-15),
        // Few values, many times each.
        "ties" => x.iter_mut().for_each(|v| *v = v.round()),
        "nan" => {
            let at = (seed % n.max(1) as u64) as usize;
            if let Some(x) = x.get_mut(at) {
                *x = f32::NAN;
            }
        }
        other => {
            let expected = "ordinary, zeros, equal, large, tiny, ties or nan".to_owned();
            return Err(Error::Unknown { what: "kind of values", found: other.to_owned(), expected });
        }
    }
    Ok(x)
}

/// The model's shape as far as an operation asks for it.
fn shape(head_dim: usize, pairing: Pairing) -> Config {
    config(head_dim, pairing, Experts { count: 8, used: 2, renormalize: true })
}
