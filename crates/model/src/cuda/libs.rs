//! Opens the CUDA libraries before cudarc looks for them, and asks for every symbol that will be called.
//!
//! cudarc panics when a library or a symbol is missing; after this module has said yes, neither is. It opens a library by
//! its path and leaves it open: the loader answers cudarc's later request for the same soname with that copy, so no
//! search path has to be set. Knows no kernel and no device.
#![expect(unsafe_code, reason = "opening a shared library runs its initialisers")]

use super::error::{Error, Result};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The driver's functions that this crate calls, under the names cudarc asks for.
pub(super) const DRIVER_SYMBOLS: &[&str] = &[
    "cuCtxSetCurrent",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuDriverGetVersion",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime_v2",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuFuncGetAttribute",
    "cuFuncSetAttribute",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuInit",
    "cuLaunchKernelEx",
    "cuMemAlloc_v2",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemcpy2DAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamSynchronize",
];

/// The run-time compiler's functions that this crate calls.
pub(super) const COMPILER_SYMBOLS: &[&str] = &[
    "nvrtcCompileProgram",
    "nvrtcCreateProgram",
    "nvrtcDestroyProgram",
    "nvrtcGetCUBIN",
    "nvrtcGetCUBINSize",
    "nvrtcGetErrorString",
    "nvrtcGetNumSupportedArchs",
    "nvrtcGetProgramLog",
    "nvrtcGetProgramLogSize",
    "nvrtcGetSupportedArchs",
    "nvrtcVersion",
];

const DRIVER_NAMES: &[&str] = &["libcuda.so.1"];
const COMPILER_NAMES: &[&str] = &["libnvrtc.so.13"];

/// Where toolkits and drivers put their libraries when the loader does not know them.
const USUAL_FOLDERS: &[&str] = &[
    "/usr/local/cuda/lib64",
    "/usr/local/cuda/targets/x86_64-linux/lib",
    "/usr/local/cuda-13/lib64",
    "/usr/local/cuda-13.0/lib64",
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib/wsl/lib",
    "/opt/cuda/lib64",
];

/// A library that is open for the life of the process.
struct Opened {
    library: Library,
    /// Its path, or the bare name under which the loader found it.
    path: PathBuf,
}

/// Opens the driver library, in `folders` first. The first call decides for the whole process.
///
/// # Errors
/// When it is missing, lacks a function, or another copy than one in `folders` is in use.
pub(crate) fn driver(folders: &[PathBuf]) -> Result<&'static Path> {
    static DRIVER: OnceLock<Opened> = OnceLock::new();
    once(&DRIVER, "libcuda", folders, DRIVER_SYMBOLS, || {
        open(DRIVER_NAMES, folders).map_err(|(searched, reason)| Error::NoDriver { searched, reason })
    })
}

/// Opens the run-time compiler, in `folders` first. The first call decides for the whole process.
///
/// # Errors
/// As [`driver`].
pub(crate) fn compiler(folders: &[PathBuf]) -> Result<&'static Path> {
    static COMPILER: OnceLock<Opened> = OnceLock::new();
    once(&COMPILER, "libnvrtc", folders, COMPILER_SYMBOLS, || {
        let opened = open(COMPILER_NAMES, folders)
            .map_err(|(searched, reason)| Error::NoCompiler { searched, reason })?;
        open_builtins(&opened.path);
        Ok(opened)
    })
}

fn once(
    cell: &'static OnceLock<Opened>,
    library: &'static str,
    folders: &[PathBuf],
    symbols: &[&str],
    open: impl FnOnce() -> Result<Opened>,
) -> Result<&'static Path> {
    if cell.get().is_none() {
        let opened = open()?;
        let missing: Vec<&str> = symbols.iter().copied().filter(|s| !has(&opened.library, s)).collect();
        if !missing.is_empty() {
            return Err(Error::MissingSymbols {
                library: opened.path.display().to_string(),
                missing: missing.join(", "),
            });
        }
        // A second thread may have been first; both opened the same copy.
        let _ = cell.set(opened);
    }
    let Some(opened) = cell.get() else {
        return Err(Error::NoDriver { searched: String::new(), reason: "not opened".into() });
    };
    let asked = folders.iter().find(|f| opened.path.file_name().is_some_and(|n| f.join(n).is_file()));
    if let Some(folder) = asked
        && opened.path.parent() != Some(folder)
    {
        return Err(Error::OtherLibrary { library, wanted: folder.display().to_string() });
    }
    Ok(&opened.path)
}

/// Opens the first of `names`: in the given folders, by the loader's own search, then in the usual folders.
fn open(names: &[&str], folders: &[PathBuf]) -> std::result::Result<Opened, (String, String)> {
    let mut reason = String::from("no such file");
    let usual = USUAL_FOLDERS.iter().map(PathBuf::from);
    let places = folders.iter().cloned().chain([PathBuf::new()]).chain(usual);
    for place in places {
        for name in names {
            let path = place.join(name);
            let bare = place.as_os_str().is_empty();
            if !bare && !path.is_file() {
                continue;
            }
            // SAFETY: the initialisers of NVIDIA's libraries (and of their stand-ins) have no preconditions.
            match unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) } {
                Ok(library) => return Ok(Opened { library, path }),
                Err(error) => reason = words(&error),
            }
        }
    }
    let mut searched: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    searched.push("the loader's search path".into());
    searched.push("the usual folders".into());
    Err((searched.join(", "), reason))
}

/// libnvrtc opens its builtins by bare name, which fails outside the loader's search path unless they are open already.
fn open_builtins(compiler: &Path) {
    let Some(folder) = compiler.parent().filter(|f| !f.as_os_str().is_empty()) else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("libnvrtc-builtins.so")))
        .collect();
    found.sort();
    if let Some(path) = found.pop() {
        // SAFETY: as in `open`. A failure here shows as the compiler's own error with its reason.
        if let Ok(library) = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) } {
            std::mem::forget(library);
        }
    }
}

fn has(library: &Library, symbol: &str) -> bool {
    // SAFETY: the address is looked up and dropped, never called.
    unsafe { library.get::<*const ()>(symbol.as_bytes()) }.is_ok()
}

/// libloading's own text says only that dlopen failed; the loader's words are its source.
fn words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
