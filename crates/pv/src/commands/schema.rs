//! `pv schema`: the JSON Schema of contracts, for editors.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use std::io::Write as _;

/// Arguments of `pv schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Put `# yaml-language-server: $schema=PATH` on the first line of a contract, and VS Code, Helix and Neovim complete
and check it.

Example: pv schema > contract.schema.json")]
pub struct Args {}

/// Run `pv schema`.
///
/// # Errors
/// When the output cannot be written.
pub fn run(_args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut out = context.stdout();
    serde_json::to_writer_pretty(&mut out, &contract::schema::json_schema()).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(Exit::Holds)
}
