//! `pv check`: everything about a repository that this machine can establish, in one command.

use super::run::{self, Outcomes};
use crate::binding::Bindings;
use crate::binding::build::Flavour;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::lint::levels::Levels;
use crate::lint::{self, Comments};
use crate::report::{Format, Report};
use crate::status::gather::{Gathered, Knowledge, Stores, gather};
use crate::status::text::{self, Detail};
use crate::status::{markdown, verdict};
use crate::workspace::Workspace;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Where the summary is written, relative to the root.
const SUMMARY: &str = "target/pv/summary.md";

/// Arguments of `pv check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Contracts are validated and linted, every binding is held against the compiled tests, every falsifier that this machine
can run is run, and the status that follows from committed evidence and these runs is printed and written to
target/pv/summary.md. What needs another machine is listed with its reason.

Example: pv check")]
pub struct Args {
    /// Judge by what is recorded; run nothing
    #[arg(long)]
    pub no_run: bool,
}

/// Run `pv check`.
///
/// # Errors
/// When there is no root, pv.toml is wrong, or something cannot be read or written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let dir = context.root()?;
    let mut out = context.stdout();
    let mut workspace = Workspace::read(context, &[])?;
    let alone = workspace.take_findings();
    let settings = &workspace.repository.settings;
    let contracts = workspace.contracts().map(|(_, contract)| contract);
    let bindings = Bindings::compile(context.cargo(), dir, settings, Flavour::Plain, contracts)?;
    let findings =
        lint::run(&workspace, alone, Some(&bindings), Levels::new(&workspace.repository)?, Comments::Heeded);
    let mut report = workspace.report(findings, context.color());
    report.notes.push("binding: compiled".to_owned());
    report.print(Format::Text, &mut out)?;
    let Some(root) = &workspace.repository.root else { return Ok(report.exit()) };
    let loaded = root.load_all();
    let arguments = run::Args::everything();
    let outcomes = if args.no_run {
        None
    } else {
        Some(run::execute(&arguments, context, &workspace.repository, &loaded, &bindings)?)
    };
    let ran = outcomes.as_ref().map(|outcomes| run::shown(&arguments, outcomes)).unwrap_or_default();
    write!(out, "\n{ran}\n")?;
    let today = Some(context.today());
    let gathered = gather(context.cargo(), root, settings, Stores::WithLocal, Knowledge::Cached, today);
    let gathered = match gathered {
        Ok(gathered) => gathered,
        Err(error) if error.is_finding() => {
            eprintln!("pv: {error}");
            return Ok(Exit::Findings);
        }
        Err(error) => return Err(error.into()),
    };
    let failures = verdict::failures(&gathered.status, &settings.gate);
    out.write_all(text::all(&gathered.status, Detail::Lines)?.as_bytes())?;
    for failure in &failures {
        writeln!(out, "fails: {failure}")?;
    }
    for defect in gathered.defects() {
        writeln!(out, "{}: {}", defect.file, defect.reason)?;
    }
    summarise(dir, &report, outcomes.as_ref(), &gathered, &failures)?;
    writeln!(out, "written: {SUMMARY}")?;
    out.flush()?;
    Ok(judge(&report, outcomes.as_ref(), &gathered, &failures))
}

fn summarise(
    dir: &Path,
    report: &Report<'_>,
    outcomes: Option<&Outcomes>,
    gathered: &Gathered,
    failures: &[verdict::Failure],
) -> Result<(), Error> {
    let mut summary = markdown::all(&gathered.status)?;
    let _ = writeln!(summary, "\n## This run\n");
    let _ = writeln!(summary, "- Findings: {}", report.findings.len());
    if let Some(outcomes) = outcomes {
        let ran = run::shown(&run::Args::everything(), outcomes);
        let _ = writeln!(summary, "\n```text\n{ran}```");
    }
    for failure in failures {
        let _ = writeln!(summary, "- Fails: {failure}");
    }
    let path = dir.join(SUMMARY);
    crate::atomic::write(&path, summary.as_bytes()).map_err(Error::file(path))
}

/// A skip or a stale falsifier alone fails nothing; its count is shown.
fn judge(
    report: &Report<'_>,
    outcomes: Option<&Outcomes>,
    gathered: &Gathered,
    failures: &[verdict::Failure],
) -> Exit {
    let ran = outcomes.map_or(Exit::Holds, |outcomes| run::judge(&run::Args::everything(), outcomes));
    let held = if !failures.is_empty() || !gathered.defects().is_empty() || !gathered.broken().is_empty() {
        Exit::Findings
    } else if gathered.status.falsifiers.declared == 0 {
        Exit::Nothing
    } else {
        Exit::Holds
    };
    report.exit().max(ran).max(held)
}
