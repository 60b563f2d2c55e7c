//! Running falsifiers: every bound test in processes of its own, each watched, its staged entries folded into one
//! result and, while the tree is still the one that was compiled, into a record of the work tree's store.
//!
//! A record is written by the runner alone. A test process only stages what it did below a folder of this run, so
//! the leftovers of a killed run are never read, and whatever a killed runner's orphans still write is nobody's.

pub mod carried;
mod fold;
pub mod job;
pub mod machine;
mod process;
pub mod progress;
pub(crate) mod record;
pub mod text;

use crate::binding::build::{Flavour, clean};
use crate::binding::executable::library_path;
use crate::binding::snapshot::Snapshot;
use crate::content::{AxisError, Content, ContentError, Held};
use crate::evidence::prune::{self, KEEP};
use crate::evidence::source::{SourceError, SourceTree};
use crate::evidence::store::{Store, StoreError};
use contract::claim::{Claim, Metric};
use contract::evidence::number::Number;
use contract::evidence::tally::{Judgement, Tally};
use contract::evidence::{Cause, Measure, Outcome, Statement};
use contract::id::{FalsifierId, FaultName};
use contract::schema::{Axis, CommandBinding};
use contract::settings::Settings;
use fault::fault;
use fold::{Asked, Folded};
use job::{Job, PATIENCE, Process, What, declared_faults};
use machine::Machine;
use process::Ended;
use record::Build;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where test processes stage what they did, relative to the root.
const STAGING: &str = "target/pv/runs";
/// Held while a run works, relative to the root.
const LOCK: &str = "target/pv/run.lock";
/// Results are turned into records at least this often, so that an ended runner loses little.
const PROMOTED_EVERY: Duration = Duration::from_secs(5);

/// Where falsifiers are run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The cargo to call.
    pub cargo: &'a Path,
    /// The contract root.
    pub root: &'a Path,
    /// pv.toml.
    pub settings: &'a Settings,
    /// This machine.
    pub machine: &'a Machine,
}

/// How falsifiers are run.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Which executables: plain ones give results, those with planted faults show that red is possible.
    pub flavour: Flavour,
    /// Needs that must be met here: `cuda`, `model`, `data`, `gpu-memory` or `all`.
    pub required: Vec<String>,
    /// How many processes at once.
    pub jobs: usize,
    /// With planted faults: which of them each falsifier is run under.
    pub faults: FaultSet,
}

/// The faults that a falsifier is run under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultSet {
    /// Those that it declares.
    Declared,
    /// All of these.
    All(Vec<FaultName>),
}

/// One result.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// The falsifier.
    pub falsifier: FalsifierId,
    /// The host class.
    pub host: String,
    /// The profile.
    pub profile: String,
    /// The fault that was armed.
    pub fault: Option<FaultName>,
    /// Whether the falsifier declares the fault.
    pub declared: bool,
    /// How often the fault's sites were reached.
    pub fault_hits: u64,
    /// What happened.
    pub outcome: Outcome,
    /// What was measured.
    pub measure: Option<Measure>,
    /// Seconds the tests took.
    pub wall_s: f64,
    /// The end of what the processes printed.
    #[serde(skip)]
    pub output: String,
}

/// What a run under a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Catch {
    /// A comparison of the claim failed, and the fault was reached.
    Caught,
    /// The falsifier passed over it.
    Missed,
    /// No site of the fault was reached.
    NotReached,
    /// It failed otherwise than by its claim.
    OtherFailure,
    /// Nothing was learnt: skipped, or broken.
    Unknown,
}

