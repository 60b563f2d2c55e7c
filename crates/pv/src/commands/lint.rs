//! `pv lint`: structure, references, sources and bindings of contracts.

use crate::binding::Bindings;
use crate::binding::build::Flavour;
use crate::cache::Cache;
use crate::context::{Context, Repository};
use crate::error::Error;
use crate::exit::Exit;
use crate::lint::known::{self, Baseline, Reach};
use crate::lint::levels::Levels;
use crate::lint::{self, Comments};
use crate::report::{Format, Report};
use crate::revision::Revision;
use crate::workspace::{Open, Workspace};
use contract::root::Root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Arguments of `pv lint`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Without --strict-test-binding nothing is compiled: bindings are judged by the last compiled ones if no source has
changed since, and are said to be unresolved otherwise.

Findings about compiled tests are never those of an earlier revision, which is not compiled: --new-from shows them all.

Example: pv lint --strict-test-binding contracts")]
pub struct Args {
    /// Contract files or folders of them [default: the contracts of the root]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Compile the tests and hold every binding against them
    #[arg(long)]
    pub strict_test_binding: bool,
    /// Ignore the severities of pv.toml
    #[arg(long)]
    pub no_config: bool,
    /// Ignore comments that allow findings
    #[arg(long)]
    pub no_allow: bool,
    /// Report only what was not found at this git revision
    #[arg(long, value_name = "REV")]
    pub new_from: Option<String>,
    /// Report only what this file does not hold, and what it holds in vain
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write the baseline if there is none; remove from it what is found no more
    #[arg(long, requires = "baseline")]
    pub update_baseline: bool,
    /// Let no entry of the baseline count that it did not have at this git revision
    #[arg(long, value_name = "REV", requires = "baseline")]
    pub baseline_from: Option<String>,
    /// How to print findings
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Run `pv lint`.
///
/// # Errors
/// When a named path does not exist, pv.toml or the baseline is wrong, there is no such revision, or cargo cannot
/// be run.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    judged(args, context, |mut report| {
        report.print(args.format, &mut context.stdout())?;
        let exit = report.exit();
        std::mem::forget(std::mem::take(&mut report.findings));
        Ok(exit)
    })
}

/// What `pv lint` reports, before it is printed.
///
/// # Errors
/// As [`run`], and what `then` fails with.
pub fn judged<T>(
    args: &Args,
    context: &Context,
    then: impl FnOnce(Report<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut workspace = Workspace::read(context, &args.paths)?;
    let (bindings, note) = bindings(args, context, &workspace)?;
    let alone = workspace.take_findings();
    let levels = if args.no_config { Levels::DEFAULT } else { Levels::new(&workspace.repository)? };
    let comments = if args.no_allow { Comments::Ignored } else { Comments::Heeded };
    let findings = lint::run(&workspace, alone, bindings.as_ref(), levels, comments);
    let mut report = workspace.report(findings, context.color());
    report.notes.push(note);
    if let Some(name) = &args.new_from {
        let base = base(context);
        let revision = Revision::export(base, name)?;
        let known = earlier(args, context, &workspace, base, &revision, |earlier| {
            known::subtract(&mut report, earlier)
        })?;
        report.notes.push(format!("findings of {name} that are left out: {known}"));
    }
    if let Some(path) = &args.baseline {
        against_baseline(path, args, context, &workspace, bindings.is_some(), &mut report)?;
    }
    let judged = then(report);
    // There may be very much to free, and whoever asks for a judgement ends with it.
    std::mem::forget(workspace);
    judged
}

/// The folder that paths of findings are relative to.
fn base(context: &Context) -> &Path {
    context.root_if_any().unwrap_or(context.cwd())
}

/// Lint the same paths of an earlier revision under today's settings.
fn earlier<T>(
    args: &Args,
    context: &Context,
    workspace: &Workspace,
    base: &Path,
    revision: &Revision,
    then: impl FnOnce(&Report<'_>) -> T,
) -> Result<T, Error> {
    let mut paths = Vec::new();
    let real = base.canonicalize().map_err(Error::file(base))?;
    for path in &args.paths {
        let full = context.cwd().join(path).canonicalize().map_err(Error::file(path))?;
        let inside = full.strip_prefix(&real).map_err(|_| {
            Error::Usage(format!("{}: --new-from needs paths below {}", path.display(), base.display()))
        })?;
        paths.push(revision.root().join(inside));
    }
    let asked = !paths.is_empty();
    paths.retain(|path| path.exists());
    let there = Context::at(revision.root(), context.today());
    let Repository { settings, text, .. } = &workspace.repository;
    let repository =
        Repository { root: Some(Root::at(revision.root())), settings: settings.clone(), text: text.clone() };
    // What did not exist then had no findings.
    let nothing = asked && paths.is_empty();
    let mut then_there = if nothing {
        None
    } else {
        Some(Workspace::of(&there, repository, &paths, &mut Cache::default(), &Open::default())?)
    };
    let report = match &mut then_there {
        None => Report::default(),
        Some(earlier) => {
            let alone = earlier.take_findings();
            let levels = if args.no_config { Levels::DEFAULT } else { Levels::new(&earlier.repository)? };
            let comments = if args.no_allow { Comments::Ignored } else { Comments::Heeded };
            let findings = lint::run(earlier, alone, None, levels, comments);
            earlier.report(findings, false)
        }
    };
    Ok(then(&report))
}

/// Take out what the baseline holds, and bring it up to date if asked to.
fn against_baseline(
    path: &Path,
    args: &Args,
    context: &Context,
    workspace: &Workspace,
    bindings: bool,
    report: &mut Report<'_>,
) -> Result<(), Error> {
    let full = context.cwd().join(path);
    let named: BTreeSet<&Path> =
        workspace.files.iter().filter(|file| file.named).map(|file| file.source.path()).collect();
    let reach = Reach { whole: workspace.is_whole(), named: &named, bindings };
    let is_new = args.update_baseline && !full.exists();
    let mut baseline = if is_new { Baseline::of(report, &full, path) } else { Baseline::read(&full, path)? };
    if let Some(name) = args.baseline_from.as_ref().filter(|_| !is_new) {
        let base = base(context);
        baseline.no_larger_than(&Revision::export(base, name)?, base)?;
    }
    if args.update_baseline {
        baseline.shrink(report, reach)?;
    }
    let known = baseline.apply(report, reach);
    report.notes.push(format!("findings of the baseline that are left out: {known} of {}", baseline.len()));
    Ok(())
}

/// The compiled bindings, and how they came about.
fn bindings(
    args: &Args,
    context: &Context,
    workspace: &Workspace,
) -> Result<(Option<Bindings>, String), Error> {
    let Some(root) = workspace.repository.root.as_ref().map(Root::dir) else {
        if args.strict_test_binding {
            return Err(Error::Usage(
                "--strict-test-binding needs a contract root with a pv.toml".to_owned(),
            ));
        }
        return Ok((None, "binding: unresolved (no pv.toml)".to_owned()));
    };
    let contracts = || workspace.contracts().map(|(_, contract)| contract);
    if args.strict_test_binding {
        let bindings = Bindings::compile(
            context.cargo(),
            root,
            &workspace.repository.settings,
            Flavour::Plain,
            contracts(),
        )?;
        return Ok((Some(bindings), "binding: compiled".to_owned()));
    }
    Ok(match Bindings::cached(root, &workspace.repository.settings, contracts())? {
        Some(bindings) => {
            (Some(bindings), "binding: as last compiled, no source has changed since".to_owned())
        }
        None => (None, "binding: unresolved (compile with --strict-test-binding)".to_owned()),
    })
}
