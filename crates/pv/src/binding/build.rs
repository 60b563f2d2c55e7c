//! What cargo builds: the test executables of the workspace under the profiles of pv.toml. Profiles that build
//! the same way share one build. It knows cargo's messages and manifests, and nothing of contracts.

use contract::binding::Target;
use contract::settings::{Profile, Settings};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What cargo is asked to build, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The cargo profile.
    pub cargo_profile: String,
    /// The features.
    pub features: BTreeSet<String>,
    /// The packages; all when empty.
    pub packages: BTreeSet<String>,
    /// The profiles of pv.toml that are built so.
    pub profiles: BTreeSet<String>,
}

/// With or without the planted faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavour {
    /// As `cargo test` builds.
    #[default]
    Plain,
    /// With `--cfg pv_faults` for every crate, in a target folder of its own.
    Faults,
}

/// The flag that compiles planted faults in.
const FAULTS: [&str; 2] = ["--cfg", "pv_faults"];

impl Flavour {
    /// Where what is known of the build is kept, and where a build with faults has its target folder, relative to
    /// the root.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Plain => "target/pv",
            Self::Faults => "target/pv/faults",
        }
    }

    /// Cargo takes flags from one place only: a variable, if it is set, wins over its configuration.
    fn apply(self, command: &mut Command, root: &Path) {
        if self == Self::Plain {
            return;
        }
        command.arg("--target-dir").arg(root.join(self.folder()));
        let set = |name: &str| std::env::var_os(name).filter(|flags| !flags.is_empty());
        let with = |mut flags: OsString, between: &str| {
            for flag in FAULTS {
                flags.push(between);
                flags.push(flag);
            }
            flags
        };
        if let Some(flags) = set("CARGO_ENCODED_RUSTFLAGS") {
            command.env("CARGO_ENCODED_RUSTFLAGS", with(flags, "\u{1f}"));
        } else if let Some(flags) = set("RUSTFLAGS") {
            command.env("RUSTFLAGS", with(flags, " "));
        } else {
            let [flag, value] = FAULTS;
            command.arg("--config").arg(format!("build.rustflags=[\"{flag}\",\"{value}\"]"));
        }
    }
}

/// What a build gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// The test executables that were built.
    pub artifacts: Vec<Artifact>,
    /// The workspace packages that cargo named.
    pub packages: BTreeSet<String>,
    /// Folders of native libraries that cargo gives to the tests.
    pub libraries: Vec<PathBuf>,
    /// Whether everything could be built; the executables of what could not are missing above.
    pub complete: bool,
}

/// One test executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The package.
    pub package: String,
    /// The folder of its manifest, where cargo runs its tests.
    pub folder: PathBuf,
    /// The target.
    pub target: Target,
    /// The name of its crate, with which `module_path!()` starts.
    pub crate_name: String,
    /// The target's root source file.
    pub source: PathBuf,
    /// The executable.
    pub executable: PathBuf,
    /// Whether libtest drives it; `harness = false` otherwise.
    pub libtest: bool,
}

/// Why nothing could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Cargo's messages are no JSON of the known form.
    #[error("reading the messages of cargo: {0}")]
    Messages(#[from] serde_json::Error),
    /// A manifest could not be read.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The builds that the profiles ask for, each once, in the order of the profiles' names.
#[must_use]
pub fn plans(settings: &Settings) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for profile in settings.profiles.values() {
        let Profile { name, cargo_profile, features, packages, .. } = profile;
        let features: BTreeSet<_> = features.iter().cloned().collect();
        let packages: BTreeSet<_> = packages.iter().cloned().collect();
        let same = plans.iter_mut().find(|plan| {
            plan.cargo_profile == *cargo_profile && plan.features == features && plan.packages == packages
        });
        match same {
            Some(plan) => {
                plan.profiles.insert(name.clone());
            }
            None => plans.push(Plan {
                cargo_profile: cargo_profile.clone(),
                features,
                packages,
                profiles: BTreeSet::from([name.clone()]),
            }),
        }
    }
    plans
}

