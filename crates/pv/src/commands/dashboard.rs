//! `pv dashboard`: every status as a site of pages.

use crate::context::Context;
use crate::dashboard::{Basis, folder, pages, source};
use crate::error::Error;
use crate::exit::Exit;
use crate::status::gather::{Knowledge, Stores, gather};
use crate::status::verdict;
use crate::workspace::sources;
use std::io::Write as _;
use std::path::PathBuf;

/// Arguments of `pv dashboard`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The pages are static and load nothing: serve the folder, or open its index.html. badge.svg and badge/CONTRACT.svg are
badges for a README. They are written whole or not at all;
a folder that holds anything but an earlier dashboard is left alone. Nothing is compiled.

Example: pv dashboard -o site
Example: pv dashboard -o site --local   # with the runs of this machine")]
pub struct Args {
    /// The folder of the site
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Count the records of this machine's runs too
    #[arg(long)]
    pub local: bool,
    /// Replace a folder that holds something else, with all it holds
    #[arg(long)]
    pub force: bool,
}

/// Run `pv dashboard`.
///
/// # Errors
/// When there is no root, pv.toml is wrong, something cannot be read, or the folder cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let dir = context.root()?;
    let repository = context.repository()?;
    let Some(root) = &repository.root else {
        return Err(Error::Usage(format!("no contract root at {}", dir.display())));
    };
    let settings = &repository.settings;
    let stores = if args.local { Stores::WithLocal } else { Stores::Committed };
    let today = context.today();
    let (gathered, tests) = rayon::join(
        || gather(context.cargo(), root, settings, stores, Knowledge::Cached, Some(today)),
        || source::tests(dir, &sources(dir)),
    );
    let gathered = match gathered {
        Ok(gathered) => gathered,
        Err(error) if error.is_finding() => {
            eprintln!("pv: {error}");
            return Ok(Exit::Findings);
        }
        Err(error) => return Err(error.into()),
    };
    let mut notes: Vec<String> = gathered.broken();
    for file in &mut notes {
        file.push_str(" has errors and counts for nothing");
    }
    if gathered.legacy() > 0 {
        notes.push(format!("{} legacy contracts have no derived status", gathered.legacy()));
    }
    notes.extend(gathered.defects().iter().map(|defect| format!("{}: {}", defect.file, defect.reason)));
    let failures = verdict::failures(&gathered.status, &settings.gate);
    notes.extend(failures.iter().map(|failure| format!("Fails a check: {failure}")));
    let contracts = gathered.contracts();
    let basis = Basis {
        contracts: &contracts,
        settings,
        records: &gathered.index.records,
        current: &gathered.current,
        unheld: &gathered.unheld,
        status: &gathered.status,
        tests: &tests,
        notes: &notes,
        today,
    };
    let pages = pages(basis)?;
    folder::replace(&context.cwd().join(&args.output), dir, &pages, args.force)?;
    let mut out = context.stdout();
    writeln!(out, "{} pages in {}: {}", pages.len(), args.output.display(), gathered.status.falsifiers)?;
    out.flush()?;
    let exit = if gathered.status.falsifiers.declared == 0 { Exit::Nothing } else { Exit::Holds };
    // The process ends: giving back a million small pieces one by one would take longer than deriving did.
    drop(pages);
    std::mem::forget(gathered);
    Ok(exit)
}
