//! Records out of what test executables staged on a machine that has neither cargo nor git. Beside the staged
//! entries lie what the build knew (`manifest.json`) and what the machine said of itself (`host.json`); the rest
//! is read from the tree, which must be the one that was built.

use super::fold::{self, Asked, Folded, Left};
use super::job::{Job, What, declared_faults};
use super::machine::Machine;
use super::process::Ended;
use super::record;
use crate::content::{Content, ContentError};
use crate::evidence::source::{self, SourceError, SourceTree};
use contract::evidence::Statement;
use contract::evidence::staged::Staged;
use contract::id::FaultName;
use contract::schema::{Contract, Falsifier};
use contract::settings::Settings;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// The name of the file that the build leaves; a folder with it is one of staged entries.
pub const MANIFEST: &str = "manifest.json";
const HOST: &str = "host.json";

#[derive(Debug, Deserialize)]
struct Manifest {
    schema: u32,
    commit: String,
    dirty: bool,
    toolchain: String,
    binaries: Vec<Binary>,
}

#[derive(Debug, Deserialize)]
struct Binary {
    /// `package/target`.
    target: String,
    /// The digest of the file that ran, `sha256:...`.
    stripped: String,
}

#[derive(Debug, Deserialize)]
struct HostFile {
    arch: String,
    cpu: String,
    /// Empty on a machine without an accelerator.
    #[serde(default)]
    gpu: String,
    #[serde(default)]
    driver: String,
    #[serde(default)]
    memory: u64,
}

/// Why a folder gives no records.
#[derive(Debug, thiserror::Error)]
pub enum CarriedError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has another form.
    #[error("{}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It was built from a tree that nobody can check out.
    #[error("the executables were built from a dirty tree")]
    Dirty,
    /// It was built from another tree.
    #[error(
        "the executables were built from commit {built}, whose sources are not those that are checked out"
    )]
    OtherTree {
        /// The commit.
        built: String,
    },
    /// The machine is of no class that pv.toml declares.
    #[error("no host class of pv.toml matches the machine that ran: {machine}")]
    NoClass {
        /// The machine.
        machine: String,
    },
    /// The tree cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Git failed.
    #[error(transparent)]
    Source(#[from] SourceError),
}

fn json<T: serde::de::DeserializeOwned>(path: PathBuf) -> Result<T, CarriedError> {
    let bytes = std::fs::read(&path).map_err(|source| CarriedError::File { path: path.clone(), source })?;
    serde_json::from_slice(&bytes).map_err(|e| CarriedError::Form { path, reason: e.to_string() })
}

/// The machine that a file such as `host.json` tells of.
///
/// # Errors
/// When the file cannot be read or has another form.
pub fn machine(path: &Path) -> Result<Machine, CarriedError> {
    let host: HostFile = json(path.to_owned())?;
    Ok(Machine::told_by(&host.arch, &host.cpu, &host.gpu, &host.driver, host.memory))
}

