//! The variables by which a runner speaks to a test process. They are read here and nowhere else.

use std::ffi::OsString;
use std::path::PathBuf;

/// A variable that is set to something.
fn read(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    read(name).and_then(|value| value.into_string().ok())
}

/// `PV_EVIDENCE_DIR`: where the recorder writes. Without it nothing is written.
pub(crate) fn evidence_dir() -> Option<PathBuf> {
    read("PV_EVIDENCE_DIR").map(PathBuf::from)
}

/// `PV_ROOT`: the folder that holds pv.toml, where walking up does not find it.
pub(crate) fn root() -> Option<PathBuf> {
    read("PV_ROOT").map(PathBuf::from)
}

/// `PV_REQUIRE`: needs that must be met, `cuda,model`, or `all`. An unmet one fails instead of being skipped.
pub(crate) fn required() -> Vec<String> {
    let list = text("PV_REQUIRE").unwrap_or_default();
    list.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// `PV_GPU`: the accelerator as the runner found it, `NAME;DRIVER;BYTES`, or `none`. Without it the process looks
/// for itself.
pub(crate) fn gpu() -> Option<String> {
    text("PV_GPU")
}

/// `CUDA_VISIBLE_DEVICES`, which hides every device when it is set to nothing.
pub(crate) fn hides_devices() -> bool {
    std::env::var_os("CUDA_VISIBLE_DEVICES").is_some_and(|value| value.is_empty() || value == "-1")
}
