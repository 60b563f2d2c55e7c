//! The command line as clap types: names, flags and help, no behaviour.

use crate::commands;
use crate::context::{Context, Global};
use crate::error::Error;
use crate::exit::Exit;
use clap::{Parser, Subcommand};

/// Contracts whose status is derived from tests that really ran.
#[derive(Debug, Parser)]
#[command(
    name = "pv",
    version,
    propagate_version = true,
    after_help = "\
Exit codes: 0 holds, 1 findings or a claim that does not hold, 2 nothing was checked, 3 usage or I/O.

Example: pv validate contracts"
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// One row per command: its help line, its variant, its module under `commands`.
macro_rules! commands {
    ($($(#[$meta:meta])* $variant:ident => $module:ident,)*) => {
        /// What `pv` is asked to do.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$meta])* $variant(commands::$module::Args),)*
        }
        impl Command {
            /// Run it.
            ///
            /// # Errors
            /// Usage and I/O errors; a finding is no error but an [`Exit`].
            pub fn run(&self, context: &Context) -> Result<Exit, Error> {
                match self {
                    $(Self::$variant(args) => commands::$module::run(args, context),)*
                }
            }
        }
    };
}

commands! {
    /// Do what a newcomer and CI do: validate, lint, run, and print what follows
    Check => check,
    /// Check the structure of contract files
    Validate => validate,
    /// Check everything about contracts that can be known without running a test
    Lint => lint,
    /// Run the falsifiers that this machine can run
    Run => run,
    /// Print every status as it follows from the tree and its evidence
    Status => status,
    /// Write every status as a site of pages
    Dashboard => dashboard,
    /// Tell what must run again, where, and for how long
    Plan => plan,
    /// Tell whether the evidence suffices to merge, and what is missing
    CanMerge => can_merge,
    /// Keep, list, verify and sign evidence
    Evidence => evidence,
    /// Print the page of a rule
    Explain => explain,
    /// Make the changes that findings offer
    Fix => fix,
    /// Rewrite legacy contracts to schema 1
    Migrate => migrate,
    /// Start a contract or a falsifier
    New => new,
    /// Tell which claims became weaker or stronger
    Diff => diff,
    /// Write the tests that contracts ask to be generated
    Generate => generate,
    /// Draw what builds on what
    Graph => graph,
    /// Print the JSON Schema of contracts
    Schema => schema,
    /// Serve an editor: findings while typing, statuses, definitions, completion, repairs
    Lsp => lsp,
    /// Print what a shell needs to complete commands
    Completions => completions,
    /// Write the manual pages
    Man => man,
}
