//! `pv diff`: which claims became weaker or stronger between two states of the contracts.

use crate::context::Context;
use crate::diff::{ContractDiff, diff};
use crate::error::Error;
use crate::exit::Exit;
use crate::revision::Revision;
use clap::ValueEnum;
use contract::Loaded;
use contract::root::{Root, list, load_all};
use contract::schema::Contract;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Arguments of `pv diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
OLD and NEW are contract files, folders of contracts, or git revisions. A weaker, changed or removed claim asks for a
major version, a stronger or new one for a minor, other words for a patch.

Example: pv diff origin/main HEAD --exit-code")]
pub struct Args {
    /// The state before
    pub old: String,
    /// The state after [default: the contracts of the root]
    pub new: Option<String>,
    /// Exit with 1 when a version was raised too little
    #[arg(long)]
    pub exit_code: bool,
    /// How to print the changes
    #[arg(long, value_enum, default_value_t)]
    pub format: DiffFormat,
}

/// How changes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DiffFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For a comment on a pull request
    Markdown,
}

/// Run `pv diff`.
///
/// # Errors
/// When OLD or NEW is nothing, or holds no contract that can be read.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let old = state(&args.old, context)?;
    let new = match &args.new {
        Some(new) => state(new, context)?,
        None => contracts(Root::at(context.root()?).load_all())?,
    };
    let found = diff(&old, &new);
    let mut out = context.stdout();
    match args.format {
        DiffFormat::Text => text(&found, old.len().max(new.len()), &mut out)?,
        DiffFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &found).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        DiffFormat::Markdown => markdown(&found, &mut out)?,
    }
    out.flush()?;
    let under = args.exit_code && found.iter().any(ContractDiff::is_underbumped);
    Ok(if under { Exit::Findings } else { Exit::Holds })
}

/// The contracts of a path or, if there is no such path, of a revision.
fn state(name: &str, context: &Context) -> Result<BTreeMap<String, Contract>, Error> {
    let path = context.cwd().join(name);
    if path.is_dir() {
        let folder = if path.join("pv.toml").is_file() { path.join("contracts") } else { path.clone() };
        return contracts(load_all(&list(&folder, &path).files, &path));
    }
    if path.is_file() {
        return contracts(vec![contract::load(&path, Path::new(name))]);
    }
    if !Revision::exists(context.cwd(), name) {
        return Err(Error::Usage(format!("`{name}` is no file, folder or git revision")));
    }
    let root: &Path = context.root_if_any().unwrap_or(context.cwd());
    let revision = Revision::export(root, name)?;
    contracts(Root::at(revision.root()).load_all())
}

/// The typed contracts by id. A broken one cannot be compared, and saying nothing of it would hide what it lost.
fn contracts(loaded: Vec<Loaded>) -> Result<BTreeMap<String, Contract>, Error> {
    let mut all = BTreeMap::new();
    for loaded in loaded {
        let path: PathBuf = loaded.source.path().to_owned();
        match loaded.contract {
            Some(contract) => drop(all.insert(contract.metadata.id.to_string(), contract)),
            None => {
                let why = loaded.findings.first().map_or("a legacy file", |finding| &finding.message);
                return Err(Error::Usage(format!("{} is no contract of schema 1: {why}", path.display())));
            }
        }
    }
    Ok(all)
}

fn text(found: &[ContractDiff], contracts: usize, out: &mut dyn Write) -> io::Result<()> {
    for diff in found {
        writeln!(out, "{} {}", diff.contract, versions(diff))?;
        for change in &diff.changes {
            let id = change.falsifier.as_deref().unwrap_or_default();
            let gap = if id.is_empty() { "" } else { ": " };
            writeln!(out, "  {:12} {id}{gap}{}", change.direction, change.what)?;
        }
    }
    writeln!(out, "{} of {contracts} contracts changed", found.len())
}

/// The versions, and what they should have done.
fn versions(diff: &ContractDiff) -> String {
    let versions = match (&diff.old, &diff.new) {
        (Some(old), Some(new)) if old == new => old.clone(),
        (Some(old), Some(new)) => format!("{old} -> {new}"),
        (None, Some(new)) => new.clone(),
        (Some(old), None) => old.clone(),
        (None, None) => String::new(),
    };
    if diff.is_underbumped() {
        format!("{versions} (needs a {} version, has {})", diff.needed, diff.made)
    } else {
        versions
    }
}

fn markdown(found: &[ContractDiff], out: &mut dyn Write) -> io::Result<()> {
    if found.is_empty() {
        return writeln!(out, "No claim changed.");
    }
    writeln!(out, "| contract | claim | change |\n|---|---|---|")?;
    for diff in found {
        for change in &diff.changes {
            let id = change.falsifier.as_deref().unwrap_or("");
            let what = change.what.replace('|', "\\|").replace('\n', " ");
            writeln!(
                out,
                "| {} {} | {id} | **{}** {what} |",
                diff.contract,
                versions(diff),
                change.direction
            )?;
        }
    }
    Ok(())
}
