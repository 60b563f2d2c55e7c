//! `pv explain`: the page of a rule.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::lint::{RULES, Rule};
use contract::suggest::nearest;
use std::io::Write as _;

/// Arguments of `pv explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: pv explain dangling-reference")]
pub struct Args {
    /// A rule [default: list them all]
    #[arg(value_name = "RULE")]
    pub topic: Option<String>,
}

/// Run `pv explain`.
///
/// # Errors
/// When there is no such rule.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut out = context.stdout();
    let Some(topic) = &args.topic else {
        for rule in RULES {
            writeln!(out, "{:24} {:8} {}", rule.id, rule.severity.name(), rule.summary())?;
        }
        out.flush()?;
        return Ok(Exit::Holds);
    };
    let Some(rule) = Rule::named(topic) else {
        let near = nearest(topic, RULES.iter().map(|rule| rule.id));
        let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        return Err(Error::Usage(format!("there is no rule `{topic}`{hint}")));
    };
    write!(out, "# {} ({})\n\n{}\n", rule.id, rule.severity.name(), rule.page())?;
    out.flush()?;
    Ok(Exit::Holds)
}
