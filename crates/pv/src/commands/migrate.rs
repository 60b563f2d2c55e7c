//! `pv migrate`: legacy contracts rewritten to schema 1, comments kept.

use crate::atomic;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::migrate::migrate;
use crate::report::{Counts, Format, Report};
use contract::diagnostic::{Diagnostic, Severity};
use contract::root::list;
use contract::source::Source;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;

/// Arguments of `pv migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys that schema 1 has no place for keep their content under `x-KEY`. A test that is prose becomes `x-test`, and its
falsifier `proposed`.

Example: pv migrate contracts/trace-moe-gpu-sub-stages-v1.yaml")]
pub struct Args {
    /// Legacy contract files, or folders of them
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Change nothing; exit with 1 if a file is not migrated or cannot be
    #[arg(long)]
    pub check: bool,
}

/// Run `pv migrate`.
///
/// # Errors
/// When a named path does not exist, or a file cannot be read or written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut files = Vec::new();
    for path in &args.paths {
        let full = context.cwd().join(path);
        if full.metadata().map_err(Error::file(path))?.is_dir() {
            files.extend(list(&full, context.cwd()).files);
        } else {
            files.push(full);
        }
    }
    let mut out = context.stdout();
    let (mut done, mut left, mut skipped) = (0, 0, 0);
    for path in &files {
        let shown = path.strip_prefix(context.cwd()).unwrap_or(path);
        let source = match Source::read(path, shown) {
            Ok(source) => source,
            Err(refused) => {
                writeln!(out, "{}: {}", shown.display(), refused.finding.message)?;
                left += 1;
                continue;
            }
        };
        match migrate(&source) {
            Err(why) => {
                writeln!(out, "{}: {why}", shown.display())?;
                skipped += 1;
            }
            Ok(migrated) if has_errors(&migrated.findings) => {
                let text = Source::new(shown, migrated.text);
                let sources = HashMap::from([(shown.as_os_str(), &text)]);
                let (counts, notes, others) =
                    (Counts { files: 1, ..Counts::default() }, Vec::new(), HashMap::new());
                let findings = migrated.findings;
                let report = Report { findings, counts, notes, sources, others, color: context.color() };
                writeln!(out, "{}: what is left needs a person; nothing was written", shown.display())?;
                report.print(Format::Text, &mut out)?;
                left += 1;
            }
            Ok(migrated) => {
                if !args.check {
                    atomic::write(path, migrated.text.as_bytes()).map_err(Error::file(path))?;
                }
                let verb = if args.check { "can be migrated" } else { "migrated" };
                writeln!(out, "{}: {verb}", shown.display())?;
                done += 1;
            }
        }
    }
    let verb = if args.check { "to migrate" } else { "migrated" };
    writeln!(out, "{} files = {done} {verb} + {left} to be done by hand + {skipped} skipped", files.len())?;
    out.flush()?;
    Ok(match (files.len(), left > 0 || (args.check && done > 0)) {
        (0, _) => Exit::Nothing,
        (_, true) => Exit::Findings,
        (_, false) => Exit::Holds,
    })
}

fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}
