//! Compiles every kernel without a device: what continuous integration asks of machines that have none.

use super::error::Result;
use super::rtc::Compiler;
use super::table;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::path::PathBuf;

/// What the compiler said of one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Source file and definitions.
    pub unit: String,
    /// The kernel.
    pub kernel: String,
    /// Registers of a thread.
    pub registers: usize,
    /// Bytes of shared memory of a block that the source fixes.
    pub shared: usize,
    /// Bytes of registers of a thread that go through memory.
    pub spilled: usize,
}

/// Compiles every source in every specialisation for `architecture` (`sm_90`), with the compiler library from `libraries`
/// first. Returns the kernels and the compiler's warnings.
///
/// # Errors
/// When there is no compiler, it does not know the architecture, or a source does not compile.
pub fn compile_all(libraries: &[PathBuf], architecture: &str) -> Result<(Vec<Compiled>, Vec<String>)> {
    // The library compiles units side by side, one a thread.
    let logs: Vec<(String, String)> = table::specialisations()
        .into_par_iter()
        .filter_map(|(source, definitions)| {
            let unit = table::unit(source, &definitions)?;
            let name = [&[source.to_owned()], &definitions[..]].concat().join(" ");
            // Compiled here, whatever is embedded: the report is what is asked for.
            let image = Compiler::new(libraries, None, architecture.to_owned()).compile_anew(&unit);
            Some(image.map(|image| (name, image.log)))
        })
        .collect::<Result<_>>()?;
    let (mut kernels, mut warnings) = (Vec::new(), Vec::new());
    for (name, log) in &logs {
        warnings.extend(log.lines().filter(|l| l.contains("warning")).map(|l| format!("{name}: {l}")));
        kernels.extend(resources(name, log));
    }
    Ok((kernels, warnings))
}

/// Reads the assembler's report: per kernel a line with its name, one with its spills, one with its registers.
fn resources(unit: &str, log: &str) -> Vec<Compiled> {
    let mut kernels: Vec<Compiled> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let kernel = rest.split('\'').next().unwrap_or_default().to_owned();
            kernels.push(Compiled { unit: unit.to_owned(), kernel, registers: 0, shared: 0, spilled: 0 });
        }
        let Some(last) = kernels.last_mut() else { continue };
        if let Some(n) = number_before(line, " bytes spill stores") {
            last.spilled = n;
        }
        if let Some(n) = number_before(line, " registers") {
            last.registers = n;
        }
        if let Some(n) = number_before(line, " bytes smem") {
            last.shared = n;
        }
    }
    kernels
}

fn number_before(line: &str, what: &str) -> Option<usize> {
    let (before, _) = line.split_once(what)?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assembler_report_is_read() {
        let log = "ptxas info    : Compiling entry function 'norm' for 'sm_90'\n\
                   ptxas info    : Function properties for norm\n    \
                   8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n\
                   ptxas info    : Used 44 registers, used 1 barriers, 512 bytes smem\n\
                   ptxas info    : Compiling entry function 'add' for 'sm_90'\n\
                   ptxas info    : Used 7 registers\n";
        let found = resources("norm.cu", log);
        let of = |kernel: &str, registers, shared, spilled| Compiled {
            unit: "norm.cu".into(),
            kernel: kernel.into(),
            registers,
            shared,
            spilled,
        };
        assert_eq!(found, [of("norm", 44, 512, 12), of("add", 7, 0, 0)]);
    }
}
