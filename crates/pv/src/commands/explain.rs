//! `pv explain`: the page of a rule, or what a contract or a falsifier says, in words.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::lint::{RULES, Rule};
use crate::workspace::{File, Workspace};
use contract::claim::{Bound, Claim};
use contract::schema::{Contract, Falsifier, Faults};
use contract::suggest::nearest;
use std::fmt::{self, Write as _};
use std::io::Write as _;

/// Arguments of `pv explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: pv explain dangling-reference
Example: pv explain FALSIFY-MOE-ROUTER-001")]
pub struct Args {
    /// A rule, or the id of a falsifier or contract [default: list the rules]
    #[arg(value_name = "RULE|ID")]
    pub topic: Option<String>,
}

/// Run `pv explain`.
///
/// # Errors
/// When there is no such rule or id.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut out = context.stdout();
    match &args.topic {
        None => {
            for rule in RULES {
                writeln!(out, "{:24} {:8} {}", rule.id, rule.severity.name(), rule.summary())?;
            }
        }
        Some(topic) => match Rule::named(topic) {
            Some(rule) => write!(out, "# {} ({})\n\n{}\n", rule.id, rule.severity.name(), rule.page())?,
            None => write!(out, "{}", words(topic, context)?)?,
        },
    }
    out.flush()?;
    Ok(Exit::Holds)
}

/// What the contracts say of an id.
fn words(id: &str, context: &Context) -> Result<String, Error> {
    let rules = || RULES.iter().map(|rule| rule.id);
    let unknown = |near: Option<&str>| {
        let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        Error::Usage(format!("there is no rule, falsifier or contract `{id}`{hint}"))
    };
    if context.root_if_any().is_none() {
        return Err(unknown(nearest(id, rules())));
    }
    let workspace = Workspace::read(context, &[])?;
    let mut text = String::new();
    for (file, contract) in workspace.contracts() {
        if contract.metadata.id.as_str() == id {
            // Writing to a string does not fail.
            let _ = of_contract(&mut text, file, contract);
            return Ok(text);
        }
        for (index, falsifier) in contract.falsification_tests.iter().enumerate() {
            if falsifier.id.as_str() == id {
                let _ = of_falsifier(&mut text, file, index, falsifier);
                return Ok(text);
            }
        }
    }
    let ids = workspace.contracts().flat_map(|(_, contract)| {
        let falsifiers = contract.falsification_tests.iter().map(|falsifier| falsifier.id.as_str());
        falsifiers.chain([contract.metadata.id.as_str()])
    });
    Err(unknown(nearest(id, ids.chain(rules()))))
}

fn of_contract(text: &mut String, file: &File, contract: &Contract) -> fmt::Result {
    let metadata = &contract.metadata;
    writeln!(text, "# {}: {}\n", metadata.id, metadata.title)?;
    writeln!(text, "{}\n", metadata.description.trim())?;
    writeln!(text, "{}, version {}", file.source.path().display(), metadata.version)?;
    for (name, equation) in &contract.equations {
        writeln!(text, "\n{name}: {}", equation.formula)?;
    }
    if !contract.falsification_tests.is_empty() {
        writeln!(text, "\nIt would be shown false by")?;
    }
    for falsifier in &contract.falsification_tests {
        writeln!(text, "- {}: {}", falsifier.id, falsifier.rule)?;
    }
    Ok(())
}

fn of_falsifier(text: &mut String, file: &File, index: usize, falsifier: &Falsifier) -> fmt::Result {
    let Falsifier { id, rule, prediction, if_fails, .. } = falsifier;
    let line = file.source.position(file.span(&format!("/falsification_tests/{index}/id")).start).line;
    writeln!(text, "# {id}: {rule}\n")?;
    writeln!(text, "{}:{line}\n", file.source.path().display())?;
    writeln!(text, "If it holds: {prediction}")?;
    writeln!(text, "If it fails, look at: {if_fails}")?;
    if let Some(claim) = &falsifier.claim {
        of_claim(text, claim)?;
    }
    let tests = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
    for test in tests {
        writeln!(text, "Shown by the test {test}")?;
    }
    if let Some(command) = &falsifier.command {
        writeln!(text, "Shown by the command {}", command.argv.join(" "))?;
    }
    if let Some(review) = &falsifier.review {
        writeln!(text, "Shown by the review of {}, {} until {}", review.by, review.date, review.expires)?;
    }
    if let Some(proposed) = &falsifier.proposed {
        writeln!(text, "Shown by nothing yet: {}", proposed.reason)?;
    }
    writeln!(text, "On each of: {}", falsifier.hosts.join(", "))?;
    match &falsifier.faults {
        Some(Faults::Named(faults)) => {
            let names: Vec<String> = faults.iter().map(ToString::to_string).collect();
            writeln!(text, "It must catch: {}", names.join(", "))?;
        }
        Some(Faults::None(none)) => writeln!(text, "No fault can be planted: {}", none.none)?,
        None => {}
    }
    writeln!(text, "\nIts status: pv status {id} --why")
}

/// A claim in lines of `name: text`.
///
/// # Errors
/// Those of the text.
pub(crate) fn of_claim(text: &mut String, claim: &Claim) -> fmt::Result {
    write!(text, "Claimed: {}", claim.metric.info().what)?;
    if let Some(Bound { at_most, at_least, equals, unit }) = &claim.bound {
        let unit = unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        for (word, value) in [("at most", at_most), ("at least", at_least), ("exactly", equals)] {
            if let Some(value) = value {
                write!(text, ", {word} {value:e}{unit}")?;
            }
        }
    }
    writeln!(text)?;
    if let Some(why) = &claim.why {
        writeln!(text, "Why that bound: {why}")?;
    }
    for (axis, cells) in &claim.over {
        let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
        writeln!(text, "For every {axis} of: {}", cells.join(", "))?;
    }
    if let Some(reference) = &claim.reference {
        let what = reference.path.as_ref().or(reference.name.as_ref());
        let what = what.map(|what| format!(" {what}")).unwrap_or_default();
        writeln!(text, "Against: {}{what}", reference.kind)?;
    }
    Ok(())
}
