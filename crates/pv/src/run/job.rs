//! What is to be run: each falsifier once on each of its host classes that this machine is of, under a profile
//! that offers what it needs. What is not run is listed with its reason; nothing is left out in silence.

use super::machine::Machine;
use crate::binding::{Bindings, BoundTest, Defect, Resolution, TestId, prose};
use contract::id::{ContractId, FalsifierId, FaultName};
use contract::schema::{CommandBinding, Contract, Falsifier, Faults};
use contract::settings::{Profile, Settings};
use contract::suggest::nearest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// How long a test may take whose binding names no `timeout_s`.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Which falsifiers are run, and how.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Falsifiers or contracts; all when empty.
    pub only: BTreeSet<String>,
    /// Profiles of pv.toml; all that this machine can run when empty.
    pub profiles: BTreeSet<String>,
}

/// One falsifier on one host class.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The falsifier.
    pub falsifier: &'a Falsifier,
    /// Its contract.
    pub contract: &'a ContractId,
    /// The contract's file, relative to the root.
    pub file: &'a str,
    /// The host class.
    pub host: &'a str,
    /// The profile.
    pub profile: &'a Profile,
    /// What is started.
    pub what: What<'a>,
}

/// What a job starts.
#[derive(Debug, Clone)]
pub enum What<'a> {
    /// Tests, one process per executable.
    Tests(Vec<Process>),
    /// A program of the contract.
    Command(&'a CommandBinding),
}

/// One start of a test executable.
#[derive(Debug, Clone)]
pub struct Process {
    /// The executable.
    pub executable: PathBuf,
    /// The tests, as `--list` names them.
    pub paths: Vec<String>,
    /// Their functions as records name them, `package/target/path`; cases of one function share a name.
    pub names: BTreeSet<String>,
    /// The package.
    pub package: String,
    /// The binary as records name it, `package/target`.
    pub binary: String,
    /// They carry `#[ignore]`.
    pub ignored: bool,
    /// How long it may take.
    pub timeout: Duration,
}

/// A falsifier that is not run on a host class, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The falsifier.
    pub falsifier: FalsifierId,
    /// The host class.
    pub host: String,
    /// Why.
    pub reason: String,
    /// Whether something is wrong with its binding, rather than this machine being of another kind.
    pub broken: bool,
}

/// What is to be run, and what is not.
#[derive(Debug, Default)]
pub struct Jobs<'a> {
    /// To be run, in the order of the contracts.
    pub jobs: Vec<Job<'a>>,
    /// Not to be run here.
    pub left: Vec<Left>,
}

/// A name that a selection asks for and that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {what} is called `{name}`{hint}")]
pub struct Unknown {
    what: &'static str,
    name: String,
    hint: String,
}

/// The falsifiers that names of falsifiers and contracts stand for; all of them when nothing is named.
///
/// # Errors
/// When a name is neither.
pub fn selected<'c>(
    contracts: impl Iterator<Item = &'c Contract> + Clone,
    only: &BTreeSet<String>,
) -> Result<BTreeSet<FalsifierId>, Unknown> {
    let ids = contracts.clone().flat_map(|contract| {
        let falsifiers = contract.falsification_tests.iter().map(|f| f.id.as_str());
        falsifiers.chain([contract.metadata.id.as_str()])
    });
    known("falsifier or contract", only, ids)?;
    let asked = |name: &str| only.is_empty() || only.contains(name);
    let falsifiers = contracts.flat_map(|contract| {
        let whole = asked(contract.metadata.id.as_str());
        contract.falsification_tests.iter().filter(move |f| whole || asked(f.id.as_str()))
    });
    Ok(falsifiers.map(|falsifier| falsifier.id.clone()).collect())
}

fn known<'n>(
    what: &'static str,
    asked: &BTreeSet<String>,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Result<(), Unknown> {
    for name in asked {
        if !names.clone().any(|known| known == name) {
            let near = nearest(name, names.clone());
            let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
            return Err(Unknown { what, name: name.clone(), hint });
        }
    }
    Ok(())
}

impl<'a> Jobs<'a> {
    /// The jobs of the contracts, each with its file.
    ///
    /// # Errors
    /// When the selection names what does not exist.
    pub fn of(
        contracts: &[(&'a str, &'a Contract)],
        settings: &'a Settings,
        bindings: &Bindings,
        machine: &Machine,
        selection: &Selection,
    ) -> Result<Self, Unknown> {
        let asked = selected(contracts.iter().map(|(_, contract)| *contract), &selection.only)?;
        known("profile", &selection.profiles, settings.profiles.keys().map(String::as_str))?;
        let mut jobs = Self::default();
        for (file, contract) in contracts {
            let id = &contract.metadata.id;
            for falsifier in &contract.falsification_tests {
                if !asked.contains(&falsifier.id) {
                    continue;
                }
                if falsifier.test.is_none() && falsifier.command.is_none() {
                    continue;
                }
                for host in &falsifier.hosts {
                    let found = choose(falsifier, host, settings, bindings, machine, selection);
                    match found {
                        Ok((profile, what)) => {
                            jobs.jobs.push(Job { falsifier, contract: id, file, host, profile, what });
                        }
                        Err((reason, broken)) => jobs.left.push(Left {
                            falsifier: falsifier.id.clone(),
                            host: host.clone(),
                            reason,
                            broken,
                        }),
                    }
                }
            }
        }
        Ok(jobs)
    }
}

