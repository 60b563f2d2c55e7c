//! `pv graph`: which contracts build on which, or what one contract is made of.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::graph::{Edge, circles};
use crate::workspace::{File, Workspace};
use clap::ValueEnum;
use contract::outline::{Item, Link, Outline};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

/// Arguments of `pv graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: pv graph --format mermaid")]
pub struct Args {
    /// Contract files or folders of them [default: the contracts of the root]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Show the obligations, falsifiers and stages of this contract instead
    #[arg(long, value_name = "ID")]
    pub contract: Option<String>,
    /// How to print the graph
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
}

/// How a graph is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum GraphFormat {
    /// A line per node, what it builds on after it
    #[default]
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    /// For programs
    Json,
}

/// Run `pv graph`.
///
/// # Errors
/// When a named path does not exist, or there is no such contract.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let workspace = Workspace::read(context, &args.paths)?;
    let graph = match &args.contract {
        None => contracts(&workspace),
        Some(id) => {
            let file = workspace.files.iter().find(|file| file.stem() == id);
            let outline = file.and_then(|file| file.analysis.outline.as_ref());
            let none = || Error::Usage(format!("there is no contract `{id}`"));
            parts(outline.ok_or_else(none)?)
        }
    };
    let mut out = context.stdout();
    match args.format {
        GraphFormat::Text => text(&graph, &mut out)?,
        GraphFormat::Dot => dot(&graph, &mut out)?,
        GraphFormat::Mermaid => mermaid(&graph, &mut out)?,
        GraphFormat::Json => {
            let nodes: Vec<_> = graph
                .nodes
                .iter()
                .map(|(name, kind)| json!({ "name": name, "kind": kind.to_string() }))
                .collect();
            let edges: Vec<_> =
                graph.edges.iter().map(|(from, to)| json!({ "from": from, "to": to })).collect();
            let object = json!({ "nodes": nodes, "edges": edges, "cycles": graph.cycles() });
            serde_json::to_writer_pretty(&mut out, &object).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(if graph.nodes.is_empty() {
        Exit::Nothing
    } else if graph.cycles().is_empty() && !graph.nodes.values().any(|kind| *kind == Kind::Missing) {
        Exit::Holds
    } else {
        Exit::Findings
    })
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Item(Item),
    /// Something refers to it, and nothing defines it.
    Missing,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(item) => item.fmt(f),
            Self::Missing => f.write_str("missing"),
        }
    }
}

/// Named nodes, and from each the nodes that it builds on.
#[derive(Debug, Default)]
struct Graph {
    nodes: BTreeMap<String, Kind>,
    edges: BTreeSet<(String, String)>,
}

impl Graph {
    fn edge(&mut self, from: &str, to: &str) {
        self.nodes.entry(to.to_owned()).or_insert(Kind::Missing);
        self.edges.insert((from.to_owned(), to.to_owned()));
    }

    /// Each circle as the names on it.
    fn cycles(&self) -> Vec<Vec<&str>> {
        let names: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
        let number = |name: &str| names.binary_search(&name).ok();
        let edges = self
            .edges
            .iter()
            .filter_map(|(from, to)| Some(Edge { from: number(from)?, to: number(to)?, label: () }));
        let circles = circles(names.len(), edges);
        circles.into_iter().map(|circle| circle.nodes.into_iter().map(|node| names[node]).collect()).collect()
    }
}

fn contracts(workspace: &Workspace) -> Graph {
    let mut graph = Graph::default();
    let named: Vec<&File> = workspace.files.iter().filter(|file| file.named).collect();
    for file in &named {
        graph.nodes.insert(file.stem().to_owned(), Kind::Item(Item::Contract));
    }
    for file in &named {
        let references = file.analysis.outline.iter().flat_map(|outline| outline.referring(Link::DependsOn));
        for reference in references {
            // An alias is drawn as the contract it names.
            let site = |item| workspace.sites(file, item, &reference.name).first();
            let target = site(Item::Contract).or_else(|| site(Item::Alias));
            let name = target.map_or(&*reference.name, |site| workspace.files[site.file].stem());
            graph.edge(file.stem(), name);
            if target.is_some() {
                graph.nodes.insert(name.to_owned(), Kind::Item(Item::Contract));
            }
        }
    }
    graph
}

fn parts(outline: &Outline) -> Graph {
    let mut graph = Graph::default();
    let drawn = [Item::Obligation, Item::Falsifier, Item::Stage, Item::Gate];
    for definition in outline.definitions.iter().filter(|definition| drawn.contains(&definition.item)) {
        graph.nodes.insert(definition.name.to_string(), Kind::Item(definition.item));
    }
    let gate = outline.defined(Item::Gate).next().map(|gate| gate.name.to_string());
    for reference in &outline.references {
        match reference.link {
            Link::After | Link::Accepts | Link::Obligation => {
                if let Some(from) = &reference.from {
                    graph.edge(from, &reference.name);
                }
            }
            Link::Check => {
                if let Some(gate) = &gate {
                    graph.edge(gate, &reference.name);
                }
            }
            _ => {}
        }
    }
    graph
}

fn text(graph: &Graph, out: &mut dyn Write) -> io::Result<()> {
    for (name, kind) in &graph.nodes {
        let targets: Vec<&str> =
            graph.edges.iter().filter(|(from, _)| from == name).map(|(_, to)| to.as_str()).collect();
        let arrow = if targets.is_empty() { "" } else { " -> " };
        let mark = if *kind == Kind::Missing { " (missing)" } else { "" };
        writeln!(out, "{name}{mark}{arrow}{}", targets.join(", "))?;
    }
    for cycle in graph.cycles() {
        writeln!(out, "cycle: {}", cycle.join(" -> "))?;
    }
    writeln!(out, "{} nodes, {} edges", graph.nodes.len(), graph.edges.len())
}

fn dot(graph: &Graph, out: &mut dyn Write) -> io::Result<()> {
    let quote = |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    writeln!(out, "digraph contracts {{\n  rankdir=LR;\n  node [shape=box];")?;
    for (name, kind) in &graph.nodes {
        let style = if *kind == Kind::Missing { " [style=dashed, color=red]" } else { "" };
        writeln!(out, "  {}{style};", quote(name))?;
    }
    for (from, to) in &graph.edges {
        writeln!(out, "  {} -> {};", quote(from), quote(to))?;
    }
    writeln!(out, "}}")
}

fn mermaid(graph: &Graph, out: &mut dyn Write) -> io::Result<()> {
    // Names may hold what Mermaid does not take in ids.
    let ids: BTreeMap<&str, usize> =
        graph.nodes.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    writeln!(out, "graph LR")?;
    for (name, kind) in &graph.nodes {
        let class = if *kind == Kind::Missing { ":::missing" } else { "" };
        writeln!(out, "  n{}[\"{}\"]{class}", ids[name.as_str()], name.replace('"', "#quot;"))?;
    }
    for (from, to) in &graph.edges {
        writeln!(out, "  n{} --> n{}", ids[from.as_str()], ids[to.as_str()])?;
    }
    writeln!(out, "  classDef missing stroke:#c00,stroke-dasharray: 4")
}
