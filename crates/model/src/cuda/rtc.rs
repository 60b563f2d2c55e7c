//! Compiles a kernel unit for one architecture and keeps the result on disk.
//!
//! A unit is a source with its headers, all embedded in this binary; nothing of NVIDIA's is included, so the compiler
//! library is all that is needed. The cache key is a digest of everything the result depends on. Knows no device.
#![expect(unsafe_code, reason = "the compiler library is a C interface")]

use super::ahead;
use super::error::{Error, Result};
use super::table::OPTIONS;
use cudarc::nvrtc::sys::{self, nvrtcResult};
use sha2::{Digest, Sha256};
use std::ffi::{CStr, CString, c_char, c_int};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What nvcc does unasked: a function that says nothing of where it runs runs on the device.
const HERE: &str = "-default-device";

/// What to compile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit<'a> {
    /// File name of the source, for messages.
    pub(crate) name: &'a str,
    /// The source.
    pub(crate) source: &'a str,
    /// Headers by the name they are included under.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// `NAME` or `NAME=VALUE`.
    pub(crate) definitions: &'a [String],
}

/// A compiled unit.
#[derive(Debug)]
pub(crate) struct Image {
    /// The device code.
    pub(crate) cubin: Vec<u8>,
    /// The compiler's log: warnings, registers and spills. Empty when the image came from the cache.
    pub(crate) log: String,
}

/// A compiler for one architecture, with its cache.
#[derive(Debug)]
pub(crate) struct Compiler {
    libraries: Vec<PathBuf>,
    cache: Option<PathBuf>,
    architecture: String,
    version: Option<(c_int, c_int)>,
}

impl Compiler {
    /// A compiler for `architecture` (`sm_90`), caching in `cache` if there is such a folder.
    pub(crate) fn new(libraries: &[PathBuf], cache: Option<PathBuf>, architecture: String) -> Self {
        Self { libraries: libraries.to_vec(), cache, architecture, version: None }
    }

    /// Whether device code can be had: embedded, or from the library.
    pub(crate) fn ready(&mut self) -> Result<()> {
        if self.libraries.is_empty() && ahead::is_for(&self.architecture) {
            Ok(())
        } else {
            self.version().map(drop)
        }
    }

