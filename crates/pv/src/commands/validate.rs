//! `pv validate`: the structure of contract files, without looking at what their references point to.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::lint::Rule;
use crate::report::Format;
use crate::workspace::Workspace;
use std::path::PathBuf;

/// Arguments of `pv validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: pv validate contracts/moe-router-v1.yaml")]
pub struct Args {
    /// Contract files or folders of them [default: the contracts of the root]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How to print findings
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Run `pv validate`.
///
/// # Errors
/// When a named path does not exist, or pv.toml is wrong.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let workspace = Workspace::read(context, &args.paths)?;
    let structural = |rule: &str| Rule::named(rule).is_some_and(Rule::is_structural);
    let findings = workspace.files.iter().flat_map(|file| &file.analysis.findings);
    let findings = findings.filter(|finding| structural(&finding.rule)).cloned().collect();
    let report = workspace.report(findings, context.color());
    report.print(args.format, &mut context.stdout())?;
    let exit = report.exit();
    drop(report);
    // There may be very much to free, and the program ends here.
    std::mem::forget(workspace);
    Ok(exit)
}
