//! `pv plan`: what must run again, where, and for how long.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::plan::touched::touched;
use crate::plan::{Plan, Shard};
use crate::run::job::selected;
use crate::status::gather::{Gathered, Knowledge, Stores, gather};
use clap::ValueEnum;
use contract::id::FalsifierId;
use contract::settings::Settings;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroUsize;

/// Arguments of `pv plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Only committed evidence counts, and nothing is compiled or run. Minutes are predicted from the times of earlier
records; a falsifier without one is taken to need a second.

Example: pv plan --since origin/main
Example: pv plan --format github --shards 4   # {\"include\": [...]}, the matrix of a job of GitHub Actions
Example: pv plan --only moe-router-v1 --format json")]
pub struct Args {
    /// What is looked at
    #[command(flatten)]
    pub scope: Scope,
    /// How to print the plan
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Jobs per host class and profile, at most
    #[arg(long, value_name = "N", default_value = "1")]
    pub shards: NonZeroUsize,
}

/// Which falsifiers are looked at.
#[derive(Debug, clap::Args)]
pub struct Scope {
    /// Only falsifiers whose claim, test, subjects or other fresh axis differs from this git revision
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,
    /// Falsifiers or contracts [default: all]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// One line: the matrix of a job of GitHub Actions
    Github,
}

/// The statuses of a repository and which of its falsifiers are asked about.
pub(super) struct Survey {
    /// The statuses.
    pub(super) gathered: Gathered,
    /// pv.toml.
    pub(super) settings: Settings,
    /// The falsifiers in scope.
    pub(super) asked: BTreeSet<FalsifierId>,
}

impl Survey {
    /// Derive the statuses from committed evidence and find what the scope names. `None` when the contracts are at
    /// fault, which is then said.
    pub(super) fn of(scope: &Scope, context: &Context) -> Result<Option<Self>, Error> {
        let dir = context.root()?;
        let repository = context.repository()?;
        let Some(root) = &repository.root else {
            return Err(Error::Usage(format!("no contract root at {}", dir.display())));
        };
        let settings = repository.settings;
        let (stores, knowledge) = (Stores::Committed, Knowledge::Cached);
        let today = Some(context.today());
        let gathered = match gather(context.cargo(), root, &settings, stores, knowledge, today) {
            Ok(gathered) => gathered,
            Err(error) if error.is_finding() => {
                eprintln!("pv: {error}");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let only: BTreeSet<String> = scope.only.iter().cloned().collect();
        let mut asked = selected(gathered.contracts().into_iter(), &only)
            .map_err(|unknown| Error::Usage(unknown.to_string()))?;
        if let Some(revision) = &scope.since {
            let touched = touched(context.cargo(), dir, revision, &gathered)?;
            asked.retain(|id| touched.contains(id));
        }
        for file in gathered.broken() {
            eprintln!("pv: {file} has errors and is left out (pv validate)");
        }
        Ok(Some(Self { gathered, settings, asked }))
    }

    /// What must run of what is asked about.
    pub(super) fn plan(&self) -> Plan {
        let Gathered { bindings, index, status, .. } = &self.gathered;
        let contracts = self.gathered.contracts();
        let mut plan = Plan::of(&contracts, &self.settings, bindings.as_ref(), &index.records, status);
        plan.retain(&self.asked);
        plan
    }
}

/// Run `pv plan`.
///
/// # Errors
/// When there is no root, pv.toml is wrong, something cannot be read, or there is no such id or revision.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Some(survey) = Survey::of(&args.scope, context)? else { return Ok(Exit::Findings) };
    let declared = survey.gathered.status.falsifiers.declared;
    let plan = survey.plan();
    let shards = plan.shards(args.shards.get());
    let text = match args.format {
        Format::Text => text(&plan, declared),
        Format::Json => {
            let value = json!({
                "schema": 1, "pv": env!("CARGO_PKG_VERSION"), "declared": declared, "plan": plan,
                "secondsByHost": plan.seconds_by_host(), "shards": shards,
            });
            let mut text = serde_json::to_string_pretty(&value).map_err(|e| Error::Output(e.into()))?;
            text.push('\n');
            text
        }
        Format::Github => github(&shards)?,
    };
    let mut out = context.stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(if declared == 0 { Exit::Nothing } else { Exit::Holds })
}

/// The matrix of a job: one element per shard.
fn github(shards: &[Shard]) -> Result<String, Error> {
    let matrix = json!({ "include": shards });
    let mut text = serde_json::to_string(&matrix).map_err(|e| Error::Output(e.into()))?;
    text.push('\n');
    Ok(text)
}

/// The plan for people. Every line of counts carries its denominator.
fn text(plan: &Plan, declared: usize) -> String {
    let mut text = String::new();
    let width = plan.tasks.iter().map(|task| task.falsifier.as_str().len()).max().unwrap_or(0);
    let by_host: BTreeMap<&str, f64> = plan.seconds_by_host();
    for (host, seconds) in by_host {
        let tasks: Vec<_> = plan.tasks.iter().filter(|task| task.host == host).collect();
        let guessed = tasks.iter().filter(|task| !task.measured).count();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "host {host}: {} to run, about {:.1} min ({guessed} of {} without a record to predict from)",
            tasks.len(),
            seconds / 60.0,
            tasks.len()
        );
        for task in tasks {
            let faults = match (task.control, task.faults.len()) {
                (_, 0) => String::new(),
                (true, faults) => format!(" and {faults} fault(s)"),
                (false, faults) => format!(" {faults} fault(s) only"),
            };
            let id = task.falsifier.as_str();
            let _ = writeln!(text, "  {id:width$}  {:.1} s  profile {}{faults}", task.seconds, task.profile);
            for why in &task.why {
                let _ = writeln!(text, "      {why}");
            }
        }
    }
    if !plan.idle.is_empty() {
        let _ = writeln!(text, "no run mends {} of {}:", plan.idle.len(), plan.declared);
    }
    for idle in &plan.idle {
        let _ = writeln!(text, "  {}: {}", idle.falsifier, idle.why.join("; "));
    }
    let _ = writeln!(
        text,
        "{} of {} falsifiers need nothing; {} of {declared} declared were looked at",
        plan.settled, plan.declared, plan.declared
    );
    text
}
