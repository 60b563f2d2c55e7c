//! The CUDA backend against the CPU: operation by operation on the same operands, and whole passes. On the host's own
//! device if it has one, else on the simulator.

mod collect;
mod operands;
mod operations;
mod products;
mod steps;

use model::backend::Precision;
use model::cuda::{Cuda, Options};

/// Where the backend runs here.
fn options() -> Options {
    if falsify::gpu().is_some() {
        return Options::default();
    }
    let folder = crate::simulator::folder();
    Options {
        libraries: vec![folder.to_owned()],
        cache: Some(folder.join("kernels")),
        ..Options::default()
    }
}

fn device(precision: Precision) -> Cuda {
    Cuda::new(precision, &options()).unwrap_or_else(|e| panic!("{e}"))
}