/// Why a falsifier is not run, and whether its binding is at fault.
type NotRun = (String, bool);

fn choose<'a>(
    falsifier: &'a Falsifier,
    host: &str,
    settings: &'a Settings,
    bindings: &Bindings,
    machine: &Machine,
    selection: &Selection,
) -> Result<(&'a Profile, What<'a>), NotRun> {
    let class = settings.hosts.get(host);
    let class = class.ok_or_else(|| (format!("pv.toml declares no host class `{host}`"), true))?;
    class.matches(&machine.facts).map_err(|mismatch| (mismatch.to_string(), false))?;
    let asked = |profile: &&Profile| {
        profile.host == host && (selection.profiles.is_empty() || selection.profiles.contains(&profile.name))
    };
    if let Some(command) = &falsifier.command {
        let offers = |profile: &&Profile| profile.obstacle(settings, &command.needs, None).is_none();
        let profile = settings.profiles.values().filter(asked).find(offers);
        let dark = || (not_offered(host, selection), false);
        return Ok((profile.ok_or_else(dark)?, What::Command(command)));
    }
    let resolutions = bindings.falsifiers.get(&falsifier.id).map_or(&[][..], Vec::as_slice);
    if let Some(trouble) = trouble(resolutions) {
        return Err((trouble, true));
    }
    let runs = |profile: &&Profile| {
        let here = |r: &Resolution| r.runs.get(host).is_some_and(|names| names.contains(&profile.name));
        resolutions.iter().all(here)
    };
    let profile = settings.profiles.values().filter(asked).find(runs);
    let profile = profile.ok_or_else(|| (not_offered(host, selection), false))?;
    processes(resolutions, profile).map(|what| (profile, What::Tests(what))).map_err(|reason| (reason, true))
}

fn not_offered(host: &str, selection: &Selection) -> String {
    if selection.profiles.is_empty() {
        return format!("no profile runs it on host class `{host}`");
    }
    let names: Vec<&str> = selection.profiles.iter().map(String::as_str).collect();
    format!("it is not run by profile {}", names.join(", "))
}

/// What keeps a binding from being attributed to a test.
fn trouble(resolutions: &[Resolution]) -> Option<String> {
    if resolutions.is_empty() {
        return Some("its binding was not resolved".to_owned());
    }
    resolutions.iter().find_map(|resolution| {
        if let Some(trouble) = prose::trouble(&resolution.state, resolution.declared.as_ref()) {
            return Some(trouble);
        }
        if !resolution.state.is_bound() {
            return Some(format!("its binding is {}", resolution.state.name()));
        }
        let fatal = |defect: &&Defect| matches!(defect, Defect::Unattributed { .. } | Defect::TooFew { .. });
        resolution.defects.iter().find(fatal).map(ToString::to_string)
    })
}

/// One process per executable and way of starting it.
fn processes(resolutions: &[Resolution], profile: &Profile) -> Result<Vec<Process>, String> {
    let mut processes: BTreeMap<(PathBuf, bool), Process> = BTreeMap::new();
    for resolution in resolutions {
        let declared = resolution.declared.as_ref();
        let timeout = declared.and_then(|test| test.timeout_s).map(|s| Duration::from_secs(u64::from(s)));
        for BoundTest { id, marker, ignored, executables, .. } in &resolution.tests {
            let TestId { package, target, path } = id;
            let marker = marker.as_ref().ok_or_else(|| format!("{id} carries no attribute of it"))?;
            let executable = executables
                .get(&profile.name)
                .ok_or_else(|| format!("{id} is not compiled under profile `{}`", profile.name))?;
            let ignored = ignored.unwrap_or_else(|| declared.is_some_and(|test| test.ignored));
            let process = processes.entry((executable.clone(), ignored)).or_insert_with(|| Process {
                executable: executable.clone(),
                paths: Vec::new(),
                names: BTreeSet::new(),
                package: package.clone(),
                binary: format!("{package}/{target}"),
                ignored,
                timeout: Duration::ZERO,
            });
            process.paths.push(path.clone());
            process.names.insert(format!("{package}/{target}/{}", marker.test_path()));
            process.timeout = process.timeout.max(timeout.unwrap_or(PATIENCE));
        }
    }
    Ok(processes.into_values().collect())
}

/// The planted faults that a falsifier says it catches.
#[must_use]
pub fn declared_faults(falsifier: &Falsifier) -> &[FaultName] {
    match &falsifier.faults {
        Some(Faults::Named(names)) => names,
        Some(Faults::None(_)) | None => &[],
    }
}