/// Variables that `cargo run` sets for us and that would make cargo's own builds differ from a plain call.
const INHERITED: &[&str] = &[
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_HOMEPAGE",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_LICENSE",
    "CARGO_PKG_LICENSE_FILE",
    "CARGO_PKG_RUST_VERSION",
    "CARGO_PKG_README",
    "OUT_DIR",
];

/// A call of cargo in the root, with the environment that a shell would give it.
#[must_use]
pub fn cargo_command(cargo: &Path, root: &Path) -> Command {
    let mut command = Command::new(cargo);
    command.current_dir(root).stdin(Stdio::null());
    clean(&mut command);
    command
}

/// Takes away what `cargo run` sets for us alone.
pub fn clean(command: &mut Command) {
    for name in INHERITED {
        command.env_remove(name);
    }
}

/// The words that select what a plan builds.
fn selection(plan: &Plan) -> Vec<String> {
    let mut words = vec!["--profile".to_owned(), plan.cargo_profile.clone()];
    if plan.packages.is_empty() {
        words.push("--workspace".to_owned());
    }
    for package in &plan.packages {
        words.extend(["-p".to_owned(), package.clone()]);
    }
    if !plan.features.is_empty() {
        let features: Vec<_> = plan.features.iter().map(String::as_str).collect();
        words.extend(["--features".to_owned(), features.join(",")]);
    }
    words
}