    /// Version of the library, which is opened on the first call.
    pub(crate) fn version(&mut self) -> Result<(i32, i32)> {
        if let Some(version) = self.version {
            return Ok(version);
        }
        super::libs::compiler(&self.libraries)?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the library and this function are there (libs::compiler); both pointers are to live integers.
        check("nvrtcVersion", unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) })?;
        let accepted = supported()?;
        let number = self.architecture.trim_start_matches("sm_").trim_end_matches('a');
        if !accepted.iter().any(|a| a.to_string() == number) {
            return Err(Error::Architecture {
                name: "the device".into(),
                found: self.architecture.clone(),
                accepted: format!("one that this compiler knows ({accepted:?}); a newer toolkit may"),
            });
        }
        self.version = Some((major, minor));
        Ok((major, minor))
    }

    /// The unit's device code: from this binary where it was compiled ahead of time, from the cache, or compiled. Who
    /// names a compiler asks for what it makes.
    pub(crate) fn compile(&mut self, unit: &Unit<'_>) -> Result<Image> {
        if self.libraries.is_empty()
            && let Some(fatbin) = ahead::find(unit, &self.architecture)
        {
            return Ok(Image { cubin: fatbin.to_vec(), log: String::new() });
        }
        let Some(folder) = self.cache.clone() else { return self.compile_anew(unit) };
        let version = self.version()?;
        let path = folder.join(format!("{}.cubin", self.key(unit, version)));
        if let Ok(cubin) = std::fs::read(&path) {
            return Ok(Image { cubin, log: String::new() });
        }
        let image = self.compile_anew(unit)?;
        store(&folder, &path, &image.cubin)
            .map_err(|source| Error::Cache { path: path.display().to_string(), source })?;
        Ok(image)
    }

    /// Everything the device code depends on, each part preceded by its length.
    fn key(&self, unit: &Unit<'_>, version: (i32, i32)) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(format!("nvrtc {}.{}", version.0, version.1).as_bytes());
        part(self.architecture.as_bytes());
        part(unit.name.as_bytes());
        part(unit.source.as_bytes());
        for (name, text) in unit.headers {
            part(name.as_bytes());
            part(text.as_bytes());
        }
        for option in OPTIONS.iter().chain([&HERE]) {
            part(option.as_bytes());
        }
        for definition in unit.definitions {
            part(definition.as_bytes());
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The unit's device code with the assembler's report, compiled now.
    pub(super) fn compile_anew(&mut self, unit: &Unit<'_>) -> Result<Image> {
        self.version()?;
        let source = text(unit.source)?;
        let name = text(unit.name)?;
        let include_names = unit.headers.iter().map(|(n, _)| text(n)).collect::<Result<Vec<_>>>()?;
        let include_texts = unit.headers.iter().map(|(_, t)| text(t)).collect::<Result<Vec<_>>>()?;
        let name_pointers: Vec<*const c_char> = include_names.iter().map(|c| c.as_ptr()).collect();
        let text_pointers: Vec<*const c_char> = include_texts.iter().map(|c| c.as_ptr()).collect();
        let mut options = vec![text(&format!("--gpu-architecture={}", self.architecture))?];
        options.push(text("--ptxas-options=-v")?);
        for option in OPTIONS.iter().chain([&HERE]) {
            options.push(text(option)?);
        }
        for definition in unit.definitions {
            options.push(text(&format!("-D{definition}"))?);
        }
        let option_pointers: Vec<*const c_char> = options.iter().map(|c| c.as_ptr()).collect();

        let mut handle = std::ptr::null_mut();
        // SAFETY: all strings end in NUL and outlive the call; both lists have the length that is passed.
        check("nvrtcCreateProgram", unsafe {
            sys::nvrtcCreateProgram(
                &raw mut handle,
                source.as_ptr(),
                name.as_ptr(),
                count(name_pointers.len()),
                text_pointers.as_ptr(),
                name_pointers.as_ptr(),
            )
        })?;
        let program = Program(handle);
        // SAFETY: the program is live; the list has the length that is passed, of NUL-ended strings that outlive the call.
        let code = unsafe {
            sys::nvrtcCompileProgram(program.0, count(option_pointers.len()), option_pointers.as_ptr())
        };
        let log = program.log();
        match code {
            nvrtcResult::NVRTC_SUCCESS => {}
            nvrtcResult::NVRTC_ERROR_COMPILATION => {
                return Err(Error::Source {
                    unit: [&[unit.name.to_owned()], unit.definitions].concat().join(" "),
                    architecture: self.architecture.clone(),
                    log,
                });
            }
            code => {
                let words = describe(code);
                let first = log.lines().next().unwrap_or_default();
                return Err(Error::Compiler {
                    call: "nvrtcCompileProgram",
                    message: format!("{words} {first}").trim_end().to_owned(),
                });
            }
        }
        Ok(Image { cubin: program.cubin()?, log })
    }
}

/// Architectures the library compiles for, as `90` for `sm_90`.
fn supported() -> Result<Vec<c_int>> {
    let mut n = 0;
    // SAFETY: the library and this function are there; the pointer is to a live integer.
    check("nvrtcGetNumSupportedArchs", unsafe { sys::nvrtcGetNumSupportedArchs(&raw mut n) })?;
    let mut list = vec![0; usize::try_from(n).unwrap_or(0)];
    // SAFETY: the list has the length the library just told.
    check("nvrtcGetSupportedArchs", unsafe { sys::nvrtcGetSupportedArchs(list.as_mut_ptr()) })?;
    Ok(list)
}

/// Writes under a temporary name and renames, so that a reader sees a whole file or none and writers cannot mix.
fn store(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

struct Program(sys::nvrtcProgram);

impl Program {
    /// What the compiler said; nothing where it cannot be read.
    fn log(&self) -> String {
        self.read_log().unwrap_or_default()
    }

    fn read_log(&self) -> Result<String> {
        let mut size = 0;
        // SAFETY: the program is live; the pointer is to a live integer.
        check("nvrtcGetProgramLogSize", unsafe { sys::nvrtcGetProgramLogSize(self.0, &raw mut size) })?;
        let mut bytes = vec![0u8; size];
        // SAFETY: the buffer has the size the library just told.
        check("nvrtcGetProgramLog", unsafe { sys::nvrtcGetProgramLog(self.0, bytes.as_mut_ptr().cast()) })?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').trim_end().to_owned())
    }

    fn cubin(&self) -> Result<Vec<u8>> {
        let mut size = 0;
        // SAFETY: the program is live and compiled; the pointer is to a live integer.
        check("nvrtcGetCUBINSize", unsafe { sys::nvrtcGetCUBINSize(self.0, &raw mut size) })?;
        let mut bytes = vec![0u8; size];
        // SAFETY: the buffer has the size the library just told.
        check("nvrtcGetCUBIN", unsafe { sys::nvrtcGetCUBIN(self.0, bytes.as_mut_ptr().cast()) })?;
        Ok(bytes)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the handle came from nvrtcCreateProgram and is destroyed once.
        unsafe { sys::nvrtcDestroyProgram(&raw mut self.0) };
    }
}

fn check(call: &'static str, code: nvrtcResult) -> Result<()> {
    match code {
        nvrtcResult::NVRTC_SUCCESS => Ok(()),
        code => Err(Error::Compiler { call, message: describe(code) }),
    }
}

fn describe(code: nvrtcResult) -> String {
    // SAFETY: the library answers every code with a static string.
    unsafe { CStr::from_ptr(sys::nvrtcGetErrorString(code)) }.to_string_lossy().into_owned()
}

fn text(s: &str) -> Result<CString> {
    CString::new(s)
        .map_err(|_| Error::Compiler { call: "nvrtcCreateProgram", message: "a NUL in the source".into() })
}

/// Lists here are a handful long.
fn count(n: usize) -> c_int {
    c_int::try_from(n).unwrap_or(c_int::MAX)
}
