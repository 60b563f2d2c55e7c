//! What generated tests call: each operation of a backend with operands made from a case, and what is expected of it.
//!
//! An operation is asked for twice: against its meaning, computed here in double precision, and on one backend against
//! another.

mod attention;
mod elementwise;
mod products;
mod route;

use crate::operands::{config, numbers, plane, rows, vector};
use falsify::Case;
use model::backend::{Backend, Precision};
use model::config::{Config, Experts, Pairing};
use model::cpu::Cpu;
use std::num::NonZeroUsize;

type Error = Box<dyn std::error::Error>;

/// An operation with its operands.
trait Operation: Sized {
    /// With the operands of a case.
    fn of(case: &Case) -> Result<Self, Error>;
    /// What it gives, in double precision.
    fn meaning(&self) -> Vec<f64>;
    /// The sum of the magnitudes of the terms of each result. Terms that cancel leave a small sum with the rounding of
    /// large terms, which says nothing of the sum's order or of a missing term: such results are seen against this.
    fn magnitude(&self) -> Option<Vec<f64>> {
        None
    }
    /// What a backend gives.
    fn results<B: Backend>(&self, be: &mut B) -> Result<Vec<f32>, B::Err>;
}

/// Its meaning and what the case's backend gives.
fn against_meaning<O: Operation>(case: &Case) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let operation = O::of(case)?;
    let mut meaning = operation.meaning();
    let mut results: Vec<f64> = on(case.word("backend")?, &operation)?.into_iter().map(f64::from).collect();
    for (i, magnitude) in operation.magnitude().into_iter().flatten().enumerate() {
        // Nothing but zeros was added.
        let magnitude = if magnitude == 0.0 { 1.0 } else { magnitude };
        meaning[i] /= magnitude;
        results[i] /= magnitude;
    }
    Ok((meaning, results))
}

/// What the CPU gives and what the case's backend gives in the same precision.
#[cfg(feature = "cuda")]
fn against_cpu<O: Operation>(case: &Case) -> Result<(Vec<f32>, Vec<f32>), Error> {
    let operation = O::of(case)?;
    let backend = case.word("backend")?;
    let (_, precision) = backend.split_once(':').ok_or("a backend is written device:precision")?;
    // A device that reports a fault has no results, and so none that are the CPU's.
    let results = on(backend, &operation).unwrap_or_else(|error| {
        eprintln!("{backend}: {error}");
        Vec::new()
    });
    Ok((on(&format!("cpu:{precision}"), &operation)?, results))
}

/// The functions that contracts name.
macro_rules! operations {
    ($($name:ident => $operation:ty;)*) => {
        $(pub(crate) fn $name(case: &Case) -> Result<(Vec<f64>, Vec<f64>), Error> {
            against_meaning::<$operation>(case)
        })*
        /// The same operations, one backend against another.
        #[cfg(feature = "cuda")]
        pub(crate) mod parity {
            use super::*;
            $(pub(crate) fn $name(case: &Case) -> Result<(Vec<f32>, Vec<f32>), Error> {
                super::against_cpu::<$operation>(case)
            })*
        }
    };
}

operations! {
    norm => elementwise::Norm;
    head_norm => elementwise::HeadNorm;
    rope => elementwise::Rope;
    swiglu => elementwise::Swiglu;
    top_k => route::TopK;
    combine => route::Combine;
    attention => attention::Attention;
    product => products::Product;
    dequantize => products::Dequantize;
}

/// Runs an operation on a backend by its name, `cpu:exact`.
fn on(backend: &str, operation: &impl Operation) -> Result<Vec<f32>, Error> {
    let (device, precision) = backend.split_once(':').ok_or("a backend is written device:precision")?;
    let precision = Precision::from_name(precision).ok_or("the precisions are exact and fast")?;
    match device {
        "cpu" => Ok(operation.results(&mut Cpu::new(precision, NonZeroUsize::new(1))?)?),
        #[cfg(all(feature = "cuda", target_os = "linux", target_arch = "x86_64"))]
        "cuda" => on_device(precision, operation),
        _ => Err(format!("`{device}` is no device of this build").into()),
    }
}

/// Runs an operation on the device, which serves many cases, one at a time. One that reported a fault computes nothing
/// more and is left.
#[cfg(all(feature = "cuda", target_os = "linux", target_arch = "x86_64"))]
fn on_device(precision: Precision, operation: &impl Operation) -> Result<Vec<f32>, Error> {
    use model::cuda::Cuda;
    thread_local! {
        static DEVICES: std::cell::RefCell<Vec<(Precision, Cuda)>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let _alone = crate::cuda::alone();
    DEVICES.with_borrow_mut(|devices| {
        let at = match devices.iter().position(|(of, _)| *of == precision) {
            Some(at) => at,
            None => {
                devices.push((precision, crate::cuda::device(precision)));
                devices.len() - 1
            }
        };
        match operation.results(&mut devices[at].1) {
            Ok(results) => Ok(results),
            Err(error) => {
                devices.clear();
                Err(error.into())
            }
        }
    })
}

/// Numbers of a kind that a claim names.
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
            let at = usize::try_from(seed)? % n;
            x[at] = f32::NAN;
        }
        other => return Err(format!("no kind of values `{other}`").into()),
    }
    Ok(x)
}

/// The model's shape as far as an operation asks for it.
fn shape(head_dim: usize, pairing: Pairing) -> Config {
    config(head_dim, pairing, Experts { count: 8, used: 2, renormalize: true })
}
