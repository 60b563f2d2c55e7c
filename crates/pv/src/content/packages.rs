//! The packages of a workspace, their targets, and which of them depend on which, as cargo reads the manifests.

use super::Files;
use crate::binding::build::cargo_command;
use contract::binding::Target;
use contract::evidence::sha256_hex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where cargo's answer is kept, relative to the root.
const CACHE: &str = "target/pv/packages.json";

/// The packages of a workspace by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    packages: BTreeMap<String, Package>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its folder, relative to the root; empty when it is the root.
    pub folder: String,
    /// The root source file of each target, relative to the root.
    pub targets: BTreeMap<Target, String>,
    /// The packages of the workspace that it is built from.
    pub uses: BTreeSet<String>,
    /// Those that its tests use beside them.
    pub tests_use: BTreeSet<String>,
}

/// Why the workspace is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// Cargo could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Cargo refused the manifests.
    #[error("cargo metadata: {0}")]
    Refused(String),
    /// Cargo's answer has another form.
    #[error("reading cargo metadata: {0}")]
    Form(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Cached {
    pv: String,
    manifests: String,
    packages: Packages,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<MetadataTarget>,
    dependencies: Vec<MetadataDependency>,
}

#[derive(Deserialize)]
struct MetadataTarget {
    kind: Vec<String>,
    name: String,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

impl Packages {
    /// The workspace of the files. Cargo is asked again only when a manifest or the set of sources has changed.
    ///
    /// # Errors
    /// When cargo cannot be started, refuses the manifests, or answers in another form.
    pub fn of(cargo: &Path, files: &Files) -> Result<Self, PackagesError> {
        let manifests = manifests(files);
        let path = files.root().join(CACHE);
        let cached =
            std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Cached>(&bytes).ok());
        let pv = env!("CARGO_PKG_VERSION").to_owned();
        if let Some(cached) = cached
            && cached.pv == pv
            && cached.manifests == manifests
        {
            return Ok(cached.packages);
        }
        if !files.holds("Cargo.toml") {
            return Ok(Self::default());
        }
        let output = cargo_command(cargo, files.root())
            .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .output()
            .map_err(|source| PackagesError::Start { program: cargo.to_owned(), source })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(PackagesError::Refused(said.lines().next().unwrap_or_default().to_owned()));
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
        let packages = Self::read(metadata, files.root());
        let cached = Cached { pv, manifests, packages: packages.clone() };
        // A cache that cannot be written costs time and nothing else.
        if let Ok(bytes) = serde_json::to_vec(&cached) {
            let _ = crate::atomic::write(&path, &bytes);
        }
        Ok(packages)
    }

    fn read(metadata: Metadata, root: &Path) -> Self {
        // Cargo names files by their real path.
        let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let relative = |path: &Path| {
            let below = path.strip_prefix(&real).or_else(|_| path.strip_prefix(root)).unwrap_or(path);
            below.to_string_lossy().replace('\\', "/")
        };
        let names: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.clone()).collect();
        let package = |package: MetadataPackage| {
            let local = |wanted: fn(Option<&str>) -> bool| {
                let chosen = package.dependencies.iter().filter(|dependency| {
                    dependency.path.is_some()
                        && names.contains(&dependency.name)
                        && wanted(dependency.kind.as_deref())
                });
                chosen.map(|dependency| dependency.name.clone()).collect()
            };
            let (uses, tests_use) = (local(|kind| kind != Some("dev")), local(|kind| kind == Some("dev")));
            let folder = relative(package.manifest_path.parent().unwrap_or(root));
            let targets = package.targets.into_iter().filter_map(|target| {
                let path = relative(&target.src_path);
                let kind = target.kind.first().map(String::as_str)?;
                let target = match kind {
                    "test" => Target::Test(target.name),
                    "bin" => Target::Bin(target.name),
                    "lib" | "rlib" | "dylib" | "cdylib" | "staticlib" | "proc-macro" => Target::Lib,
                    _ => return None,
                };
                Some((target, path))
            });
            (package.name, Package { folder, targets: targets.collect(), uses, tests_use })
        };
        Self { packages: metadata.packages.into_iter().map(package).collect() }
    }

    /// A package by name.
    #[must_use]
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.get(name)
    }

    /// Every package with its name.
    pub fn packages(&self) -> impl Iterator<Item = (&str, &Package)> {
        self.packages.iter().map(|(name, package)| (name.as_str(), package))
    }

    /// The packages that tests of these packages are built from, themselves included.
    #[must_use]
    pub fn closure(&self, packages: &BTreeSet<String>) -> BTreeSet<String> {
        let mut closure = BTreeSet::new();
        let tested = packages.iter().filter_map(|name| self.packages.get(name));
        let mut pending: Vec<&String> =
            packages.iter().chain(tested.flat_map(|package| &package.tests_use)).collect();
        while let Some(name) = pending.pop() {
            if let Some(package) = self.packages.get(name)
                && closure.insert(name.clone())
            {
                pending.extend(&package.uses);
            }
        }
        closure
    }
}

/// The digest of everything that decides cargo's answer: the manifests, and which source files there are.
fn manifests(files: &Files) -> String {
    let mut text = String::new();
    for path in files.paths() {
        if path.ends_with("Cargo.toml") {
            let content = files.text(path).unwrap_or_default();
            text.push_str(&format!("{path} {}\n", sha256_hex(content.as_bytes())));
        } else if path.ends_with(".rs") {
            text.push_str(path);
            text.push('\n');
        }
    }
    sha256_hex(text.as_bytes())
}

/// The compiler that the tree pins: the channel of rust-toolchain.toml.
pub(super) fn pinned_toolchain(files: &Files) -> Option<String> {
    let name = ["rust-toolchain.toml", "rust-toolchain"].into_iter().find(|name| files.holds(name))?;
    let text = files.text(name).ok()?;
    let table: Option<toml::Table> = text.parse().ok();
    match table.and_then(|table| Some(table.get("toolchain")?.get("channel")?.as_str()?.to_owned())) {
        Some(channel) => Some(channel),
        // The older form is the channel alone.
        None => text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()),
    }
}