impl Done {
    /// What a run under a fault shows.
    #[must_use]
    pub fn catch(&self) -> Catch {
        match &self.outcome {
            Outcome::Skipped { .. } | Outcome::Error { .. } => Catch::Unknown,
            _ if fault!("runner-calls-every-fault-caught") => Catch::Caught,
            _ if self.fault_hits == 0 => Catch::NotReached,
            Outcome::Passed => Catch::Missed,
            Outcome::Failed { cause: Cause::Claim, .. } => Catch::Caught,
            Outcome::Failed { .. } => Catch::OtherFailure,
        }
    }
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Report {
    /// The run's id, a ULID.
    pub run: String,
    /// The results, in the order of the jobs. With planted faults also the controls, which are none of them.
    pub done: Vec<Done>,
    /// Falsifiers whose control under planted faults, none armed, was not green.
    pub red_controls: Vec<Done>,
    /// The records that were written.
    pub records: Vec<Statement>,
    /// It was interrupted; what had ended is recorded.
    pub interrupted: bool,
    /// How many results were thrown away because the tree is no longer the one that was compiled.
    pub outdated: usize,
    /// Why a result could not be recorded: axes of the tree without a digest.
    pub unheld: Vec<(FalsifierId, Axis, AxisError)>,
}

/// Why falsifiers could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file of the run.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tree cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Git failed in the middle of the run.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The compiler does not say its version.
    #[error("rustc does not say its version: {0}")]
    Toolchain(String),
    /// The executables were not compiled.
    #[error("nothing was compiled: there is no {0}")]
    Uncompiled(PathBuf),
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::File { path, source }
}

/// Who is told how a run goes.
pub trait Watch: Sync {
    /// So many runs will follow.
    fn begin(&self, tasks: usize);
    /// One has ended.
    fn done(&self, done: &Done);
    /// All have.
    fn end(&self);
}

/// One job, under a fault perhaps.
struct Task<'j> {
    job: &'j Job<'j>,
    fault: Option<FaultName>,
}

impl<'j> Task<'j> {
    /// The executable of its tests and their module in it; `None` for a program.
    fn module(&self) -> Option<(&'j Path, &'j str)> {
        let What::Tests(processes) = &self.job.what else { return None };
        let process = processes.first()?;
        let path = process.paths.first()?;
        Some((&process.executable, path.rsplit_once("::").map_or("", |(module, _)| module)))
    }
}

/// Tasks that wait for their turn. Tests of one module often wait for each other, for a fixture or a device that they
/// share: those of another module go first.
struct Queue<'j> {
    waiting: VecDeque<(usize, Task<'j>)>,
    /// The modules of what is running.
    running: Vec<Option<(&'j Path, &'j str)>>,
}

impl<'j> Queue<'j> {
    fn take(&mut self) -> Option<(usize, Task<'j>)> {
        let is_free = |(_, task): &(usize, Task<'j>)| {
            let module = task.module();
            module.is_none() || !self.running.contains(&module)
        };
        let at = self.waiting.iter().position(is_free).unwrap_or(0);
        let (index, task) = self.waiting.remove(at)?;
        self.running.push(task.module());
        Some((index, task))
    }

    fn give_back(&mut self, task: &Task<'j>) {
        if let Some(at) = self.running.iter().position(|module| *module == task.module()) {
            self.running.swap_remove(at);
        }
    }
}