/// Build a plan's tests. Cargo's progress and its errors go to the standard error as they come.
///
/// When something does not compile, the rest is still built, so that one broken target hides no other.
///
/// # Errors
/// When cargo cannot be started, or says something unreadable. A failing build is no error but an incomplete
/// [`Built`].
pub fn build(cargo: &Path, root: &Path, plan: &Plan, flavour: Flavour) -> Result<Built, BuildError> {
    let ask = |words: &[&str]| {
        let mut command = cargo_command(cargo, root);
        command.args(words).args(selection(plan)).arg("--message-format=json-render-diagnostics");
        flavour.apply(&mut command, root);
        command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| BuildError::Start { program: cargo.to_owned(), source })
    };
    let first = ask(&["test", "--no-run"])?;
    if first.status.success() {
        return Ok(Built { complete: true, ..read(&first.stdout)? });
    }
    // `cargo test` stops at the first target that fails and has no way to go on; `cargo build` has, and makes
    // the same executables.
    let second = ask(&["build", "--tests", "--keep-going", "--quiet"])?;
    read(&second.stdout)
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact(CompilerArtifact),
    BuildScriptExecuted {
        linked_paths: Vec<String>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct CompilerArtifact {
    package_id: String,
    manifest_path: PathBuf,
    target: ArtifactTarget,
    profile: ArtifactProfile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    kind: Vec<String>,
    name: String,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct ArtifactProfile {
    test: bool,
}

/// Read cargo's messages, one JSON text per line.
fn read(stdout: &[u8]) -> Result<Built, BuildError> {
    let mut built = Built::default();
    let mut manifests = BTreeMap::new();
    for line in stdout.split(|b| *b == b'\n').filter(|line| line.starts_with(b"{")) {
        match serde_json::from_slice(line)? {
            Message::CompilerArtifact(artifact) if artifact.package_id.starts_with("path+") => {
                let manifest = match manifests.get(&artifact.manifest_path) {
                    Some(manifest) => manifest,
                    None => {
                        let manifest = Manifest::read(&artifact.manifest_path)?;
                        manifests.entry(artifact.manifest_path.clone()).or_insert(manifest)
                    }
                };
                built.packages.insert(manifest.package.clone());
                built.artifacts.extend(test_executable(artifact, manifest));
            }
            Message::BuildScriptExecuted { linked_paths } => {
                // `native=/path`, `framework=/path` or a bare path.
                let folder = |path: &String| match path.split_once('=') {
                    Some((_, path)) => PathBuf::from(path),
                    None => PathBuf::from(path),
                };
                built.libraries.extend(linked_paths.iter().map(folder));
            }
            Message::CompilerArtifact(_) | Message::Other => {}
        }
    }
    built.artifacts.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
    Ok(built)
}

/// The artifact as a bindable test executable; benches and examples are none.
fn test_executable(artifact: CompilerArtifact, manifest: &Manifest) -> Option<Artifact> {
    let executable = artifact.executable.filter(|_| artifact.profile.test)?;
    let ArtifactTarget { kind, name, src_path } = artifact.target;
    let crate_name = name.replace('-', "_");
    let target = match kind.first().map(String::as_str)? {
        "test" => Target::Test(name),
        "bin" => Target::Bin(name),
        "lib" | "rlib" | "dylib" | "cdylib" | "staticlib" | "proc-macro" => Target::Lib,
        _ => return None,
    };
    Some(Artifact {
        package: manifest.package.clone(),
        folder: artifact.manifest_path.parent()?.to_owned(),
        libtest: !manifest.without_harness.contains(&target),
        target,
        crate_name,
        source: src_path,
        executable,
    })
}

/// What cargo's messages leave out: the package's plain name, and the targets with `harness = false`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Manifest {
    package: String,
    without_harness: BTreeSet<Target>,
}

impl Manifest {
    fn read(path: &Path) -> Result<Self, BuildError> {
        let fail = |reason: String| BuildError::Manifest { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        Self::parse(&text).map_err(fail)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.message().to_owned())?;
        let package = table
            .get("package")
            .and_then(|package| package.get("name")?.as_str())
            .ok_or("it has no package.name")?
            .to_owned();
        let off = |target: &toml::Value| target.get("harness").and_then(toml::Value::as_bool) == Some(false);
        let mut without_harness = BTreeSet::new();
        if table.get("lib").is_some_and(off) {
            without_harness.insert(Target::Lib);
        }
        let named = |key: &str| {
            let targets = table.get(key).and_then(toml::Value::as_array).into_iter().flatten();
            targets.filter(|t| off(t)).filter_map(|t| Some(t.get("name")?.as_str()?.to_owned()))
        };
        without_harness.extend(named("test").map(Target::Test));
        without_harness.extend(named("bin").map(Target::Bin));
        Ok(Self { package, without_harness })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_that_build_alike_share_a_build() {
        let settings = Settings::parse(
            "pv = \"0.1\"\nhost.cpu.match = {}\n[profile]\na = { host = \"cpu\", features = [\"x\", \"y\"] }\n\
             b = { host = \"cpu\", features = [\"y\", \"x\"], models = [] }\nc = { host = \"cpu\" }\n",
        )
        .expect("the settings are right");
        let plans = plans(&settings);
        let profiles: Vec<Vec<_>> = plans.iter().map(|p| p.profiles.iter().collect()).collect();
        assert_eq!(profiles, [vec!["a", "b"], vec!["c"]]);
        assert_eq!(selection(&plans[0]), ["--profile", "test", "--workspace", "--features", "x,y"]);
    }

    #[test]
    fn manifests_say_which_targets_libtest_does_not_drive() {
        let manifest = Manifest::parse(
            "[package]\nname = \"a-b\"\n[lib]\nharness = false\n[[test]]\nname = \"x\"\nharness = false\n\
             [[test]]\nname = \"y\"\n[[bin]]\nname = \"z\"\nharness = false\n",
        )
        .expect("the manifest is right");
        assert_eq!(manifest.package, "a-b");
        let off: Vec<_> = manifest.without_harness.iter().map(ToString::to_string).collect();
        assert_eq!(off, ["lib", "bin:z", "test:x"]);
        assert!(Manifest::parse("[workspace]").is_err());
    }

    #[test]
    fn what_is_no_test_executable_is_left_out() {
        let built = read(b"{\"reason\":\"build-finished\",\"success\":true}\nnoise\n").expect("messages");
        assert_eq!(built, Built::default());
        assert!(read(b"{\"reason\":").is_err());
    }
}
