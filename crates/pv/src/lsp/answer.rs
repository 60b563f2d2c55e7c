//! What the server says of a name: its status, where it is defined, what could stand there, what repairs a finding.

use super::{Server, convert, document};
use crate::literals::literals;
use crate::lsp::document::Name;
use crate::status::gather::{Gathered, Knowledge, Stores, gather};
use crate::status::text;
use contract::claim::METRICS;
use contract::diagnostic::Diagnostic;
use contract::outline::Item;
use contract::schema::{Kind, ObligationType};
use contract::source::Source;
use contract::status::FALSIFIER_STATUSES;
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, CompletionItem, CompletionItemKind,
    CompletionParams, CompletionResponse, CompletionTextEdit, GotoDefinitionParams, GotoDefinitionResponse,
    Hover, HoverContents, HoverParams, Location, MarkupContent, MarkupKind, TextDocumentPositionParams,
    TextEdit, WorkspaceEdit,
};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Statuses as they were last derived, or why they cannot be.
pub(super) type Statuses = Result<Box<Gathered>, String>;

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "rs")
}

impl Server<'_> {
    /// The text at a place, the path it has, and the offset there.
    fn place(&self, at: &TextDocumentPositionParams) -> Option<(PathBuf, Source, usize)> {
        let path = convert::path(&at.text_document.uri)?;
        let source = self.text(&path)?;
        let offset = convert::offset(&source, at.position);
        Some((path, source, offset))
    }

    /// The name at a place.
    fn name(&self, at: &TextDocumentPositionParams) -> Option<(PathBuf, Source, Name)> {
        let (path, source, offset) = self.place(at)?;
        let name = if is_rust(&path) {
            document::in_source(source.text(), offset)?
        } else {
            document::in_contract(self.outlines.get(&path)?, offset)?
        };
        Some((path, source, name))
    }

    /// What is known of the name at a place.
    pub(super) fn hover(&mut self, params: HoverParams) -> Option<Hover> {
        let (_, source, name) = self.name(&params.text_document_position_params)?;
        let value = self.describe(&name)?;
        let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value });
        Some(Hover { contents, range: Some(convert::range(&source, name.span)) })
    }

    fn describe(&mut self, name: &Name) -> Option<String> {
        let gathered = match self.statuses()? {
            Ok(gathered) => gathered,
            Err(reason) => return Some(format!("**{}**\n\nno status: {reason}", name.text)),
        };
        let contracts = &gathered.status.contracts;
        let mut said = String::new();
        match name.item {
            Item::Falsifier => {
                let mut all = contracts.iter().flat_map(|contract| &contract.falsifiers);
                let found = all.find(|falsifier| falsifier.id.as_str() == name.text)?;
                let _ = writeln!(said, "**{}** {}\n\n{}\n", found.id, found.derived.label(), found.rule);
                let mut lines = text::falsifier(found);
                // The first two lines are said already.
                lines = lines.lines().skip(2).map(|line| format!("{}\n", line.trim())).collect();
                let records = gathered.index.records.get(&found.id).map(Vec::as_slice).unwrap_or_default();
                let last =
                    records.iter().filter(|record| record.fault.is_none()).max_by_key(|record| &record.file);
                match last {
                    Some(record) => {
                        let _ = writeln!(lines, "last evidence: {}", text::record_line(record));
                    }
                    None => lines.push_str("no evidence\n"),
                }
                let _ = write!(said, "```text\n{lines}```\n");
            }
            Item::Stage => {
                let mut all = contracts.iter().flat_map(|contract| &contract.stages);
                let found = all.find(|stage| stage.id.as_str() == name.text)?;
                let _ = writeln!(said, "```text\n{}\n```", text::stage_line(found));
            }
            Item::Obligation => {
                let mut all = contracts.iter().flat_map(|contract| &contract.obligations);
                let found = all.find(|obligation| obligation.id.as_str() == name.text)?;
                let worst = found.worst.map_or_else(|| "no falsifier".to_owned(), |worst| worst.to_string());
                let ids: Vec<&str> = found.falsifiers.iter().map(|id| id.as_str()).collect();
                let _ = writeln!(said, "**{}** {worst}\n\n{}", found.id, ids.join(", "));
            }
            Item::Contract | Item::Alias => {
                let found = contracts.iter().find(|contract| contract.id.as_str() == name.text)?;
                let _ = writeln!(
                    said,
                    "**{}** {}\n\n{}\n\n{}",
                    found.id, found.transitive, found.title, found.summary
                );
            }
            Item::Equation | Item::Harness | Item::Gate => return None,
        }
        Some(said)
    }

    /// The statuses of the repository as it is on the disk; none without a root.
    fn statuses(&mut self) -> Option<&Statuses> {
        if self.status.is_none() {
            let repository = match self.context.repository() {
                Ok(repository) => repository,
                Err(error) => return Some(self.status.insert(Err(error.to_string()))),
            };
            let root = repository.root.as_ref()?;
            let (cargo, today) = (self.context.cargo(), Some(self.context.today()));
            let gathered =
                gather(cargo, root, &repository.settings, Stores::WithLocal, Knowledge::Cached, today);
            self.status = Some(gathered.map(Box::new).map_err(|error| error.to_string()));
        }
        self.status.as_ref()
    }

    /// From a falsifier to its tests, from a test or a mention to the definition.
    pub(super) fn definition(&mut self, params: GotoDefinitionParams) -> Option<GotoDefinitionResponse> {
        let (path, _, name) = self.name(&params.text_document_position_params)?;
        let places = if name.item == Item::Falsifier && name.definition {
            self.tests(&name.text)
        } else {
            self.definitions(&path, &name)
        };
        (!places.is_empty()).then_some(GotoDefinitionResponse::Array(places))
    }

    /// The attributes of the repository's sources that name a falsifier.
    fn tests(&self, id: &str) -> Vec<Location> {
        let Some(root) = self.root() else { return Vec::new() };
        let files = crate::workspace::tree(root.dir());
        let of_file = |file: &String| {
            let path = root.dir().join(file);
            let source = self.text(&path).filter(|source| source.text().contains(id));
            let found = source.into_iter().flat_map(|source| {
                let named = literals(source.text(), "falsifier").into_iter().filter(|(name, _)| name == id);
                let places = named.map(|(_, span)| convert::range(&source, span));
                places.collect::<Vec<_>>()
            });
            let uri = convert::uri(&path);
            found.filter_map(|range| Some(Location { uri: uri.clone()?, range })).collect::<Vec<_>>()
        };
        files.par_iter().filter(|file| is_rust(Path::new(file))).flat_map_iter(of_file).collect()
    }

    /// Where a name is defined: in its own file for what is local to a contract, else anywhere.
    fn definitions(&self, path: &Path, name: &Name) -> Vec<Location> {
        let local = matches!(name.item, Item::Stage | Item::Obligation | Item::Equation);
        let mut outlines: Vec<_> =
            self.outlines.iter().filter(|(other, _)| !local || *other == path).collect();
        outlines.sort_by_key(|(path, _)| *path);
        let mut places = Vec::new();
        for (path, outline) in outlines {
            let also = if name.item == Item::Contract { Item::Alias } else { name.item };
            let mut defined = outline.defined(name.item).chain(outline.defined(also));
            let Some(found) = defined.find(|definition| *definition.name == *name.text) else { continue };
            if let (Some(source), Some(uri)) = (self.text(path), convert::uri(path)) {
                places.push(Location { uri, range: convert::range(&source, found.span) });
            }
        }
        places
    }

    /// What could stand at a place of a contract.
    pub(super) fn complete(&mut self, params: CompletionParams) -> Option<CompletionResponse> {
        let (path, source, offset) = self.place(&params.text_document_position)?;
        if is_rust(&path) {
            return None;
        }
        let (key, word) = document::key_at(source.text(), offset)?;
        let range = convert::range(&source, word);
        let kind = if matches!(key.as_str(), "metric" | "kind" | "type" | "status") {
            CompletionItemKind::ENUM_MEMBER
        } else {
            CompletionItemKind::REFERENCE
        };
        let items = self.candidates(&key, &path).into_iter().map(|(label, detail)| CompletionItem {
            text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text: label.clone() })),
            label,
            detail,
            kind: Some(kind),
            ..CompletionItem::default()
        });
        Some(CompletionResponse::Array(items.collect()))
    }

    /// The values that a key can have, each with a word about it.
    fn candidates(&self, key: &str, path: &Path) -> Vec<(String, Option<String>)> {
        let words = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), None)).collect::<Vec<_>>();
        let here = |item| {
            let outline = self.outlines.get(path).into_iter();
            outline.flat_map(move |outline| outline.defined(item)).map(|found| found.name.to_string())
        };
        let everywhere = |item| {
            let mut all: Vec<(String, Option<String>)> = Vec::new();
            for (path, outline) in &self.outlines {
                let file = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
                all.extend(outline.defined(item).map(|found| (found.name.to_string(), file.clone())));
            }
            all.sort();
            all
        };
        let named = |names: Vec<String>| names.into_iter().map(|name| (name, None)).collect::<Vec<_>>();
        match key {
            "metric" => {
                METRICS.iter().map(|metric| (metric.name.to_owned(), Some(metric.what.to_owned()))).collect()
            }
            "kind" => words(Kind::NAMES),
            "type" => words(ObligationType::NAMES),
            "status" => FALSIFIER_STATUSES
                .iter()
                .map(|status| (status.name.to_owned(), Some(status.what.to_owned())))
                .collect(),
            "depends_on" => {
                let others = self.outlines.keys().filter(|other| *other != path);
                let stems = others.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
                let mut stems: Vec<String> = stems.collect();
                stems.sort();
                named(stems)
            }
            "accepts" | "checks" => everywhere(Item::Falsifier),
            "obligations" | "obligation" => named(here(Item::Obligation).collect()),
            "after" => named(here(Item::Stage).collect()),
            "applies_to" => named(here(Item::Equation).chain(["all".to_owned()]).collect()),
            "hosts" => match self.context.repository() {
                Ok(repository) => named(repository.settings.hosts.into_keys().collect()),
                // What is wrong with pv.toml is shown there.
                Err(_) => Vec::new(),
            },
            "faults" => match self.root() {
                Some(root) => {
                    let tree = crate::workspace::tree(root.dir());
                    named(crate::faults::planted(root.dir(), &tree).into_keys().collect())
                }
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// The repairs of the findings at a place.
    pub(super) fn repairs(&mut self, params: CodeActionParams) -> Option<Vec<CodeActionOrCommand>> {
        let path = convert::path(&params.text_document.uri)?;
        let source = self.text(&path)?;
        let (from, to) =
            (convert::offset(&source, params.range.start), convert::offset(&source, params.range.end));
        let base = self.base();
        let at = |finding: &&Diagnostic| {
            let range = finding.location.span.range();
            range.start <= to && from <= range.end
        };
        let findings = self.found.get(&path)?.iter().filter(at);
        let repairs = findings.filter_map(|finding| {
            let fix = finding.fix.as_ref()?;
            let edits = fix.edits.iter().map(|edit| TextEdit {
                range: convert::range(&source, edit.span),
                new_text: edit.text.clone(),
            });
            // The protocol's clients take any map; the key never changes.
            #[expect(clippy::mutable_key_type, reason = "the type of the protocol")]
            let changes = HashMap::from([(params.text_document.uri.clone(), edits.collect())]);
            Some(CodeActionOrCommand::CodeAction(CodeAction {
                title: fix.title.clone(),
                kind: Some(CodeActionKind::QUICKFIX),
                diagnostics: Some(vec![convert::diagnostic(finding, &source, &base)]),
                edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
                is_preferred: Some(true),
                ..CodeAction::default()
            }))
        });
        Some(repairs.collect())
    }
}
