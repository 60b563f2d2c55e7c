//! `pv lint`: structure, references, sources and bindings of contracts.

use crate::binding::Bindings;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::lint::levels::Levels;
use crate::lint::{self, Comments};
use crate::report::Format;
use crate::workspace::Workspace;
use contract::root::Root;
use std::path::PathBuf;

/// Arguments of `pv lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --strict-test-binding nothing is compiled: bindings are judged by the last compiled ones if no source has
changed since, and are said to be unresolved otherwise.

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
    /// How to print findings
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Run `pv lint`.
///
/// # Errors
/// When a named path does not exist, pv.toml is wrong, or cargo cannot be run.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let workspace = Workspace::read(context, &args.paths)?;
    let (bindings, note) = bindings(args, context, &workspace)?;
    let levels = if args.no_config { Levels::DEFAULT } else { Levels::new(&workspace.repository)? };
    let comments = if args.no_allow { Comments::Ignored } else { Comments::Heeded };
    let findings = lint::run(&workspace, bindings.as_ref(), levels, comments);
    let mut report = workspace.report(findings, context.color());
    report.notes.push(note);
    report.print(args.format, &mut context.stdout())?;
    Ok(report.exit())
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
        let bindings = Bindings::compile(context.cargo(), root, &workspace.repository.settings, contracts())?;
        return Ok((Some(bindings), "binding: compiled".to_owned()));
    }
    Ok(match Bindings::cached(root, &workspace.repository.settings, contracts())? {
        Some(bindings) => {
            (Some(bindings), "binding: as last compiled, no source has changed since".to_owned())
        }
        None => (None, "binding: unresolved (compile with --strict-test-binding)".to_owned()),
    })
}
