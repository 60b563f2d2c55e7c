//! `pv fix`: the changes that findings offer, made where they are safe.

use crate::atomic;
use crate::cache::Cache;
use crate::context::Context;
use crate::edit;
use crate::error::Error;
use crate::exit::Exit;
use crate::lint::levels::Levels;
use crate::lint::{self, Comments};
use crate::report::{Format, Report};
use crate::workspace::{Open, Workspace};
use contract::diagnostic::{Diagnostic, Edit};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

/// Arguments of `pv fix`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Only what a finding marks is changed; comments and spacing stay. What remains is for `pv lint` to say.

Example: pv fix contracts/moe-router-v1.yaml")]
pub struct Args {
    /// Contract files or folders of them [default: the contracts of the root]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Change nothing; list what would be changed and exit with 1 if there is anything
    #[arg(long)]
    pub check: bool,
}

/// One change may uncover another. No contract needs more rounds than this.
const ROUNDS: usize = 8;

/// Run `pv fix`.
///
/// # Errors
/// When a named path does not exist, pv.toml is wrong, or a file cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut out = context.stdout();
    if args.check {
        let mut workspace = Workspace::read(context, &args.paths)?;
        let report = fixable(&mut workspace, context)?;
        report.print(Format::Text, &mut out)?;
        let found = if report.findings.is_empty() { report.exit() } else { Exit::Findings };
        return Ok(found);
    }
    let mut repaired: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut checked = 0;
    for _ in 0..ROUNDS {
        // Read without a memory: what is edited is the text that was judged.
        let (repository, open) = (context.repository()?, Open::default());
        let mut workspace = Workspace::of(context, repository, &args.paths, &mut Cache::default(), &open)?;
        checked = workspace.files.iter().filter(|file| file.named).count();
        let findings = fixable(&mut workspace, context)?.findings;
        let mut made = 0;
        for file in workspace.files.iter().filter(|file| file.named) {
            let own = findings.iter().filter(|finding| *finding.location.path == *file.source.path());
            let edits: Vec<&Edit> = own.filter_map(|f| f.fix.as_ref()).flat_map(|fix| &fix.edits).collect();
            if edits.is_empty() {
                continue;
            }
            let (text, count) = edit::apply(file.source.text(), edits);
            atomic::write(&file.path, text.as_bytes()).map_err(Error::file(&file.path))?;
            *repaired.entry(file.source.path().to_owned()).or_default() += count;
            made += count;
        }
        if made == 0 {
            break;
        }
    }
    for (path, count) in &repaired {
        writeln!(out, "{}: {count}", path.display())?;
    }
    writeln!(out, "{} repairs in {} of {checked} files", repaired.values().sum::<usize>(), repaired.len())?;
    out.flush()?;
    Ok(if checked == 0 { Exit::Nothing } else { Exit::Holds })
}

/// The findings that offer a change.
fn fixable<'w>(workspace: &'w mut Workspace, context: &Context) -> Result<Report<'w>, Error> {
    let alone = workspace.take_findings();
    let levels = Levels::new(&workspace.repository)?;
    let findings = lint::run(workspace, alone, None, levels, Comments::Heeded);
    let findings: Vec<Diagnostic> = findings.into_iter().filter(|finding| finding.fix.is_some()).collect();
    Ok(workspace.report(findings, context.color()))
}
