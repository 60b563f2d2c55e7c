//! `pv new`: a contract or falsifier to start from, with an id that is free.

use crate::atomic;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::workspace::{File, Workspace};
use contract::id::{ContractId, FalsifierId};
use contract::outline::Item;
use contract::source::Source;
use contract::suggest::nearest;
use contract::yaml::Tree;
use std::io::Write as _;

/// Arguments of `pv new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: pv new falsifier moe-router-v1")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write a contract with one proposed falsifier
    #[command(after_help = "Example: pv new contract moe-router-v1")]
    Contract {
        /// Its id, which is the stem of its file
        id: String,
    },
    /// Append a proposed falsifier to a contract
    #[command(after_help = "Example: pv new falsifier moe-router-v1 FALSIFY-MOE-ROUTER-007")]
    Falsifier {
        /// The contract's id
        contract: String,
        /// The falsifier's id [default: the next free number]
        id: Option<String>,
    },
}

/// Run `pv new`.
///
/// # Errors
/// When an id is none or taken, there is no such contract, or the file cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let workspace = Workspace::read(context, &[])?;
    let usage = |error: contract::id::IdError| Error::Usage(error.to_string());
    let (path, text, id) = match &args.what {
        What::Contract { id } => {
            let id = ContractId::parse(id).map_err(usage)?;
            let root = workspace.repository.root.as_ref().ok_or_else(no_root)?;
            let path = root.contracts().join(format!("{id}.yaml"));
            if path.exists() || workspace.files.iter().any(|file| file.stem() == id.as_str()) {
                return Err(Error::Usage(format!("there is a contract `{id}` already")));
            }
            let falsifier = free_id(&workspace, id.as_str());
            (path, contract_text(id.as_str(), &falsifier), id.to_string())
        }
        What::Falsifier { contract, id } => {
            let file = named(&workspace, contract)?;
            let id = match id {
                Some(id) => FalsifierId::parse(id).map_err(usage)?.to_string(),
                None => free_id(&workspace, contract),
            };
            if let Some(site) = workspace.sites(file, Item::Falsifier, &id).first() {
                let place = workspace.files[site.file].source.location(site.span);
                let (path, line) = (place.path.display(), place.start.line);
                return Err(Error::Usage(format!("`{id}` is taken: {path}:{line}")));
            }
            (file.path.clone(), appended(file, &id)?, id)
        }
    };
    atomic::write(&path, text.as_bytes()).map_err(Error::file(&path))?;
    let mut out = context.stdout();
    writeln!(out, "{id} in {}", path.display())?;
    out.flush()?;
    Ok(Exit::Holds)
}

fn no_root() -> Error {
    Error::Usage("there is no pv.toml, so there is no folder of contracts".to_owned())
}

fn named<'w>(workspace: &'w Workspace, id: &str) -> Result<&'w File, Error> {
    let stems = || workspace.files.iter().map(File::stem);
    workspace.files.iter().find(|file| file.stem() == id).ok_or_else(|| {
        let near = nearest(id, stems()).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        Error::Usage(format!("there is no contract `{id}`{near}"))
    })
}

/// The next number after all falsifiers that are named like the contract.
fn free_id(workspace: &Workspace, contract: &str) -> String {
    let stem = contract.rsplit_once("-v").map_or(contract, |(stem, version)| {
        if version.bytes().all(|b| b.is_ascii_digit()) { stem } else { contract }
    });
    let prefix = format!("FALSIFY-{}-", stem.to_uppercase().replace(['.', '_'], "-"));
    let outlines = workspace.files.iter().filter_map(|file| file.analysis.outline.as_ref());
    let names =
        outlines.flat_map(|outline| outline.defined(Item::Falsifier)).map(|definition| &definition.name);
    let last = names.filter_map(|name| name.strip_prefix(&*prefix)?.parse::<u32>().ok()).max();
    format!("{prefix}{:03}", last.unwrap_or(0) + 1)
}

fn contract_text(id: &str, falsifier: &str) -> String {
    let item = falsifier_text(falsifier, "\n");
    format!(
        "# yaml-language-server: $schema=contract.schema.json\n\
         schema: 1\n\
         metadata:\n  \
           id: {id}\n  \
           version: 0.1.0\n  \
           kind: kernel            # kernel, pattern, schema, interface or benchmark\n  \
           title: What it is about\n  \
           description: What must hold, and for whom.\n  \
           references: [a paper, a page or a file]\n\
         falsification_tests:\n{item}"
    )
}

fn falsifier_text(id: &str, end: &str) -> String {
    let lines = [
        &*format!("- id: {id}"),
        "  rule: what is claimed, in words",
        "  prediction: what a run shows if it holds",
        "  if_fails: where to look first",
        "  proposed: {reason: nothing is bound yet}",
        "",
    ];
    lines.join(end)
}

/// The text of a contract with one more falsifier at the end of its list.
fn appended(file: &File, id: &str) -> Result<String, Error> {
    let refuse = |why: &str| Error::Usage(format!("{}: {why}", file.path.display()));
    let tree = parse(&file.source).ok_or_else(|| refuse("it is no YAML; `pv validate` says why"))?;
    let text = file.source.text();
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let item = falsifier_text(id, end);
    let Some(list) = tree.root.entry("falsification_tests") else {
        let gap = if text.ends_with('\n') { "" } else { end };
        return Ok(format!("{text}{gap}falsification_tests:{end}{item}"));
    };
    let Some(last) = list.value.items().last() else {
        return Err(refuse("its list of falsifiers is empty; remove the key first"));
    };
    let flow = file.source.slice(list.value.span).starts_with('[');
    if flow {
        return Err(refuse("its falsifiers are in one `[...]`; write them as a list of `- ` first"));
    }
    let first = list.value.items().first().map_or(0, |item| file.source.position(item.span.start).column);
    let indent = " ".repeat((first as usize).saturating_sub(3));
    let after = crate::edit::line_end(text, last.span.end as usize);
    let gap = if text[..after].ends_with('\n') { "" } else { end };
    let lines: String = item.lines().map(|line| format!("{indent}{line}{end}")).collect();
    Ok(format!("{}{gap}{lines}{}", &text[..after], &text[after..]))
}

fn parse(source: &Source) -> Option<Tree> {
    contract::yaml::parse(source, &mut contract::yaml::Findings::new(source))
}