/// Run jobs.
///
/// # Errors
/// When the tree cannot be read or the store not written; what a test does is no error.
pub fn run(
    place: Place<'_>,
    manner: &Manner,
    jobs: &[Job<'_>],
    interrupted: &AtomicBool,
    watch: &dyn Watch,
) -> Result<Report, RunError> {
    let _lock = lock(place.root)?;
    let runner = Runner::new(place, manner, jobs, interrupted)?;
    let plain = |job| Task { job, fault: None };
    let mut report = match manner.flavour {
        Flavour::Plain => {
            Report { done: runner.all(jobs.iter().map(plain).collect(), watch)?, ..Report::default() }
        }
        Flavour::Faults => runner.under_faults(jobs, watch)?,
    };
    runner.promote()?;
    let promoted = runner.promoted.into_inner().unwrap_or_else(PoisonError::into_inner);
    (report.records, report.outdated) = (promoted.records, promoted.outdated);
    report.interrupted = interrupted.load(Ordering::Relaxed);
    report.run = runner.run;
    for (id, held) in runner.held {
        report.unheld.extend(held.missing.into_iter().map(|(axis, error)| (id.clone(), axis, error)));
    }
    prune::keep_newest(&runner.store, KEEP)?;
    // What is left of it is removed by the next run.
    let _ = std::fs::remove_dir_all(&runner.staging);
    Ok(report)
}

/// Waits until no other run works on the tree, and keeps others waiting.
fn lock(root: &Path) -> Result<File, RunError> {
    let path = root.join(LOCK);
    let open = || {
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        if file.try_lock().is_err() {
            eprintln!("pv: waiting for another run on this tree");
            file.lock()?;
        }
        Ok(file)
    };
    open().map_err(file_error(&path))
}

struct Runner<'a> {
    place: Place<'a>,
    manner: &'a Manner,
    interrupted: &'a AtomicBool,
    run: String,
    staging: PathBuf,
    started: AtomicUsize,
    store: Store,
    source: Option<SourceTree>,
    toolchain: String,
    held: BTreeMap<FalsifierId, Held>,
    /// The folder of each package.
    folders: BTreeMap<String, PathBuf>,
    /// The SHA-256 of each test executable.
    executables: BTreeMap<PathBuf, String>,
    /// The SHA-256 of each contract file.
    configurations: BTreeMap<String, String>,
    models: Mutex<BTreeMap<String, Result<String, String>>>,
    /// Where the system finds shared libraries, by the folder of the executable.
    libraries: Mutex<BTreeMap<PathBuf, Option<(&'static str, OsString)>>>,
    promoted: Mutex<Promoted>,
}

struct Promoted {
    pending: Vec<Statement>,
    records: Vec<Statement>,
    outdated: usize,
    last: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Runner<'a> {
    fn new(
        place: Place<'a>,
        manner: &'a Manner,
        jobs: &[Job<'_>],
        interrupted: &'a AtomicBool,
    ) -> Result<Self, RunError> {
        let Place { cargo, root, settings, .. } = place;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut random = [0; 16];
        // Without randomness two runs of one millisecond would share an id; the lock keeps them apart here.
        let _ = getrandom::fill(&mut random);
        let milliseconds = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let run = ulid::Ulid::from_parts(milliseconds, u128::from_le_bytes(random)).to_string();
        let all = root.join(STAGING);
        match std::fs::remove_dir_all(&all) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&all)(error)),
            _ => {}
        }
        let staging = all.join(&run);
        std::fs::create_dir_all(&staging).map_err(file_error(&staging))?;
        let mut content = Content::read(cargo, root, settings)?;
        let held = jobs.iter().map(|job| (job.falsifier.id.clone(), content.of(job.falsifier))).collect();
        content.store().map_err(ContentError::from)?;
        let folders = content
            .packages()
            .packages()
            .map(|(name, package)| (name.to_owned(), root.join(&package.folder)));
        let tested = jobs.iter().any(|job| matches!(job.what, What::Tests(_)));
        let snapshot = Snapshot::load(root, manner.flavour);
        if tested && snapshot.is_none() {
            return Err(RunError::Uncompiled(root.join(manner.flavour.folder())));
        }
        let builds = snapshot.into_iter().flat_map(|snapshot| snapshot.inventory.builds);
        let executables =
            builds.flat_map(|build| build.executables).map(|found| (found.path, found.digest)).collect();
        let mut configurations = BTreeMap::new();
        for job in jobs {
            if !configurations.contains_key(job.file) {
                let path = root.join(job.file);
                let digest = record::digest(&path).map_err(file_error(&path))?;
                configurations.insert(job.file.to_owned(), digest);
            }
        }
        Ok(Self {
            place,
            manner,
            interrupted,
            run,
            staging,
            started: AtomicUsize::new(0),
            store: Store::local(root),
            // Outside a repository records name no tree and count as dirty.
            source: SourceTree::of(root).ok(),
            toolchain: toolchain(root)?,
            held,
            folders: folders.collect(),
            executables,
            configurations,
            models: Mutex::new(BTreeMap::new()),
            libraries: Mutex::new(BTreeMap::new()),
            promoted: Mutex::new(Promoted {
                pending: Vec::new(),
                records: Vec::new(),
                outdated: 0,
                last: Instant::now(),
            }),
        })
    }

    /// Controls first: what is not green unarmed shows nothing when it is red.
    fn under_faults(&self, jobs: &[Job<'_>], watch: &dyn Watch) -> Result<Report, RunError> {
        let faults = |job: &Job<'_>| match &self.manner.faults {
            FaultSet::Declared => declared_faults(job.falsifier).to_vec(),
            FaultSet::All(names) => names.clone(),
        };
        let controls = jobs.iter().filter(|job| !faults(job).is_empty());
        let controls = self.all(controls.map(|job| Task { job, fault: None }).collect(), watch)?;
        let (green, red): (Vec<Done>, Vec<Done>) =
            controls.into_iter().partition(|done| done.outcome.is_pass());
        let is_green = |job: &&Job<'_>| {
            green.iter().any(|done| done.falsifier == job.falsifier.id && done.host == job.host)
        };
        let armed = jobs
            .iter()
            .filter(is_green)
            .flat_map(|job| faults(job).into_iter().map(move |fault| Task { job, fault: Some(fault) }));
        let done = self.all(armed.collect(), watch)?;
        Ok(Report { done, red_controls: red, ..Report::default() })
    }

    /// Run tasks, several at once, and give their results in the order of the tasks.
    fn all(&self, tasks: Vec<Task<'_>>, watch: &dyn Watch) -> Result<Vec<Done>, RunError> {
        watch.begin(tasks.len());
        let queue =
            Mutex::new(Queue { waiting: tasks.into_iter().enumerate().collect(), running: Vec::new() });
        let results: Mutex<BTreeMap<usize, Done>> = Mutex::new(BTreeMap::new());
        let failure: Mutex<Option<RunError>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..self.manner.jobs.max(1) {
                scope.spawn(|| {
                    while !self.interrupted.load(Ordering::Relaxed) && locked(&failure).is_none() {
                        let Some((index, task)) = locked(&queue).take() else { break };
                        let done = self.one(&task);
                        locked(&queue).give_back(&task);
                        match done {
                            Ok(Some(done)) => {
                                watch.done(&done);
                                locked(&results).insert(index, done);
                            }
                            Ok(None) => {}
                            Err(error) => *locked(&failure) = Some(error),
                        }
                    }
                });
            }
        });
        watch.end();
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()),
        }
    }

    /// Run one task; `None` when it was interrupted.
    fn one(&self, task: &Task<'_>) -> Result<Option<Done>, RunError> {
        let Task { job, fault } = task;
        let held = self.held.get(&job.falsifier.id);
        let (folded, output, binaries) = match &job.what {
            What::Tests(processes) => {
                let hash = held.and_then(|held| held.current.claim.as_deref()).unwrap_or_default();
                match self.tests(job, processes, hash, fault.as_ref())? {
                    Some(found) => found,
                    None => return Ok(None),
                }
            }
            What::Command(command) => match self.command(job, command, fault.as_ref())? {
                Some((folded, output)) => (folded, output, BTreeMap::new()),
                None => return Ok(None),
            },
        };
        let done = Done {
            falsifier: job.falsifier.id.clone(),
            host: job.host.to_owned(),
            profile: job.profile.name.clone(),
            fault: fault.clone(),
            declared: fault.as_ref().is_some_and(|fault| declared_faults(job.falsifier).contains(fault)),
            fault_hits: folded.fault_hits,
            outcome: folded.outcome.clone(),
            measure: folded.measure.clone(),
            wall_s: folded.wall_s,
            output,
        };
        // An unarmed run of executables with planted faults is a control and no result.
        if self.manner.flavour == Flavour::Plain || fault.is_some() {
            let models = folded.models.iter().filter_map(|name| Some((name.clone(), self.model(name).ok()?)));
            let models = models.map(|(name, digest)| (name, format!("sha256:{digest}"))).collect();
            let axes =
                held.and_then(|held| record::axes(&held.current, &Build::of(job, &self.toolchain), models));
            if let Some(axes) = axes {
                let frame = record::Frame {
                    run: &self.run,
                    machine: self.place.machine,
                    source: self.source.as_ref(),
                };
                let file = self.configurations.get(job.file).map_or("", String::as_str);
                let statement = record::statement(&frame, job, axes, &binaries, file, fault.as_ref(), folded);
                self.keep(statement)?;
            }
        }
        Ok(Some(done))
    }

    /// Run the tests of a job, one process per executable.
    #[expect(clippy::type_complexity, reason = "a result, its output and its binaries, taken apart at once")]
    fn tests(
        &self,
        job: &Job<'_>,
        processes: &[Process],
        hash: &str,
        fault: Option<&FaultName>,
    ) -> Result<Option<(Folded, String, BTreeMap<String, String>)>, RunError> {
        let mut left = Vec::new();
        let mut said = String::new();
        let mut binaries = BTreeMap::new();
        for asked in processes {
            let staging = self.fresh_folder()?;
            let mut command = Command::new(&asked.executable);
            self.environment(&mut command, job, &staging, fault);
            if let Some(folder) = self.folders.get(&asked.package) {
                command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
            }
            command.env("CARGO_PKG_NAME", &asked.package);
            command.envs(self.library_path(&asked.executable));
            command.arg("--exact").args(&asked.paths);
            if asked.ignored {
                command.arg("--include-ignored");
            }
            let (ended, output) =
                process::run(command, &staging.join("output.txt"), asked.timeout, self.interrupted)
                    .map_err(file_error(&asked.executable))?;
            if ended == Ended::Interrupted {
                return Ok(None);
            }
            said.push_str(&output);
            let (entries, unreadable) = fold::entries(&staging).map_err(file_error(&staging))?;
            let digest = self.executables.get(&asked.executable).cloned().unwrap_or_default();
            binaries.insert(asked.binary.clone(), digest);
            left.push(fold::Left { binary: &asked.binary, names: &asked.names, ended, entries, unreadable });
        }
        let claim = job.falsifier.claim.as_ref();
        let asked = Asked { falsifier: &job.falsifier.id, claim, hash, fault };
        let mut folded = fold::fold(&asked, left);
        for name in &folded.models {
            if let (Err(message), true) = (self.model(name), folded.outcome.is_pass()) {
                folded.outcome = Outcome::Error { message };
                for outcome in folded.tests.values_mut() {
                    *outcome = folded.outcome.clone();
                }
            }
        }
        Ok(Some((folded, said, binaries)))
    }

    /// Run the program of a job in the root. Its exit code decides, and a measured claim takes its value from the
    /// last line of JSON on its output, `{"name": ..., "value": ..., "unit": ..., "n": ...}`.
    fn command(
        &self,
        job: &Job<'_>,
        binding: &CommandBinding,
        fault: Option<&FaultName>,
    ) -> Result<Option<(Folded, String)>, RunError> {
        let staging = self.fresh_folder()?;
        let [program, arguments @ ..] = binding.argv.as_slice() else { return Ok(None) };
        let mut command = Command::new(program);
        self.environment(&mut command, job, &staging, fault);
        command.current_dir(self.place.root).args(arguments);
        let limit = binding.timeout_s.map_or(PATIENCE, |s| Duration::from_secs(u64::from(s)));
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = Instant::now();
        let ran = process::run(command, &staging.join("output.txt"), limit, self.interrupted);
        let (ended, output) = match ran {
            Ok((Ended::Interrupted, _)) => return Ok(None),
            Ok(found) => found,
            Err(error) => return Err(file_error(Path::new(program))(error)),
        };
        let (outcome, measure) = judge_command(job.falsifier.claim.as_ref(), binding, ended, &output);
        let name = format!("command/{}", binding.argv.join(" "));
        let folded = Folded {
            measure,
            fault_hits: 0,
            wall_s: clock.elapsed().as_secs_f64(),
            started_ms: u64::try_from(start.as_millis()).ok(),
            models: BTreeSet::new(),
            tests: BTreeMap::from([(name, outcome.clone())]),
            outcome,
        };
        Ok(Some((folded, output)))
    }

    /// The variable by which an executable finds its shared libraries; asking the compiler for it takes a while.
    fn library_path(&self, executable: &Path) -> Option<(&'static str, OsString)> {
        let folder = executable.parent().unwrap_or(executable).to_owned();
        locked(&self.libraries).entry(folder).or_insert_with(|| library_path(executable, &[])).clone()
    }

    fn fresh_folder(&self) -> Result<PathBuf, RunError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let folder = self.staging.join(number.to_string());
        std::fs::create_dir(&folder).map_err(file_error(&folder))?;
        Ok(folder)
    }

    fn environment(&self, command: &mut Command, job: &Job<'_>, staging: &Path, fault: Option<&FaultName>) {
        clean(command);
        command
            .envs(&job.profile.env)
            .env("CARGO", self.place.cargo)
            // A test finds its root from where it runs; a variable would also reach the builds of other workspaces
            // that it starts.
            .env_remove("PV_ROOT")
            .env("PV_EVIDENCE_DIR", staging)
            .env("PV_GPU", self.place.machine.told())
            .env("PV_REQUIRE", self.manner.required.join(","))
            .env_remove("PV_FAULT")
            .env_remove("PV_FAULT_HITS");
        if let Some(fault) = fault {
            command.env("PV_FAULT", fault.as_str()).env("PV_FAULT_HITS", staging.join("hits"));
        }
    }

    /// The digest of a model file, which must be the one that pv.toml declares.
    fn model(&self, name: &str) -> Result<String, String> {
        let mut known = locked(&self.models);
        if let Some(known) = known.get(name) {
            return known.clone();
        }
        let found = match self.place.settings.models.get(name) {
            None => Err(format!("pv.toml declares no model `{name}`")),
            Some(model) => match record::digest(&self.place.root.join(&model.path)) {
                Ok(digest) if digest == model.sha256 => Ok(digest),
                Ok(digest) => Err(format!("{} has SHA-256 {digest}, not the one of pv.toml", model.path)),
                Err(error) => Err(format!("{}: {error}", model.path)),
            },
        };
        known.entry(name.to_owned()).or_insert(found).clone()
    }

    fn keep(&self, statement: Statement) -> Result<(), RunError> {
        let due = {
            let mut promoted = locked(&self.promoted);
            promoted.pending.push(statement);
            promoted.last.elapsed() >= PROMOTED_EVERY
        };
        if due { self.promote() } else { Ok(()) }
    }

    /// Turns what has ended into records, unless the tree has changed since it was compiled.
    fn promote(&self) -> Result<(), RunError> {
        let mut promoted = locked(&self.promoted);
        promoted.last = Instant::now();
        let pending = std::mem::take(&mut promoted.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let same = match &self.source {
            None => true,
            Some(source) => SourceTree::of(self.place.root)?.tree == source.tree,
        };
        if !same {
            promoted.outdated += pending.len();
            return Ok(());
        }
        for statement in pending {
            self.store.add(&statement, None)?;
            promoted.records.push(statement);
        }
        Ok(())
    }
}

