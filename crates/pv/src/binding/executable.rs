//! One test executable: its digest, the markers in its bytes, and the tests it lists. It is never started when
//! libtest does not drive it, and one that cannot start here is still read.

use super::build::Artifact;
use crate::stamp::Stamp;
use contract::binding::Target;
use contract::evidence::sha256_hex;
use contract::marker::{self, Marker};
use fault::fault;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long an executable may take to list its tests; a second covers thousands.
const PATIENCE: Duration = Duration::from_secs(30);

/// A test executable and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executable {
    /// The package.
    pub package: String,
    /// The target.
    pub target: Target,
    /// The name of its crate; the markers of other crates linked into it start otherwise.
    pub crate_name: String,
    /// The target's root source file.
    pub source: PathBuf,
    /// Where cargo runs it.
    pub folder: PathBuf,
    /// The file.
    pub path: PathBuf,
    /// Size and time of the file when it was read.
    pub stamp: Stamp,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// The tests it lists.
    pub listing: Listing,
    /// The falsifier attributes compiled into it.
    pub markers: Vec<Marker>,
}

/// The tests of an executable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// As `--list` gave them.
    Listed(Vec<Listed>),
    /// It cannot be asked here.
    Unlistable(String),
}

/// One listed test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listed {
    /// Its path.
    pub path: String,
    /// It carries `#[ignore]`.
    pub ignored: bool,
}

impl Executable {
    /// Read an executable, reusing what an earlier reading of the same bytes found.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(artifact: Artifact, libraries: &[PathBuf], earlier: Option<&Self>) -> io::Result<Self> {
        let Artifact { package, folder, target, crate_name, source, executable: path, libtest } = artifact;
        let stamp = Stamp::of(&path)?;
        let known = earlier.filter(|known| known.path == path);
        if let Some(known) = known
            && known.stamp == stamp
        {
            return Ok(Self { package, target, crate_name, source, folder, ..known.clone() });
        }
        let bytes = std::fs::read(&path)?;
        let digest = sha256_hex(&bytes);
        if let Some(known) = known
            && known.digest == digest
        {
            return Ok(Self { package, target, crate_name, source, folder, stamp, ..known.clone() });
        }
        let own = |marker: &Marker| marker.module.split("::").next() == Some(crate_name.as_str());
        let mut markers = marker::scan(&bytes);
        markers.retain(own);
        drop(bytes);
        let listing = if libtest || fault!("binding-starts-every-executable") {
            list(&path, &folder, libraries)
        } else {
            Listing::Unlistable("harness = false: it would run instead of listing its tests".to_owned())
        };
        Ok(Self { package, target, crate_name, source, folder, path, stamp, digest, listing, markers })
    }
}

/// Ask an executable for its tests, twice: all of them, and the ignored ones.
fn list(path: &Path, folder: &Path, libraries: &[PathBuf]) -> Listing {
    let first = listed(path, folder, &[], None);
    let (all, environment) = match first {
        Ok(all) => (all, None),
        // Crates that prefer dynamic linking, proc macros above all, need the paths that cargo would set.
        Err(_) => {
            let environment = library_path(path, libraries);
            match listed(path, folder, &[], environment.as_ref()) {
                Ok(all) => (all, environment),
                Err(reason) => return Listing::Unlistable(reason),
            }
        }
    };
    match listed(path, folder, &["--ignored"], environment.as_ref()) {
        Ok(ignored) => {
            let test = |path: String| Listed { ignored: ignored.binary_search(&path).is_ok(), path };
            Listing::Listed(all.into_iter().map(test).collect())
        }
        Err(reason) => Listing::Unlistable(reason),
    }
}

/// The variable by which the system finds shared libraries, and the folders that cargo puts there.
pub(crate) fn library_path(executable: &Path, libraries: &[PathBuf]) -> Option<(&'static str, OsString)> {
    let name = match std::env::consts::OS {
        "windows" => "PATH",
        "macos" => "DYLD_FALLBACK_LIBRARY_PATH",
        _ => "LD_LIBRARY_PATH",
    };
    let mut folders: Vec<PathBuf> = executable.ancestors().skip(1).take(2).map(Path::to_owned).collect();
    folders.extend(libraries.iter().cloned());
    let sysroot = Command::new("rustc").args(["--print", "target-libdir"]).output().ok()?;
    folders.push(PathBuf::from(String::from_utf8(sysroot.stdout).ok()?.trim()));
    let inherited = std::env::var_os(name).unwrap_or_default();
    folders.extend(std::env::split_paths(&inherited));
    Some((name, std::env::join_paths(folders).ok()?))
}

/// The test paths that one call lists, sorted.
fn listed(
    path: &Path,
    folder: &Path,
    extra: &[&str],
    environment: Option<&(&'static str, OsString)>,
) -> Result<Vec<String>, String> {
    let mut command = Command::new(path);
    command.args(["--list", "--format", "terse"]).args(extra).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some((name, value)) = environment {
        command.env(name, value);
    }
    let mut child = command.spawn().map_err(|e| format!("it does not start: {e}"))?;
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("its output cannot be read".to_owned());
    };
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let result = stdout.read_to_string(&mut text).map(|_| text);
        // The receiver may have lost patience.
        let _ = send.send(result);
    });
    let said = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
    });
    let output = receive.recv_timeout(PATIENCE);
    if output.is_err() {
        // Whether or not it is still there to be ended, it is waited for below.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| format!("it cannot be waited for: {e}"))?;
    let text = match output {
        Err(_) => return Err(format!("it did not list its tests within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => return Err(format!("its list is unreadable: {error}")),
        Ok(Ok(text)) => text,
    };
    if !status.success() {
        let said = said.join().unwrap_or_default();
        return Err(format!("--list ended with {status}{}{said}", if said.is_empty() { "" } else { ": " }));
    }
    let mut paths = Vec::new();
    for line in text.lines() {
        match line.rsplit_once(": ") {
            Some((path, "test")) => paths.push(path.to_owned()),
            Some((_, "benchmark")) => {}
            _ => return Err(format!("`{line}` in its list names no test")),
        }
    }
    paths.sort();
    Ok(paths)
}
