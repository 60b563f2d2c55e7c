//! The CUDA backend against the CPU: operation by operation on the same operands, and whole passes. On the host's own
//! device if it has one, else on the simulator.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test is failed by a panic")]

mod collect;
mod forward;
mod operations;
mod products;
mod refusals;
mod steps;

use model::backend::Precision;
use model::cuda::{Cuda, Options};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the backend runs here.
fn options() -> Options {
    if falsify::gpu().is_some() {
        return Options::default();
    }
    let folder = crate::simulator::folder();
    Options { libraries: vec![folder.to_owned()], cache: Some(folder.join("kernels")), ..Options::default() }
}

/// One test at a time: a fault that the device reports for one would be every other one's, too.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static DEVICE: Mutex<()> = Mutex::new(());
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn device(precision: Precision) -> Cuda {
    Cuda::new(precision, &options()).unwrap_or_else(|e| panic!("{e}"))
}