/// `1.95.0`, as the compiler of the root says.
fn toolchain(root: &Path) -> Result<String, RunError> {
    let output = Command::new("rustc").arg("--version").current_dir(root).output();
    let output = output.map_err(|error| RunError::Toolchain(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().nth(1).map(str::to_owned);
    version.ok_or_else(|| RunError::Toolchain(format!("it says `{}`", text.trim())))
}

/// What a program measured.
#[derive(Deserialize)]
struct Measured {
    name: String,
    value: Number,
    unit: String,
    n: u64,
}

/// What a program's end amounts to.
fn judge_command(
    claim: Option<&Claim>,
    binding: &CommandBinding,
    ended: Ended,
    output: &str,
) -> (Outcome, Option<Measure>) {
    let error = |message: String| (Outcome::Error { message }, None);
    let status = match ended {
        Ended::Exited(status) => status,
        Ended::TimedOut(_) | Ended::Interrupted | Ended::Elsewhere => return error(ended.to_string()),
    };
    let Some(claim) = claim else { return error("its falsifier makes no claim".to_owned()) };
    let Some(code) = status.code() else { return error(ended.to_string()) };
    let mut tally = Tally::new(claim.clone());
    if claim.metric == Metric::Predicate {
        let note = format!("it exits with {} (it exited with {code})", binding.exit);
        tally.check(BTreeMap::new(), &note, code == binding.exit);
    } else if code != binding.exit {
        return error(format!("it exited with {code}, not with {}", binding.exit));
    } else {
        let lines = output.lines().rev();
        let measured = lines.filter_map(|line| serde_json::from_str::<Measured>(line).ok()).next();
        let Some(Measured { name, value, unit, n }) = measured else {
            return error("it printed no line {\"name\", \"value\", \"unit\", \"n\"}".to_owned());
        };
        tally.measure(BTreeMap::new(), Some(format!("median of {n}")), &name, value.0, &unit);
    }
    let Judgement { measure, outcome, .. } = tally.judge();
    (outcome, Some(measure))
}
