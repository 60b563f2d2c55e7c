//! `apr kernels`: compiles every CUDA kernel, on a machine with a device or without.

use super::error::Error;
use super::exit::Exit;
use super::output::stdout;
use crate::cuda::{self, Compiled};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `apr kernels`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs libnvrtc of CUDA 13, no device. Exit code 1: a warning; with --deny-spills registers that spill.\n\
                  Example: apr kernels --arch sm_80 --arch sm_90 --cuda-libs /usr/local/cuda/lib64"
)]
pub struct Args {
    /// Architecture to compile for; several may be named
    #[arg(long, value_name = "sm_NN", default_value = "sm_90")]
    pub arch: Vec<String>,
    /// Folder with libnvrtc, before the loader's own search; several may be named
    #[arg(long, value_name = "DIR")]
    pub cuda_libs: Vec<PathBuf>,
    /// Compile nothing: tell what the build compiled ahead of time; exit code 2 when that is nothing
    #[arg(long, conflicts_with_all = ["arch", "cuda_libs", "deny_spills", "list", "limits"])]
    pub embedded: bool,
    /// Registers that go through memory are a finding
    #[arg(long)]
    pub deny_spills: bool,
    /// Show every kernel with its registers
    #[arg(long)]
    pub list: bool,
    /// Write a table: kernel, compute capability, registers, fixed shared bytes, spilled bytes
    #[arg(long, value_name = "FILE")]
    pub limits: Option<PathBuf>,
}

/// Runs `apr kernels`.
///
/// # Errors
/// When there is no compiler, or a source does not compile.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let mut out = stdout();
    if args.embedded {
        let (units, bytes) = cuda::embedded();
        writeln!(out, "{units} units compiled ahead of time, {bytes} bytes")?;
        out.flush()?;
        return Ok(if units == 0 { Exit::Nothing } else { Exit::Holds });
    }
    let mut found = false;
    let mut limits = String::new();
    for arch in &args.arch {
        let (kernels, warnings) = cuda::compile_all(&args.cuda_libs, arch)?;
        for warning in &warnings {
            writeln!(out, "{arch}: {warning}")?;
        }
        let capability = arch.trim_start_matches("sm_").trim_end_matches('a');
        for k in &kernels {
            let _ =
                writeln!(limits, "{}\t{capability}\t{}\t{}\t{}", k.kernel, k.registers, k.shared, k.spilled);
        }
        let spilling = |k: &&Compiled| k.spilled > 0;
        for k in kernels.iter().filter(|k| args.list || spilling(k)) {
            let spilled =
                if k.spilled > 0 { format!(", {} bytes spilled", k.spilled) } else { String::new() };
            writeln!(out, "{arch}: {} {}: {} registers{spilled}", k.unit, k.kernel, k.registers)?;
        }
        let spilling = kernels.iter().filter(spilling).count();
        writeln!(out, "{arch}: {} kernels, {spilling} spill, {} warnings", kernels.len(), warnings.len())?;
        found |= (args.deny_spills && spilling > 0) || !warnings.is_empty();
        if kernels.is_empty() {
            return Ok(Exit::Nothing);
        }
    }
    out.flush()?;
    if let Some(path) = &args.limits {
        std::fs::write(path, limits)?;
    }
    Ok(if found { Exit::Diverges } else { Exit::Holds })
}
