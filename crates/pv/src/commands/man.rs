//! `pv man`: the manual pages, one per command.

use crate::cli::Cli;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use clap::CommandFactory as _;
use clap_mangen::Man;
use std::io::Write as _;
use std::path::PathBuf;

/// Arguments of `pv man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: pv man ~/.local/share/man/man1")]
pub struct Args {
    /// The folder to write them to [default: print the page of `pv` itself]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Run `pv man`.
///
/// # Errors
/// When a page cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut out = context.stdout();
    match &args.dir {
        None => {
            let mut page = Vec::new();
            Man::new(Cli::command()).render(&mut page)?;
            out.write_all(&page)?;
        }
        Some(dir) => {
            let dir = context.cwd().join(dir);
            std::fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
            clap_mangen::generate_to(Cli::command(), &dir).map_err(Error::file(&dir))?;
        }
    }
    out.flush()?;
    Ok(Exit::Holds)
}
