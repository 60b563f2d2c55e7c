//! What must run again, where, and for how long: the smallest set of falsifiers and faults whose fresh records
//! are lacking. It starts nothing; a fleet's own jobs run it.

pub mod touched;

use crate::binding::Bindings;
use contract::id::{FalsifierId, FaultName};
use contract::schema::{Contract, Falsifier};
use contract::settings::Settings;
use contract::status::FalsifierStatus;
use contract::status::derive::{Derived, FaultState, HostLack, Lack};
use contract::status::facts::RecordFacts;
use contract::status::propagate::Status;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds that a falsifier is taken to run when no record of it tells; a process start and a small test.
const UNKNOWN_S: f64 = 1.0;

/// What must run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// One task per falsifier and host class, sorted by host class, then by contract.
    pub tasks: Vec<Task>,
    /// What no run can mend, with the reason.
    pub idle: Vec<Idle>,
    /// How many falsifiers need nothing.
    pub settled: usize,
    /// How many falsifiers there are.
    pub declared: usize,
}

/// One falsifier to run on one host class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// The falsifier.
    pub falsifier: FalsifierId,
    /// The host class.
    pub host: String,
    /// The profile that runs it there; the first by name of several.
    pub profile: String,
    /// Why.
    pub why: Vec<String>,
    /// The falsifier itself has to run, not only its faults.
    pub control: bool,
    /// The faults that have to run.
    pub faults: Vec<FaultName>,
    /// Predicted seconds.
    pub seconds: f64,
    /// Whether the prediction rests on a record.
    pub measured: bool,
}

/// A falsifier that lacks something no run gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// The falsifier.
    pub falsifier: FalsifierId,
    /// What it lacks.
    pub why: Vec<String>,
}

/// One shard of the tasks of a host class and profile: a job of a matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shard {
    /// The host class.
    pub host: String,
    /// The profile.
    pub profile: String,
    /// Which shard, from 1.
    pub shard: usize,
    /// Of how many.
    pub shards: usize,
    /// The falsifiers to run, separated by commas: what `pv run --only` takes.
    pub only: String,
    /// Whether faults have to run too.
    pub faults: bool,
    /// Predicted minutes, rounded up to a tenth.
    pub minutes: f64,
}

impl Plan {
    /// What the statuses ask for.
    #[must_use]
    pub fn of(
        contracts: &[&Contract],
        settings: &Settings,
        bindings: Option<&Bindings>,
        records: &BTreeMap<FalsifierId, Vec<RecordFacts>>,
        status: &Status,
    ) -> Self {
        let falsifiers: BTreeMap<&FalsifierId, &Falsifier> =
            contracts.iter().flat_map(|c| &c.falsification_tests).map(|f| (&f.id, f)).collect();
        let mut plan =
            Self { tasks: Vec::new(), idle: Vec::new(), settled: 0, declared: status.falsifiers.declared };
        for report in status.contracts.iter().flat_map(|contract| &contract.falsifiers) {
            let Some(falsifier) = falsifiers.get(&report.id).copied() else { continue };
            let lacks = &report.derived.lacks;
            let mut idle: Vec<String> = Vec::new();
            let mut needs: Vec<(&String, Need)> =
                falsifier.hosts.iter().map(|host| (host, Need::on(host, lacks))).collect();
            // A fault is caught once, on whichever class runs it: where the falsifier runs anyway, or the first.
            let place = needs.iter().position(|(_, need)| need.control).unwrap_or(0);
            if let Some((_, need)) = needs.get_mut(place) {
                need.add_faults(&report.derived);
            }
            let before = plan.tasks.len();
            for (host, need) in needs.into_iter().filter(|(_, need)| !need.why.is_empty()) {
                match profile_for(falsifier, settings, bindings, host) {
                    Ok(profile) => {
                        let past = records.get(&falsifier.id).map_or(&[][..], Vec::as_slice);
                        plan.tasks.push(need.task(falsifier, host, profile, past));
                    }
                    Err(why) => idle.push(why),
                }
            }
            let dead = lacks.iter().filter(|lack| !is_mended_by_a_run(lack));
            idle.extend(dead.map(ToString::to_string));
            if !idle.is_empty() {
                plan.idle.push(Idle { falsifier: falsifier.id.clone(), why: idle });
            } else if plan.tasks.len() == before {
                plan.settled += 1;
            }
        }
        plan.tasks.sort_by(|a, b| a.host.cmp(&b.host));
        plan
    }

    /// Keep the tasks of some of the falsifiers; the counts are then of these.
    pub fn retain(&mut self, keep: &BTreeSet<FalsifierId>) {
        self.tasks.retain(|task| keep.contains(&task.falsifier));
        self.idle.retain(|idle| keep.contains(&idle.falsifier));
        let tasks = self.tasks.iter().map(|task| &task.falsifier);
        let open: BTreeSet<_> = tasks.chain(self.idle.iter().map(|idle| &idle.falsifier)).collect();
        self.settled = keep.len() - open.len();
        self.declared = keep.len();
    }

    /// Predicted seconds per host class.
    #[must_use]
    pub fn seconds_by_host(&self) -> BTreeMap<&str, f64> {
        let mut seconds = BTreeMap::new();
        for task in &self.tasks {
            *seconds.entry(task.host.as_str()).or_insert(0.0) += task.seconds;
        }
        seconds
    }

