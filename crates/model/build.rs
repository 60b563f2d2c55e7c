//! Compiles the kernels ahead of time where nvcc is, so that the binary needs no compiler on the machine with the GPU.
//!
//! nvcc is the program that `NVCC` names; a release build also looks into `CUDA_HOME` and `PATH`. Where there is none,
//! nothing is embedded, and kernels are compiled when they are first used.
#![expect(
    clippy::disallowed_methods,
    reason = "a build reads its environment and runs a compiler; the engine does neither"
)]

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

include!("src/cuda/units.rs");

const KERNELS: &str = "../../kernels";
/// Architectures that are embedded.
const ARCHITECTURES: &[&str] = &["sm_80", "sm_89", "sm_90", "sm_100"];

macro_rules! formats {
    ($($variant:ident $name:literal $id:literal $block:literal $bytes:literal $layout:ty;)*) => {
        const FORMATS: &[&str] = &[$($name),*];
    };
}
include!("src/quant/table.rs");

macro_rules! names {
    ($($name:literal)*) => { &[$($name),*] };
}
const SOURCES: &[&str] = sources!(names);

struct Unit {
    source: &'static str,
    definitions: Vec<String>,
    fatbin: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={KERNELS}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/cuda/units.rs");
    println!("cargo::rerun-if-changed=src/quant/table.rs");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut units = Vec::new();
    if let Some(nvcc) = nvcc()? {
        for &source in SOURCES {
            for definitions in definitions(source, FORMATS) {
                let fatbin = out.join(format!("{}.fatbin", units.len()));
                units.push(Unit { source, definitions, fatbin });
            }
        }
        compile(&nvcc, &units)?;
    }
    let mut text =
        format!("const ARCHITECTURES: &[&str] = &{ARCHITECTURES:?};\nstatic FATBINS: &[Fatbin] = &[\n");
    for Unit { source, definitions, fatbin } in &units {
        writeln!(
            text,
            "    Fatbin {{ source: {source:?}, definitions: &{definitions:?}, bytes: include_bytes!({fatbin:?}) }},"
        )?;
    }
    text.push_str("];\n");
    std::fs::write(out.join("fatbins.rs"), text)?;
    Ok(())
}

/// nvcc, if it is to be used.
fn nvcc() -> Result<Option<PathBuf>, Box<dyn Error>> {
    if let Some(named) = env::var_os("NVCC").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        return if named.is_file() {
            Ok(Some(named))
        } else {
            Err(format!("NVCC names {named:?}, which is no file").into())
        };
    }
    // Every change of a kernel would compile all of them for all architectures.
    if env::var("PROFILE")? != "release" {
        return Ok(None);
    }
    let home = env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = home.into_iter().chain(env::split_paths(&path).collect::<Vec<_>>());
    Ok(folders.map(|folder| folder.join("nvcc")).find(|file| file.is_file()))
}

fn compile(nvcc: &Path, units: &[Unit]) -> Result<(), Box<dyn Error>> {
    let waiting = Mutex::new(units.iter());
    let next = || waiting.lock().ok()?.next();
    let work = || -> Result<(), String> {
        while let Some(unit) = next() {
            let mut command = Command::new(nvcc);
            command
                .arg("-fatbin")
                .args(OPTIONS)
                .args(["-Xfatbin", "-compress-all"])
                .arg("-o")
                .arg(&unit.fatbin);
            for architecture in ARCHITECTURES {
                let number = architecture.trim_start_matches("sm_");
                command.arg(format!("-gencode=arch=compute_{number},code={architecture}"));
            }
            command.args(unit.definitions.iter().map(|definition| format!("-D{definition}")));
            command.arg(Path::new(KERNELS).join(unit.source));
            let ended = command.output().map_err(|error| format!("{}: {error}", nvcc.display()))?;
            if !ended.status.success() {
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                return Err(format!("{} {:?}: {said}", unit.source, unit.definitions));
            }
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err("a panic".to_owned())));
        ended.collect::<Result<Vec<()>, String>>()
    })?;
    Ok(())
}
