//! `pv completions`: what a shell needs to complete the command line.

use crate::cli::Cli;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::Write as _;

/// Arguments of `pv completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: pv completions bash > ~/.local/share/bash-completion/completions/pv")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Run `pv completions`.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pv", &mut text);
    let mut out = context.stdout();
    out.write_all(&text)?;
    out.flush()?;
    Ok(Exit::Holds)
}
