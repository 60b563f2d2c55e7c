//! `pv run`: falsifiers run, their results recorded in the work tree's own store.

use crate::binding::Bindings;
use crate::binding::build::Flavour;
use crate::context::{Context, Repository};
use crate::error::Error;
use crate::evidence::bundle;
use crate::exit::Exit;
use crate::faults;
use crate::run::job::{Jobs, Left, Selection};
use crate::run::machine::Machine;
use crate::run::progress::Progress;
use crate::run::{self, Catch, FaultSet, Manner, Place, Report, text};
use clap::ValueEnum;
use contract::Loaded;
use contract::evidence::Outcome;
use contract::id::FaultName;
use contract::schema::Contract;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Arguments of `pv run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The tests are compiled first. Results are recorded under target/pv, which git ignores; `pv evidence record` commits
them. Ctrl-C ends the running tests and keeps what had ended.

Example: pv run --only FALSIFY-MOE-ROUTER-001,gguf-loader-v1
Example: pv run --faults
Example: pv run --profile gpu --require cuda --bundle h200.pvb")]
pub struct Args {
    /// Falsifiers or contracts [default: all]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Profiles of pv.toml [default: all that this machine can run]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub profile: Vec<String>,
    /// Build with planted faults and run each falsifier under those that it declares
    #[arg(long)]
    pub faults: bool,
    /// Run each falsifier under every planted fault
    #[arg(long, requires = "faults")]
    pub matrix: bool,
    /// Fail instead of skipping where a need is not met: cuda, gpu-memory, model, data or all
    #[arg(long, value_name = "NEED", value_delimiter = ',')]
    pub require: Vec<Require>,
    /// Processes at once [default: the number of cores; one on a host class that is exclusive]
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Write the records into one file too, for `pv evidence import` elsewhere
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Needs whose absence fails a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Require {
    /// A CUDA device
    Cuda,
    /// Enough memory on it
    GpuMemory,
    /// Model files
    Model,
    /// Data files
    Data,
    /// Everything
    All,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

impl Args {
    /// A plain run of everything.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            only: Vec::new(),
            profile: Vec::new(),
            faults: false,
            matrix: false,
            require: Vec::new(),
            jobs: None,
            bundle: None,
            format: Format::Text,
        }
    }

    fn flavour(&self) -> Flavour {
        if self.faults { Flavour::Faults } else { Flavour::Plain }
    }
}

/// What was run and what was not.
pub struct Outcomes {
    /// The results.
    pub report: Report,
    /// What was not run.
    pub left: Vec<Left>,
}

/// Run `pv run`.
///
/// # Errors
/// When there is no root, pv.toml is wrong, cargo cannot be run, or a selection names nothing.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let dir = context.root()?;
    let repository = context.repository()?;
    let Some(root) = &repository.root else {
        return Err(Error::Usage(format!("no contract root at {}", dir.display())));
    };
    let loaded = root.load_all();
    let contracts = || loaded.iter().filter_map(|file| file.contract.as_ref());
    let bindings =
        Bindings::compile(context.cargo(), dir, &repository.settings, args.flavour(), contracts())?;
    let outcomes = execute(args, context, &repository, &loaded, &bindings)?;
    let mut out = context.stdout();
    match args.format {
        Format::Text => out.write_all(shown(args, &outcomes).as_bytes())?,
        Format::Json => out.write_all(json(args, &outcomes)?.as_bytes())?,
    }
    out.flush()?;
    Ok(judge(args, &outcomes))
}

/// Run what the arguments select of contracts whose tests are compiled.
///
/// # Errors
/// When a selection names nothing, or the tree or the store cannot be used.
pub fn execute(
    args: &Args,
    context: &Context,
    repository: &Repository,
    loaded: &[Loaded],
    bindings: &Bindings,
) -> Result<Outcomes, Error> {
    let root = context.root()?;
    let settings = &repository.settings;
    let machine = Machine::here();
    let paths: Vec<(String, &Contract)> = loaded
        .iter()
        .filter_map(|file| {
            let path = file.source.path();
            let path = path.strip_prefix(root).unwrap_or(path);
            Some((path.to_string_lossy().replace('\\', "/"), file.contract.as_ref()?))
        })
        .collect();
    let contracts: Vec<(&str, &Contract)> =
        paths.iter().map(|(path, contract)| (path.as_str(), *contract)).collect();
    let selection = Selection {
        only: args.only.iter().cloned().collect(),
        profiles: args.profile.iter().cloned().collect(),
    };
    let Jobs { jobs, left } = Jobs::of(&contracts, settings, bindings, &machine, &selection)
        .map_err(|unknown| Error::Usage(unknown.to_string()))?;
    let exclusive = |host: &str| settings.hosts.get(host).is_some_and(|class| class.exclusive);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let alone = jobs.iter().any(|job| exclusive(job.host));
    let manner = Manner {
        flavour: args.flavour(),
        required: args.require.iter().map(|need| word(*need)).collect(),
        jobs: args.jobs.map_or(if alone { 1 } else { cores }, std::num::NonZeroUsize::get),
        faults: if args.matrix { FaultSet::All(planted(repository)) } else { FaultSet::Declared },
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    // A second command in one process would find a handler installed, which then serves both.
    let _ = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));
    let place = Place { cargo: context.cargo(), root, settings, machine: &machine };
    let report = run::run(place, &manner, &jobs, &interrupted, &Progress::default())?;
    if let Some(path) = &args.bundle {
        let bytes = bundle::write(&report.records).map_err(|e| Error::Output(std::io::Error::other(e)))?;
        crate::atomic::write(&context.cwd().join(path), &bytes).map_err(Error::file(path))?;
    }
    Ok(Outcomes { report, left })
}

fn word(need: Require) -> String {
    need.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn planted(repository: &Repository) -> Vec<FaultName> {
    let Some(root) = &repository.root else { return Vec::new() };
    let tree = crate::workspace::sources(root.dir());
    let product = faults::planted(root.dir(), &tree).into_iter().filter(|(_, site)| site.product);
    product.filter_map(|(name, _)| FaultName::parse(&name).ok()).collect()
}

/// The results for people.
#[must_use]
pub fn shown(args: &Args, outcomes: &Outcomes) -> String {
    let Outcomes { report, left } = outcomes;
    if args.faults { text::faults(report, left) } else { text::results(report, left) }
}

fn json(args: &Args, outcomes: &Outcomes) -> Result<String, Error> {
    let Outcomes { report, left } = outcomes;
    let value = serde_json::json!({
        "schema": 1,
        "pv": env!("CARGO_PKG_VERSION"),
        "run": report.run,
        "faults": args.faults,
        "results": report.done,
        "redControls": report.red_controls,
        "notRun": left,
        "recorded": report.records.len(),
        "outdated": report.outdated,
        "interrupted": report.interrupted,
    });
    let mut text = serde_json::to_string_pretty(&value).map_err(|e| Error::Output(e.into()))?;
    text.push('\n');
    Ok(text)
}

/// What the results amount to.
#[must_use]
pub fn judge(args: &Args, outcomes: &Outcomes) -> Exit {
    let Outcomes { report, left } = outcomes;
    let bad = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Error { .. });
    let wrong = if args.faults {
        !report.red_controls.is_empty()
            || report.done.iter().any(|done| done.declared && done.catch() != Catch::Caught)
    } else {
        report.done.iter().any(|done| bad(&done.outcome))
    };
    let lost = report.outdated > 0 || report.interrupted || !report.unheld.is_empty();
    if wrong || lost || left.iter().any(|one| one.broken) {
        Exit::Findings
    } else if report.done.is_empty() {
        Exit::Nothing
    } else {
        Exit::Holds
    }
}
