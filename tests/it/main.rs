//! The cross-crate falsifiers, one module per subject.

mod architecture;
#[cfg(all(feature = "cuda", target_os = "linux", target_arch = "x86_64"))]
mod cuda;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod cuda_sim;
#[path = "../generated/mod.rs"]
mod generated;
mod harness;
mod operations;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod simulator;
mod status;
