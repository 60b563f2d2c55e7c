//! What generated tests call: each operation of a backend with operands made from a case, and what is expected of it.
//!
//! An operation is asked for twice: against its meaning, computed in double precision, and on one backend against another.

use falsify::{Case, DomainError};
use model::backend::Precision;
use model::battery::{self, Clock, Kind, Operation, Visit};
use model::cpu::Cpu;
use std::num::NonZeroUsize;

type Error = Box<dyn std::error::Error>;

/// A case of a claim, as operations are made from it.
struct OfClaim<'a>(&'a Case);

impl battery::Case for OfClaim<'_> {
    fn size(&self, name: &str) -> Result<usize, battery::Error> {
        self.0.size(name).map_err(missing)
    }
    fn word(&self, name: &str) -> Result<&str, battery::Error> {
        self.0.word(name).map_err(missing)
    }
    fn truth(&self, name: &str) -> Result<bool, battery::Error> {
        self.0.truth(name).map_err(missing)
    }
    fn seed(&self) -> u64 {
        self.0.seed()
    }
}

fn missing(error: DomainError) -> battery::Error {
    match error {
        DomainError::Unknown { what, name } => battery::Error::Missing { what, name },
        other => battery::Error::Missing { what: "answer", name: other.to_string() },
    }
}

/// Its meaning and what the case's backend gives.
struct AgainstMeaning<'a>(&'a Case);

impl Visit for AgainstMeaning<'_> {
    type Out = Result<(Vec<f64>, Vec<f64>), Error>;
    fn visit<O: Operation>(self) -> Self::Out {
        let operation = O::of(&OfClaim(self.0))?;
        Ok(operation.beside(&on(self.0.word("backend")?, &operation)?))
    }
}

/// What the CPU gives and what the case's backend gives in the same precision.
#[cfg(feature = "cuda")]
struct AgainstCpu<'a>(&'a Case);

#[cfg(feature = "cuda")]
impl Visit for AgainstCpu<'_> {
    type Out = Result<(Vec<f32>, Vec<f32>), Error>;
    fn visit<O: Operation>(self) -> Self::Out {
        let operation = O::of(&OfClaim(self.0))?;
        let backend = self.0.word("backend")?;
        let (_, precision) = backend.split_once(':').ok_or("a backend is written device:precision")?;
        // A device that reports a fault has no results, and so none that are the CPU's.
        let results = on(backend, &operation).unwrap_or_else(|error| {
            eprintln!("{backend}: {error}");
            Vec::new()
        });
        Ok((on(&format!("cpu:{precision}"), &operation)?, results))
    }
}

/// The functions that contracts name.
macro_rules! operations {
    ($($name:ident => $kind:ident;)*) => {
        $(pub(crate) fn $name(case: &Case) -> Result<(Vec<f64>, Vec<f64>), Error> {
            Kind::$kind.visit(AgainstMeaning(case))
        })*
        /// The same operations, one backend against another.
        #[cfg(feature = "cuda")]
        pub(crate) mod parity {
            use super::*;
            $(pub(crate) fn $name(case: &Case) -> Result<(Vec<f32>, Vec<f32>), Error> {
                Kind::$kind.visit(AgainstCpu(case))
            })*
        }
    };
}

operations! {
    norm => Norm;
    head_norm => HeadNorm;
    rope => Rope;
    swiglu => Swiglu;
    top_k => TopK;
    combine => Combine;
    attention => Attention;
    product => Product;
    dequantize => Dequantize;
}

/// Runs an operation on a backend by its name, `cpu:exact`.
fn on(backend: &str, operation: &impl Operation) -> Result<Vec<f32>, Error> {
    let (device, precision) = backend.split_once(':').ok_or("a backend is written device:precision")?;
    let precision = Precision::from_name(precision).ok_or("the precisions are exact and fast")?;
    match device {
        "cpu" => {
            Ok(operation.results(&mut Cpu::new(precision, NonZeroUsize::new(1))?, &mut Clock::default())?)
        }
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
        match operation.results(&mut devices[at].1, &mut Clock::default()) {
            Ok(results) => Ok(results),
            Err(error) => {
                devices.clear();
                Err(error.into())
            }
        }
    })
}
