//! `pv generate`: tests written from the `generate:` blocks of contracts.

use crate::atomic;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::generate::{Difference, FOLDER, Generated};
use crate::workspace::Workspace;
use std::io::Write as _;

/// Arguments of `pv generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The files lie in tests/generated and are checked in; `pv lint` holds them current. A test calls the function that its
block names, for every cell of the claim at both ends of every range, then for cases drawn from the seed.

Example: pv generate
Example: pv generate --check   # in CI")]
pub struct Args {
    /// Write nothing; exit with 1 if a file is missing, out of date, or asked for by no contract
    #[arg(long)]
    pub check: bool,
}

/// Run `pv generate`.
///
/// # Errors
/// When there is no root, pv.toml is wrong, or a file cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let dir = context.root()?;
    let workspace = Workspace::read(context, &[])?;
    let generated = Generated::of(&workspace);
    let mut out = context.stdout();
    for refused in &generated.refused {
        let place = workspace.files[refused.file].source.location(refused.span);
        let (path, line) = (place.path.display(), place.start.line);
        let help = refused.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        writeln!(out, "{path}:{line}: {}{help}", refused.message)?;
    }
    let differences = generated.differences(dir);
    for (path, difference) in &differences {
        if args.check {
            writeln!(out, "{path} {difference}")?;
            continue;
        }
        let full = dir.join(path);
        let done = if *difference == Difference::LeftOver {
            std::fs::remove_file(&full).map_err(Error::file(&full))?;
            "removed"
        } else {
            let text = path.rsplit('/').next().and_then(|name| generated.files.get(name));
            atomic::write(&full, text.map(String::as_bytes).unwrap_or_default())
                .map_err(Error::file(&full))?;
            "written"
        };
        writeln!(out, "{path} {done}")?;
    }
    let current = generated.files.len()
        - differences.values().filter(|difference| **difference != Difference::LeftOver).count();
    writeln!(
        out,
        "{} tests in {} files of {FOLDER}: {current} were current, {} were not; {} blocks refused",
        generated.tests,
        generated.files.len(),
        differences.len(),
        generated.refused.len()
    )?;
    out.flush()?;
    Ok(match (generated.refused.is_empty(), differences.is_empty() || !args.check) {
        (true, true) if generated.tests == 0 && differences.is_empty() => Exit::Nothing,
        (true, true) => Exit::Holds,
        _ => Exit::Findings,
    })
}
