//! The cross-crate falsifiers, one module per subject.

mod architecture;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod cuda_sim;
mod harness;
mod status;
