//! `pv status`: every falsifier's status as it follows from the tree and its evidence.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::status::gather::{Gathered, Knowledge, Stores, gather};
use crate::status::text::{self, Detail};
use crate::status::{badge, markdown, verdict};
use clap::ValueEnum;
use contract::date::Date;
use contract::settings::Settings;
use contract::suggest::nearest;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// Arguments of `pv status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Only committed evidence counts, on whichever machine this runs; --local adds the runs of this one. Nothing is compiled,
unless a status as Markdown or as a badge hinges on it.

Example: pv status FALSIFY-MOE-ROUTER-001 --why
Example: pv status --format markdown --output STATUS.md --check
Example: pv status moe-router-v1 --format badge --output badges/moe-router-v1.svg")]
pub struct Args {
    /// A falsifier, contract or stage [default: all]
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Say what keeps each falsifier from the next rung
    #[arg(long)]
    pub why: bool,
    /// Count the records of this machine's runs too
    #[arg(long)]
    pub local: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write it to a file
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write nothing: fail when the file says something else
    #[arg(long, requires = "output")]
    pub check: bool,
}

/// How a status is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For STATUS.md: no time and no commit, the same bytes for the same tree
    Markdown,
    /// One line of SVG with counts and denominator, of everything or of a contract; the same bytes for the same tree
    Badge,
}

/// Run `pv status`.
///
/// # Errors
/// When there is no such id, pv.toml is wrong, or something cannot be read or written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let dir = context.root()?;
    let repository = context.repository()?;
    let Some(root) = &repository.root else {
        return Err(Error::Usage(format!("no contract root at {}", dir.display())));
    };
    let stores = if args.local { Stores::WithLocal } else { Stores::Committed };
    // What is committed says the same on every day; whether something has expired is for a check to say.
    let committed = matches!(args.format, Format::Markdown | Format::Badge);
    let today: Option<Date> = (!committed).then(|| context.today());
    let read = |knowledge| gather(context.cargo(), root, &repository.settings, stores, knowledge, today);
    let gathered = match read(Knowledge::Cached) {
        Ok(gathered) if committed && gathered.status.unresolved > 0 => read(Knowledge::Compiled),
        read => read,
    };
    let gathered = match gathered {
        Ok(gathered) => gathered,
        Err(error) if error.is_finding() => {
            eprintln!("pv: {error}");
            return Ok(Exit::Findings);
        }
        Err(error) => return Err(error.into()),
    };
    let text = match (&args.id, args.format) {
        (Some(id), Format::Text) => one(&gathered, id, args.why)?,
        (Some(id), Format::Badge) => badge_of(&gathered, id)?,
        (Some(_), _) => {
            return Err(Error::Usage("an ID is shown as text or, for a contract, as a badge".to_owned()));
        }
        (None, Format::Text) => whole(&gathered, args, &repository.settings)?,
        (None, Format::Json) => json(&gathered, &repository.settings)?,
        (None, Format::Markdown) => markdown::all(&gathered.status)?,
        (None, Format::Badge) => badge::overall(&gathered.status),
    };
    let exit = judge(&gathered, &repository.settings);
    // The process ends soon: giving back a million small pieces one by one would take longer than deriving did.
    std::mem::forget(gathered);
    let Some(output) = &args.output else {
        let mut out = context.stdout();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        return Ok(exit);
    };
    let path = context.cwd().join(output);
    if !args.check {
        crate::atomic::write(&path, text.as_bytes()).map_err(Error::file(output))?;
        return Ok(exit);
    }
    let written = std::fs::read_to_string(&path).map_err(Error::file(output))?;
    if written == text {
        return Ok(exit);
    }
    let difference = written.lines().zip(text.lines()).position(|(old, new)| old != new);
    let line = difference.unwrap_or_else(|| written.lines().count().min(text.lines().count())) + 1;
    let said = |text: &str| text.lines().nth(line - 1).unwrap_or("(nothing)").to_owned();
    eprintln!("pv: {}:{line} is not what follows from this tree", output.display());
    eprintln!("  it says  {}\n  it is    {}", said(&written), said(&text));
    Ok(exit.max(Exit::Findings))
}