/// The records of a folder of staged entries. The machine is taken as one of the most specific host class that it
/// matches: one that names an accelerator before one that does not.
///
/// # Errors
/// When the folder is not whole, the tree is not the one that was built, or the machine is of no class.
pub fn records(
    cargo: &Path,
    root: &Path,
    settings: &Settings,
    contracts: &[(String, &Contract)],
    folder: &Path,
) -> Result<Vec<Statement>, CarriedError> {
    let manifest: Manifest = json(folder.join(MANIFEST))?;
    if manifest.schema != 1 {
        let reason = format!("it has schema {}, this program reads 1", manifest.schema);
        return Err(CarriedError::Form { path: folder.join(MANIFEST), reason });
    }
    if manifest.dirty {
        return Err(CarriedError::Dirty);
    }
    let built = source::tree_of(root, &manifest.commit)?;
    if SourceTree::of(root)?.tree != built {
        return Err(CarriedError::OtherTree { built: manifest.commit });
    }
    let source = SourceTree { tree: built, commit: Some(manifest.commit.clone()), dirty: false };
    let machine = machine(&folder.join(HOST))?;
    let Some(class) = machine.class(settings) else {
        return Err(CarriedError::NoClass { machine: machine.to_string() });
    };
    let binaries: BTreeMap<String, String> = manifest
        .binaries
        .iter()
        .map(|binary| {
            let digest = binary.stripped.strip_prefix("sha256:").unwrap_or(&binary.stripped);
            (binary.target.clone(), digest.to_owned())
        })
        .collect();
    let (entries, unreadable) =
        fold::entries(folder).map_err(|source| CarriedError::File { path: folder.to_owned(), source })?;
    if let Some(reason) = unreadable.into_iter().next() {
        return Err(CarriedError::Form { path: folder.to_owned(), reason });
    }
    let mut content = Content::read(cargo, root, settings)?;
    let frame = record::Frame { run: &manifest.commit, machine: &machine, source: Some(&source) };
    let mut statements = Vec::new();
    for (file, contract) in contracts {
        let bytes = std::fs::read(root.join(file))
            .map_err(|source| CarriedError::File { path: root.join(file), source })?;
        let configuration = contract::evidence::sha256_hex(&bytes);
        for falsifier in &contract.falsification_tests {
            let own: Vec<&Staged> = entries.iter().filter(|e| e.falsifier == falsifier.id).collect();
            let profile = settings.profiles.values().find(|profile| profile.host == class.name);
            let (Some(profile), false) = (profile, own.is_empty()) else { continue };
            let held = content.of(falsifier).current;
            let hash = held.claim.clone().unwrap_or_default();
            let job = Job {
                falsifier,
                contract: &contract.metadata.id,
                file,
                host: &class.name,
                profile,
                what: What::Tests(Vec::new()),
            };
            let faults: BTreeSet<Option<FaultName>> = own.iter().map(|entry| entry.fault.clone()).collect();
            for fault in faults {
                let declared = fault.as_ref().is_none_or(|name| declared_faults(falsifier).contains(name));
                let run = own.iter().filter(|entry| entry.fault == fault).map(|entry| (*entry).clone());
                let folded = folded(falsifier, &hash, fault.as_ref(), run.collect());
                let axes =
                    record::axes(&held, &record::Build::of(&job, &manifest.toolchain), BTreeMap::new());
                if let (Some(axes), true) = (axes, declared) {
                    let used = used(falsifier, &binaries);
                    statements.push(record::statement(
                        &frame,
                        &job,
                        axes,
                        &used,
                        &configuration,
                        fault.as_ref(),
                        folded,
                    ));
                }
            }
        }
    }
    Ok(statements)
}

/// The binaries that a falsifier's tests are in.
fn used(falsifier: &Falsifier, binaries: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let tests = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
    let names: BTreeSet<String> =
        tests.iter().map(|test| format!("{}/{}", test.package, test.target)).collect();
    binaries.iter().filter(|(name, _)| names.contains(*name)).map(|(n, d)| (n.clone(), d.clone())).collect()
}

/// The entries of one falsifier, held against the tests that its contract names.
fn folded(falsifier: &Falsifier, hash: &str, fault: Option<&FaultName>, entries: Vec<Staged>) -> Folded {
    let tests = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
    let mut binaries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for test in &tests {
        let binary = format!("{}/{}", test.package, test.target);
        let names = binaries.entry(binary.clone()).or_default();
        match &test.path {
            Some(path) => {
                names.insert(format!("{binary}/{path}"));
            }
            // A prefix names whatever ran; how many there must be is for the binding to say.
            None => names.extend(entries.iter().map(|entry| format!("{binary}/{}", entry.test))),
        }
    }
    let left = binaries.iter().map(|(binary, names)| Left {
        binary,
        names,
        ended: Ended::Elsewhere,
        entries: entries.clone(),
        unreadable: Vec::new(),
    });
    let asked = Asked { falsifier: &falsifier.id, claim: falsifier.claim.as_ref(), hash, fault };
    fold::fold(&asked, left.collect())
}
