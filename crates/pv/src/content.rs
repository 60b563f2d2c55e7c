//! What the checked-out tree holds for each falsifier, axis by axis: the digests that evidence is compared with.
//!
//! Everything is read from files: sources, data, manifests, the lock file, pv.toml. Nothing is compiled, and the
//! machine that asks plays no part. Rust sources count by their tokens, so comments and formatting change nothing.

mod files;
mod lock;
mod packages;
mod subjects;

pub use files::{Files, FilesError};
pub use packages::{Package, Packages, PackagesError};
pub use subjects::SubjectError;

use contract::binding::{Target, TestBinding};
use contract::evidence::sha256_hex;
use contract::hash::{self, HashError};
use contract::need::Need;
use contract::schema::{Axis, Falsifier};
use contract::settings::Settings;
use contract::status::facts::Current;
use fault::fault;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What the tree holds for one falsifier, and why some of it has no digest.
#[derive(Debug)]
pub struct Held {
    /// The digests.
    pub current: Current,
    /// Why an axis has none.
    pub missing: Vec<(Axis, AxisError)>,
}

/// Why an axis has no digest.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AxisError {
    /// The falsifier has no hash.
    #[error("{0}")]
    Hash(String),
    /// A subject names nothing.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A package or target that the workspace does not have.
    #[error("the workspace has no {what} `{name}`")]
    Missing {
        /// `package` or `target`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Cargo.lock is none.
    #[error("Cargo.lock: {0}")]
    Lock(String),
}

impl From<HashError> for AxisError {
    fn from(error: HashError) -> Self {
        Self::Hash(error.to_string())
    }
}

/// Why the content of a tree cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The workspace is none.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The files cannot be listed.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// The content of a tree.
#[derive(Debug)]
pub struct Content<'s> {
    settings: &'s Settings,
    files: Files,
    packages: Packages,
    toolchain: Option<String>,
    // What several falsifiers share is computed once.
    targets: BTreeMap<(String, Target), Result<Arc<Sources>, AxisError>>,
    closures: BTreeMap<Vec<String>, Result<String, AxisError>>,
    deps: BTreeMap<BTreeSet<String>, Result<String, AxisError>>,
}

/// The source files of a target, one line each.
#[derive(Debug)]
struct Sources {
    /// What is no test.
    rest: Vec<String>,
    /// The tests of each falsifier.
    tests: BTreeMap<String, Vec<String>>,
}

/// The hashes of what a falsifier says.
struct Hashes {
    claim: Result<String, AxisError>,
    statement: Result<String, AxisError>,
}

impl Hashes {
    fn of(falsifier: &Falsifier) -> Self {
        let text = |digest: hash::Digest| digest.to_string();
        Self {
            claim: hash::claim(falsifier).map(text).map_err(AxisError::from),
            statement: hash::statement(falsifier).map(text).map_err(AxisError::from),
        }
    }
}

impl<'s> Content<'s> {
    /// The content of the tree at a root. What was read earlier of unchanged files is taken from target/pv.
    ///
    /// # Errors
    /// When cargo does not know the workspace, or its folders cannot be listed.
    pub fn read(cargo: &Path, root: &Path, settings: &'s Settings) -> Result<Self, ContentError> {
        let files = Files::list(root)?;
        let packages = Packages::of(cargo, &files)?;
        let toolchain = packages::pinned_toolchain(&files);
        Ok(Self {
            settings,
            files,
            packages,
            toolchain,
            targets: BTreeMap::new(),
            closures: BTreeMap::new(),
            deps: BTreeMap::new(),
        })
    }

    /// The files of the tree.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The packages of the tree.
    #[must_use]
    pub fn packages(&self) -> &Packages {
        &self.packages
    }

    /// Keeps what was read for the next time.
    ///
    /// # Errors
    /// When target/pv cannot be written.
    pub fn store(&self) -> Result<(), FilesError> {
        self.files.store()
    }

    /// What the tree holds for a falsifier.
    pub fn of(&mut self, falsifier: &Falsifier) -> Held {
        self.held(falsifier, Hashes::of(falsifier))
    }

    /// What the tree holds for each of many falsifiers.
    pub fn of_all(&mut self, falsifiers: &[&Falsifier]) -> Vec<Held> {
        let hashes: Vec<Hashes> = falsifiers.par_iter().map(|falsifier| Hashes::of(falsifier)).collect();
        falsifiers.iter().zip(hashes).map(|(falsifier, hashes)| self.held(falsifier, hashes)).collect()
    }

    fn held(&mut self, falsifier: &Falsifier, Hashes { claim, statement }: Hashes) -> Held {
        let bindings = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
        let packages: BTreeSet<String> = bindings.iter().map(|test| test.package.clone()).collect();
        let test = self.test(falsifier, &bindings);
        let subjects = self.subjects(falsifier, &packages);
        let deps = self.deps(&packages);
        let mut missing = Vec::new();
        let mut some = |axis, found: Result<String, AxisError>| match found {
            Ok(digest) => Some(digest),
            Err(error) => {
                missing.push((axis, error));
                None
            }
        };
        let current = Current {
            claim: some(Axis::Claim, claim),
            // Its hash fails with that of the claim, or not at all.
            statement: statement.ok(),
            test: some(Axis::Test, test),
            subjects: some(Axis::Subjects, subjects),
            deps: some(Axis::Deps, deps),
            toolchain: self.toolchain.clone(),
            models: self.models(falsifier, &bindings),
            pins: self.pins(falsifier),
        };
        Held { current, missing }
    }