/// The whole table, with what it leaves out.
fn whole(gathered: &Gathered, args: &Args, settings: &Settings) -> Result<String, Error> {
    let detail = if args.why { Detail::Why } else { Detail::Lines };
    let mut text = text::all(&gathered.status, detail)?;
    for file in gathered.broken() {
        let _ = writeln!(text, "{file} has errors and counts for nothing (pv validate)");
    }
    if gathered.legacy() > 0 {
        let _ = writeln!(text, "{} legacy contracts have no derived status (pv migrate)", gathered.legacy());
    }
    for defect in gathered.defects() {
        let _ = writeln!(text, "{}: {}", defect.file, defect.reason);
    }
    let failures = verdict::failures(&gathered.status, &settings.gate);
    if !failures.is_empty() {
        let _ = writeln!(text, "{} of {} fail a check:", failures.len(), gathered.status.falsifiers.declared);
    }
    for failure in failures {
        let _ = writeln!(text, "  {failure}");
    }
    Ok(text)
}

fn json(gathered: &Gathered, settings: &Settings) -> Result<String, Error> {
    let value = serde_json::json!({
        "schema": 1,
        "pv": env!("CARGO_PKG_VERSION"),
        "binding": if gathered.bindings.is_some() { "compiled" } else { "unresolved" },
        "status": gathered.status,
        "failures": verdict::failures(&gathered.status, &settings.gate),
        "broken": gathered.broken(),
        "legacy": gathered.legacy(),
        "defects": gathered.defects(),
        "retracted": gathered.index.retracted,
    });
    let mut text = serde_json::to_string_pretty(&value).map_err(|e| Error::Output(e.into()))?;
    text.push('\n');
    Ok(text)
}

/// What the statuses amount to.
fn judge(gathered: &Gathered, settings: &Settings) -> Exit {
    let wrong = !gathered.broken().is_empty()
        || !gathered.defects().is_empty()
        || !verdict::failures(&gathered.status, &settings.gate).is_empty();
    if wrong {
        Exit::Findings
    } else if gathered.status.falsifiers.declared == 0 {
        Exit::Nothing
    } else {
        Exit::Holds
    }
}

/// The badge of a contract.
fn badge_of(gathered: &Gathered, id: &str) -> Result<String, Error> {
    let contracts = &gathered.status.contracts;
    let found = contracts.iter().find(|contract| contract.id.as_str() == id);
    found.map(badge::contract).ok_or_else(|| {
        let near = nearest(id, contracts.iter().map(|contract| contract.id.as_str()));
        let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        Error::Usage(format!("no contract is called `{id}`{hint}"))
    })
}

/// One falsifier, contract or stage.
fn one(gathered: &Gathered, id: &str, why: bool) -> Result<String, Error> {
    let contracts = &gathered.status.contracts;
    if let Some(found) = contracts.iter().flat_map(|c| &c.falsifiers).find(|f| f.id.as_str() == id) {
        let mut text = text::falsifier(found);
        if why {
            for (axis, error) in gathered.unheld.get(&found.id).into_iter().flatten() {
                let _ = writeln!(text, "  axis {axis} has no digest: {error}");
            }
            for record in gathered.index.records.get(&found.id).into_iter().flatten() {
                let _ = writeln!(text, "  record {}", text::record_line(record));
            }
        }
        return Ok(text);
    }
    let mut text = String::new();
    if let Some(found) = contracts.iter().find(|contract| contract.id.as_str() == id) {
        text::contract(&mut text, found, if why { Detail::Why } else { Detail::Lines });
        return Ok(text);
    }
    if let Some(found) = contracts.iter().flat_map(|c| &c.stages).find(|stage| stage.id.as_str() == id) {
        let _ = writeln!(text, "{}", text::stage_line(found));
        for open in &found.open {
            let _ = writeln!(text, "  open: {open}");
        }
        return Ok(text);
    }
    let ids = contracts.iter().flat_map(|contract| {
        let falsifiers = contract.falsifiers.iter().map(|falsifier| falsifier.id.as_str());
        let stages = contract.stages.iter().map(|stage| stage.id.as_str());
        falsifiers.chain(stages).chain([contract.id.as_str()])
    });
    let hint = nearest(id, ids).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    Err(Error::Usage(format!("no falsifier, contract or stage is called `{id}`{hint}")))
}
