//! `pv schema`: the JSON Schema of contracts, for editors, and of records, for those who read or write evidence.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use std::io::Write as _;

/// Arguments of `pv schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Put `# yaml-language-server: $schema=PATH` on the first line of a contract, and VS Code, Helix and Neovim complete
and check it.

Example: pv schema > contract.schema.json
Example: pv schema evidence > evidence.schema.json")]
pub struct Args {
    /// Of what
    #[arg(value_enum, default_value_t)]
    pub of: Of,
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Of {
    /// A contract file
    #[default]
    Contract,
    /// A record of the evidence store
    Evidence,
}

/// Run `pv schema`.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut out = context.stdout();
    let schema = match args.of {
        Of::Contract => contract::schema::json_schema(),
        Of::Evidence => contract::evidence::json_schema(),
    };
    serde_json::to_writer_pretty(&mut out, &schema).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(Exit::Holds)
}