    /// The tests of the falsifier and, of every source file of their targets, what is no test.
    fn test(&mut self, falsifier: &Falsifier, bindings: &[TestBinding]) -> Result<String, AxisError> {
        let command = falsifier.command.as_ref().map(|command| format!("command {:?}", command.argv));
        let targets = bindings.iter().map(|binding| self.target(binding)).collect::<Result<Vec<_>, _>>()?;
        let mut lines: BTreeSet<&str> = command.iter().map(String::as_str).collect();
        for sources in &targets {
            let tests = sources.tests.get(falsifier.id.as_str()).into_iter().flatten();
            lines.extend(sources.rest.iter().chain(tests).map(String::as_str));
        }
        Ok(digest(lines))
    }

    fn target(&mut self, binding: &TestBinding) -> Result<Arc<Sources>, AxisError> {
        let key = (binding.package.clone(), binding.target.clone());
        if let Some(known) = self.targets.get(&key) {
            return known.clone();
        }
        let found = self.sources(&key.0, &key.1).map(Arc::new);
        self.targets.entry(key).or_insert(found).clone()
    }

    fn sources(&mut self, package: &str, target: &Target) -> Result<Sources, AxisError> {
        let home = format!("{package}/{target}");
        let missing = |what, name: &str| AxisError::Missing { what, name: name.to_owned() };
        let found = self.packages.package(package).ok_or_else(|| missing("package", package))?;
        let source = found.targets.get(target).ok_or_else(|| missing("target", &home))?.clone();
        let mut sources = Sources { rest: Vec::new(), tests: BTreeMap::new() };
        for file in self.files.module_tree(&source, true)? {
            let parts = self.files.parts(&file)?;
            if !(fault!("content-forgets-helpers") && parts.falsifiers.is_empty()) {
                sources.rest.push(format!("{home} {file} {}", parts.rest));
            }
            for (falsifier, functions) in &parts.falsifiers {
                let lines = functions.iter().map(|function| format!("{home} {file} test {function}"));
                sources.tests.entry(falsifier.clone()).or_default().extend(lines);
            }
        }
        Ok(sources)
    }

    fn subjects(&mut self, falsifier: &Falsifier, packages: &BTreeSet<String>) -> Result<String, AxisError> {
        let mut specs = match &falsifier.subjects {
            Some(specs) => specs.clone(),
            None => packages.iter().map(|package| format!("{}{package}", subjects::CLOSURE)).collect(),
        };
        let reference = falsifier.claim.as_ref().and_then(|claim| claim.reference.as_ref());
        specs.extend(reference.and_then(|reference| reference.path.clone()));
        specs.sort();
        specs.dedup();
        if let Some(known) = self.closures.get(&specs) {
            return known.clone();
        }
        let found = self.subject_digest(&specs);
        self.closures.entry(specs).or_insert(found).clone()
    }

    fn subject_digest(&mut self, specs: &[String]) -> Result<String, AxisError> {
        let mut lines = BTreeSet::new();
        let files = subjects::resolve(specs, &mut self.files, &self.packages)?;
        let counted = if fault!("content-counts-one-subject") { 1 } else { files.len() };
        for file in files.into_iter().take(counted) {
            lines.insert(format!("{file} {}", self.files.digest(&file)?));
        }
        Ok(digest(lines.iter().map(String::as_str)))
    }

    fn deps(&mut self, packages: &BTreeSet<String>) -> Result<String, AxisError> {
        if let Some(known) = self.deps.get(packages) {
            return known.clone();
        }
        let lines = lock::resolved(&self.files, &self.packages, packages);
        let found = lines.map(|lines| digest(lines.iter().map(String::as_str)));
        self.deps.entry(packages.clone()).or_insert(found).clone()
    }

    /// What the files that a review looked at hold now. A review is of words as much as of code, so bytes count.
    fn pins(&self, falsifier: &Falsifier) -> BTreeMap<String, Option<String>> {
        let pins = falsifier.review.iter().flat_map(|review| review.pins.keys());
        let digest = |path: &String| std::fs::read(self.files.root().join(path)).ok();
        pins.map(|path| (path.clone(), digest(path).map(|bytes| format!("sha256:{}", sha256_hex(&bytes)))))
            .collect()
    }

    /// A model that pv.toml does not declare has no digest, which no record has.
    fn models(&self, falsifier: &Falsifier, bindings: &[TestBinding]) -> BTreeMap<String, String> {
        let needs = bindings.iter().flat_map(|test| &test.needs);
        let needs = needs.chain(falsifier.command.iter().flat_map(|command| &command.needs));
        let names = needs.filter_map(|need| match need {
            Need::Model(name) => Some(name),
            Need::Cuda | Need::GpuMemory(_) => None,
        });
        let digest = |name: &String| {
            let model = self.settings.models.get(name);
            model.map_or_else(|| "undeclared".to_owned(), |model| format!("sha256:{}", model.sha256))
        };
        names.map(|name| (name.clone(), digest(name))).collect()
    }
}

/// The digest of sorted lines.
fn digest<'l>(lines: impl IntoIterator<Item = &'l str>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    format!("sha256:{}", sha256_hex(text.as_bytes()))
}
