//! `pv lsp`: the language server, over standard input and output.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::lsp;
use lsp_server::Connection;

/// Arguments of `pv lsp`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An editor starts it and speaks the language server protocol with it; docs/editors.md says how to set one up.

Example: pv lsp")]
pub struct Args {
    /// Speak over standard input and output, which is what it always does
    #[arg(long)]
    pub stdio: bool,
}

/// Run `pv lsp`.
///
/// # Errors
/// When the editor leaves the protocol or goes away without a goodbye.
pub fn run(_: &Args, context: &Context) -> Result<Exit, Error> {
    let (connection, threads) = Connection::stdio();
    let served = lsp::serve(context, &connection);
    // The writing thread ends when nothing can be sent any more.
    drop(connection);
    served.map_err(|error| Error::Usage(error.to_string()))?;
    threads.join()?;
    Ok(Exit::Holds)
}