    /// The tasks as at most `shards` jobs per host class and profile, of about equal length: the longest task goes
    /// to the emptiest job.
    #[must_use]
    pub fn shards(&self, shards: usize) -> Vec<Shard> {
        let mut groups: BTreeMap<(&str, &str), Vec<&Task>> = BTreeMap::new();
        for task in &self.tasks {
            groups.entry((&task.host, &task.profile)).or_default().push(task);
        }
        let mut jobs = Vec::new();
        for ((host, profile), mut tasks) in groups {
            tasks.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.falsifier.cmp(&b.falsifier)));
            let count = shards.clamp(1, tasks.len());
            let mut bins: Vec<(f64, Vec<&Task>)> = vec![(0.0, Vec::new()); count];
            for task in tasks {
                let emptiest = bins.iter_mut().min_by(|a, b| a.0.total_cmp(&b.0));
                if let Some((seconds, bin)) = emptiest {
                    *seconds += task.seconds;
                    bin.push(task);
                }
            }
            for (index, (seconds, bin)) in bins.into_iter().enumerate() {
                let mut only: Vec<&str> = bin.iter().map(|task| task.falsifier.as_str()).collect();
                only.sort_unstable();
                jobs.push(Shard {
                    host: host.to_owned(),
                    profile: profile.to_owned(),
                    shard: index + 1,
                    shards: count,
                    only: only.join(","),
                    faults: bin.iter().any(|task| !task.faults.is_empty()),
                    minutes: (seconds / 6.0).ceil() / 10.0,
                });
            }
        }
        jobs
    }
}

/// What has to run on one host class.
#[derive(Default)]
struct Need {
    why: Vec<String>,
    control: bool,
    faults: Vec<FaultName>,
}

impl Need {
    /// What the falsifier itself lacks there.
    fn on(host: &str, lacks: &[Lack]) -> Self {
        let mut need = Self::default();
        for lack in lacks.iter().filter(|lack| is_mended_by_a_run(lack)) {
            match lack {
                Lack::Host { host: there, .. }
                | Lack::Test { host: there, .. }
                | Lack::Metrics { host: there }
                    if there == host =>
                {
                    need.control = true;
                    need.why.push(lack.to_string());
                }
                _ => {}
            }
        }
        need
    }

    /// The faults that no record shows caught. What fails, or compares nothing, is mended first.
    fn add_faults(&mut self, derived: &Derived) {
        if matches!(derived.status, FalsifierStatus::Falsified | FalsifierStatus::Vacuous) {
            return;
        }
        for (fault, state) in &derived.faults {
            let lack = Lack::Fault { fault: fault.clone(), state: *state };
            if is_mended_by_a_run(&lack) {
                self.faults.push(fault.clone());
                self.control |= *state == FaultState::NoControl;
                self.why.push(lack.to_string());
            }
        }
    }

    fn task(self, falsifier: &Falsifier, host: &str, profile: String, past: &[RecordFacts]) -> Task {
        let Self { why, control, faults } = self;
        let mut times: Vec<f64> =
            past.iter().filter(|r| r.host.class == host && r.fault.is_none()).map(|r| r.wall_s).collect();
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied();
        let runs = usize::from(control) + faults.len();
        #[expect(clippy::cast_precision_loss, reason = "a falsifier has a handful of faults")]
        let seconds = median.unwrap_or(UNKNOWN_S) * runs as f64;
        Task {
            falsifier: falsifier.id.clone(),
            host: host.to_owned(),
            profile,
            why,
            control,
            faults,
            seconds,
            measured: median.is_some(),
        }
    }
}

/// Whether running the falsifier or its faults could give what is lacking.
fn is_mended_by_a_run(lack: &Lack) -> bool {
    match lack {
        Lack::Host { why, .. } => !matches!(why, HostLack::Undeclared | HostLack::Dark { .. }),
        // A run compiles first.
        Lack::Test { .. } | Lack::Metrics { .. } | Lack::Unresolved => true,
        Lack::Fault { state, .. } => {
            matches!(state, FaultState::NotRun | FaultState::Stale | FaultState::NoControl)
        }
        _ => false,
    }
}

/// The profile that runs a falsifier on a host class, or why none does.
fn profile_for(
    falsifier: &Falsifier,
    settings: &Settings,
    bindings: Option<&Bindings>,
    host: &str,
) -> Result<String, String> {
    let resolved = bindings.and_then(|bindings| bindings.falsifiers.get(&falsifier.id));
    if let Some(resolutions) = resolved {
        let mut common: Option<BTreeSet<&String>> = None;
        for resolution in resolutions {
            let here: BTreeSet<_> = resolution.runs.get(host).into_iter().flatten().collect();
            common = Some(match common {
                Some(common) => common.intersection(&here).copied().collect(),
                None => here,
            });
        }
        if let Some(profile) = common.unwrap_or_default().first() {
            return Ok((*profile).clone());
        }
    }
    let declared = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
    let command = falsifier.command.as_ref();
    let runs = |profile: &&contract::settings::Profile| {
        profile.host == host
            && declared.iter().all(|test| profile.obstacle(settings, &test.needs, Some(test)).is_none())
            && command.is_none_or(|command| profile.obstacle(settings, &command.needs, None).is_none())
    };
    settings
        .profiles
        .values()
        .find(runs)
        .map(|profile| profile.name.clone())
        .ok_or_else(|| format!("no profile runs it on host class `{host}`"))
}
