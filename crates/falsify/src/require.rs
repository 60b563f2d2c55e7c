//! Needs that a host may not meet. An unmet one leaves the body by unwinding with a payload that only the runner
//! knows, so it crosses helpers, closures and joined threads, and becomes a skip with its reason. It is never a
//! pass, and `PV_REQUIRE` makes it a failure.

use crate::environment;
use crate::root::{self, RootError};
use contract::gpu::Gpu;
use contract::need::format_size;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Leaves the falsifier with a skip unless this host has what follows: `cuda`, `gpu_memory BYTES`,
/// `model "name"` or `data "file"`. The last two give the path of the file.
///
/// A model is declared in pv.toml; data lies below `tests/data`.
#[macro_export]
macro_rules! require {
    (cuda) => {
        $crate::__private::cuda()
    };
    (gpu_memory $least:expr) => {
        $crate::__private::gpu_memory($least)
    };
    (model $name:expr) => {
        $crate::__private::model($name)
    };
    (data $path:expr) => {
        $crate::__private::data($path)
    };
}

/// What an unmet need unwinds with.
#[derive(Debug)]
pub(crate) struct Unmet {
    pub(crate) reason: String,
    /// Whether `PV_REQUIRE` lists the need.
    pub(crate) required: bool,
}

/// The host's first accelerator, looked for once per process.
pub fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| match environment::gpu() {
        Some(told) => Gpu::told(&told),
        None if environment::hides_devices() => None,
        None => ask_driver(),
    })
    .as_ref()
}

fn ask_driver() -> Option<Gpu> {
    let [program, arguments @ ..] = Gpu::LIST;
    let asked = Command::new(program).args(arguments).output().ok()?;
    if !asked.status.success() {
        return None;
    }
    Gpu::listed(&String::from_utf8_lossy(&asked.stdout))
}

/// A CUDA device.
pub fn cuda() {
    if gpu().is_none() {
        unmet("cuda", "no CUDA device".to_owned());
    }
}

/// A device with so many bytes of memory.
pub fn gpu_memory(least: u64) {
    match gpu() {
        None => unmet("gpu-memory", "no CUDA device".to_owned()),
        Some(gpu) if gpu.memory < least => {
            let (has, wants) = (format_size(gpu.memory), format_size(least));
            unmet("gpu-memory", format!("{} has {has}, {wants} are needed", gpu.name));
        }
        Some(_) => {}
    }
}

/// A model file. A model that pv.toml does not declare is a mistake and no unmet need.
#[must_use]
pub fn model(name: &str) -> PathBuf {
    crate::recorder::note_model(name);
    found("model", root::model(name))
}

/// A test data file.
#[must_use]
pub fn data(path: &str) -> PathBuf {
    found("data", root::data(path))
}

fn found(need: &str, file: Result<PathBuf, RootError>) -> PathBuf {
    match file {
        Ok(file) => file,
        Err(error @ (RootError::NoData(_) | RootError::NoModel { .. })) => unmet(need, error.to_string()),
        #[expect(clippy::panic, reason = "a test is failed by a panic; this one names the mistake")]
        Err(error) => panic!("{error}"),
    }
}

fn unmet(need: &str, reason: String) -> ! {
    let required = environment::required().iter().any(|word| word == need || word == "all");
    // Without the panic hook: a skip is reported by the runner of the body, in one line.
    std::panic::resume_unwind(Box::new(Unmet { reason, required }))
}
