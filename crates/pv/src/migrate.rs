//! From the legacy dialect to schema 1, by edits of the text, so that comments and spacing stay.
//!
//! What schema 1 has a place for is put there. What it has none for keeps its key with `x-` before it: nothing is
//! lost, and a person decides later. A test that is prose becomes a note and its falsifier `proposed`; a status that
//! somebody typed becomes `x-status`, because a status is derived.

use crate::edit;
use contract::diagnostic::{Diagnostic, Edit, Span};
use contract::id::{ContractId, FalsifierId, ObligationId, StageId};
use contract::legacy;
use contract::load;
use contract::schema::{Kind, ObligationType};
use contract::shape::{self, Map, Shape};
use contract::source::Source;
use contract::walk::Dialect;
use contract::yaml::{Data, Entry, Node};

/// A migrated file.
#[derive(Debug)]
pub struct Migrated {
    /// Its text.
    pub text: String,
    /// What is still wrong with its structure; a file with any of these needs a person.
    pub findings: Vec<Diagnostic>,
}

/// Why a file is not migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// It has the new form.
    #[error("is of schema 1 already")]
    Done,
    /// It has no form at all.
    #[error("is no YAML mapping; `pv validate` says why")]
    Unreadable,
    /// It is a legacy file of another kind.
    #[error("is no contract: it has no `metadata`")]
    NoContract,
}

/// Rewrite a legacy contract.
///
/// # Errors
/// When the text is no legacy contract.
pub fn migrate(source: &Source) -> Result<Migrated, MigrateError> {
    let loaded = load::read(Source::new(source.path(), source.text()));
    if loaded.dialect == Dialect::Schema1
        && loaded.tree.as_ref().is_some_and(|tree| tree.root.get("schema").is_some())
    {
        return Err(MigrateError::Done);
    }
    let tree = loaded.tree.as_ref().ok_or(MigrateError::Unreadable)?;
    if !matches!(tree.root.data, Data::Map(_)) {
        return Err(MigrateError::Unreadable);
    }
    if tree.root.get("metadata").is_none() {
        return Err(MigrateError::NoContract);
    }
    let repairs = loaded.findings.iter().filter(|finding| finding.rule == "ambiguous-boolean");
    let mut edits: Vec<Edit> =
        repairs.filter_map(|finding| finding.fix.clone()).flat_map(|fix| fix.edits).collect();
    let mut rewrite = Rewrite { source, root: &tree.root, edits: Vec::new() };
    rewrite.contract();
    edits.append(&mut rewrite.edits);
    let (text, _) = edit::apply(source.text(), &edits);
    let findings = load::read(Source::new(source.path(), text.as_str())).findings;
    Ok(Migrated { text, findings })
}

struct Rewrite<'s> {
    source: &'s Source,
    root: &'s Node,
    edits: Vec<Edit>,
}

impl<'s> Rewrite<'s> {
    fn contract(&mut self) {
        let Shape::Map(map) = &shape::CONTRACT else { return };
        let start = self.root.entries().first().map_or(0, |entry| entry.key.span.start);
        self.insert(start as usize, "schema: 1\n");
        for entry in self.root.entries() {
            match &*entry.key.text {
                "metadata" => self.metadata(&entry.value),
                "equations" => self.equations(entry),
                "proof_obligations" => self.list(entry, |rewrite, item| rewrite.obligation(item)),
                "implementation_stages" => self.list(entry, |rewrite, item| rewrite.stage(item)),
                "falsification_tests" => self.list(entry, |rewrite, item| rewrite.falsifier(item)),
                "qa_gate" => self.whole_or_extension(entry, |rewrite| rewrite.is_gate(&entry.value)),
                "kani_harnesses" => {
                    self.whole_or_extension(entry, |rewrite| rewrite.are_harnesses(&entry.value))
                }
                _ => self.unknown(entry, map),
            }
        }
    }

    fn metadata(&mut self, node: &'s Node) {
        let Shape::Map(Map { fields, .. }) = &shape::CONTRACT else { return };
        let Some(Shape::Map(map)) = fields.iter().find(|f| f.name == "metadata").map(|f| &f.shape) else {
            return;
        };
        let stem = self.source.path().file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let mut aliases: Vec<String> = Vec::new();
        for entry in node.entries() {
            let Entry { key, value } = entry;
            match &*key.text {
                "id" => {
                    if let Some(id) = value.text().filter(|id| *id != stem) {
                        aliases.push(id.to_owned());
                        self.replace(value.span, stem);
                    }
                }
                "version" => self.version(value),
                "kind" if value.text().is_none_or(|kind| Kind::from_name(kind).is_none()) => {
                    self.extension(entry);
                }
                "depends_on" => self.bare_names(value, |name| ContractId::parse(name).is_ok()),
                "references" if value.items().is_empty() => self.extension(entry),
                _ => self.unknown(entry, map),
            }
        }
        let has = |key: &str| node.get(key).is_some();
        let kind = node.get("kind").and_then(Node::text).and_then(Kind::from_name);
        let description = node.get("description").and_then(Node::text).unwrap_or_default();
        let sentence = description.split(['\n', '.', '—']).next().unwrap_or_default().trim();
        let title = if sentence.is_empty() { stem } else { sentence };
        let title: String = title.chars().take(80).collect();
        let references = node.get("references").is_some_and(|list| !list.items().is_empty());
        let mut lines = Vec::new();
        if !has("id") {
            lines.push(format!("id: {stem}"));
        }
        if kind.is_none() {
            lines.push("kind: pattern".to_owned());
        }
        if !has("title") {
            lines.push(format!("title: {}", quoted(&title)));
        }
        if description.is_empty() && !has("description") {
            lines.push(format!("description: {}", quoted(&title)));
        }
        if !references {
            lines.push("references: [none given in the legacy contract]".to_owned());
        }
        if !aliases.is_empty() && !has("aliases") {
            lines.push(format!(
                "aliases: [{}]",
                aliases.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(", ")
            ));
        }
        self.insert_entries(node, &lines);
    }

    /// `1`, `1.0` and `v1.2` as semantic versions.
    fn version(&mut self, node: &Node) {
        let written = node.text().unwrap_or(self.source.slice(node.span)).trim_start_matches('v').to_owned();
        let mut parts: Vec<&str> = written.split('.').collect();
        while parts.len() < 3 {
            parts.push("0");
        }
        let version = parts.join(".");
        if node.text() != Some(&*version) && semver::Version::parse(&version).is_ok() {
            self.replace(node.span, &quoted(&version));
        }
    }

    fn equations(&mut self, entry: &'s Entry) {
        let Some(map) = map_of("equations") else { return };
        if !matches!(entry.value.data, Data::Map(_))
            || entry.value.entries().iter().any(|e| !is_map(&e.value))
        {
            return self.extension(entry);
        }
        for equation in entry.value.entries() {
            for field in equation.value.entries() {
                match &*field.key.text {
                    "invariants" if !is_list_of_text(&field.value) => self.extension(field),
                    "domain" | "codomain" | "formula" if field.value.text().is_none() => {
                        self.extension(field)
                    }
                    _ => self.unknown(field, map),
                }
            }
            if equation.value.get("formula").and_then(Node::text).is_none() {
                self.insert_entries(
                    &equation.value,
                    &["formula: not given in the legacy contract".to_owned()],
                );
            }
        }
    }

    fn obligation(&mut self, node: &'s Node) {
        let Some(map) = map_of("proof_obligations") else { return };
        let kind = node.get("type").and_then(Node::text).and_then(ObligationType::from_name);
        for entry in node.entries() {
            let text = entry.value.text();
            match &*entry.key.text {
                "id" => {
                    if text.is_none_or(|id| ObligationId::parse(id).is_err()) {
                        self.extension(entry);
                    }
                }
                "type" if kind.is_none() => self.extension(entry),
                "statement" if node.get("property").is_none() => self.replace(entry.key.span, "property"),
                "note" if node.get("notes").is_none() => self.rename(entry, "notes"),
                "applies_to" => {
                    let equations = self.root.get("equations");
                    let known = text.is_some_and(|name| {
                        name == "all"
                            || name.contains(['/', ':'])
                            || equations.is_some_and(|equations| equations.get(name).is_some())
                    });
                    if !known {
                        self.extension(entry);
                    }
                }
                "formal" | "property" if text.is_none() => self.extension(entry),
                _ => self.unknown(entry, map),
            }
        }
        let mut lines = Vec::new();
        if kind.is_none() {
            lines.push("type: invariant".to_owned());
        }
        if node.get("property").and_then(Node::text).is_none() && node.get("statement").is_none() {
            lines.push("property: not given in the legacy contract".to_owned());
        }
        self.insert_entries(node, &lines);
    }

    fn stage(&mut self, node: &'s Node) {
        let Some(map) = map_of("implementation_stages") else { return };
        for entry in node.entries() {
            match &*entry.key.text {
                "id" => self.sanitize(&entry.value, |id| StageId::parse(id).is_ok()),
                "expected_acceptance" => {
                    self.replace(entry.key.span, "accepts");
                    self.bare_names(&entry.value, |name| FalsifierId::parse(name).is_ok());
                }
                "after" => self.bare_names(&entry.value, |name| StageId::parse(name).is_ok()),
                _ => self.unknown(entry, map),
            }
        }
        if node.get("expected_acceptance").is_none() && node.get("accepts").is_none() {
            self.insert_entries(node, &["accepts: []".to_owned()]);
        }
    }

    fn falsifier(&mut self, node: &'s Node) {
        let Some(map) = map_of("falsification_tests") else { return };
        let mut lines = Vec::new();
        let test = node.get("test").and_then(Node::text);
        let command = test.and_then(legacy::command);
        for entry in node.entries() {
            match &*entry.key.text {
                "id" => self.sanitize(&entry.value, |id| FalsifierId::parse(id).is_ok()),
                "test" => match (&command, test) {
                    (Some((_, end)), Some(text)) => {
                        self.replace_value(entry, &quoted(&text[..*end]));
                        let rest = text[*end..].trim();
                        if !rest.is_empty() {
                            lines.push(self.prose(node, "x-test", rest));
                        }
                    }
                    _ => self.extension(entry),
                },
                // What an author believed; a status is derived.
                "status" | "command" | "obligation" | "name" => self.extension(entry),
                "rule" | "prediction" | "if_fails"
                    if entry.value.text().is_none_or(|t| t.trim().is_empty()) =>
                {
                    self.extension(entry);
                }
                "obligations" if !is_list_of_text(&entry.value) => self.extension(entry),
                _ => self.unknown(entry, map),
            }
        }
        for key in ["rule", "prediction", "if_fails"] {
            if node.get(key).and_then(Node::text).is_none_or(|text| text.trim().is_empty()) {
                lines.push(format!("{key}: not given in the legacy contract"));
            }
        }
        if command.is_some() {
            lines.push("claim: {metric: predicate}".to_owned());
        } else {
            let reason =
                if test.is_some() { "the legacy test is prose" } else { "the legacy contract names no test" };
            lines.push(format!("proposed: {{reason: {reason}}}"));
        }
        self.insert_entries(node, &lines);
    }

    fn is_gate(&self, node: &Node) -> bool {
        let ids: Vec<&str> = self.falsifier_ids();
        let checks = node.get("checks").map(Node::items).unwrap_or_default();
        let known = |check: &Node| check.text().is_some_and(|check| ids.contains(&check));
        let texts = ["id", "name"].iter().all(|key| node.get(key).and_then(Node::text).is_some());
        let only =
            node.entries().iter().all(|e| ["id", "name", "description", "checks"].contains(&&*e.key.text));
        texts && only && !checks.is_empty() && checks.iter().all(known)
    }

    fn are_harnesses(&self, node: &Node) -> bool {
        let obligations = self.root.get("proof_obligations").map(Node::items).unwrap_or_default();
        let ids: Vec<&str> = obligations.iter().filter_map(|o| o.get("id")).filter_map(Node::text).collect();
        let keys = ["id", "obligation", "harness", "bound"];
        node.items().iter().all(|harness| {
            let proves = harness.get("obligation").and_then(Node::text);
            let bound = harness.get("bound").is_some_and(|bound| matches!(bound.data, Data::Int(0..)));
            let only = harness.entries().iter().all(|entry| keys.contains(&&*entry.key.text));
            let path = harness.get("harness").and_then(Node::text).is_some_and(|h| h.contains("::"));
            only && bound && path && proves.is_some_and(|id| ids.contains(&id))
        })
    }

    fn falsifier_ids(&self) -> Vec<&str> {
        let all = self.root.get("falsification_tests").map(Node::items).unwrap_or_default();
        all.iter().filter_map(|falsifier| falsifier.get("id")).filter_map(Node::text).collect()
    }

    fn list(&mut self, entry: &'s Entry, item: impl Fn(&mut Self, &'s Node)) {
        if !matches!(entry.value.data, Data::List(_)) || entry.value.items().iter().any(|node| !is_map(node))
        {
            return self.extension(entry);
        }
        for node in entry.value.items() {
            item(self, node);
        }
    }

    /// Keep a block that fits as it is; otherwise all of it is an extension.
    fn whole_or_extension(&mut self, entry: &Entry, fits: impl Fn(&Self) -> bool) {
        if !fits(self) {
            self.extension(entry);
        }
    }

    fn unknown(&mut self, entry: &Entry, map: &Map) {
        let empty = matches!(entry.value.data, Data::Null);
        if map.field(&entry.key.text).is_none() || empty {
            self.extension(entry);
        }
    }

    /// Put `x-` before a key.
    fn extension(&mut self, entry: &Entry) {
        if !entry.key.text.starts_with("x-") {
            self.rename(entry, &format!("x-{}", entry.key.text));
        }
    }

    fn rename(&mut self, entry: &Entry, name: &str) {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let name = if plain { name.to_owned() } else { quoted(name) };
        self.replace(entry.key.span, &name);
    }

    /// Leave of each reference the name, and keep the remark as a comment.
    fn bare_names(&mut self, list: &Node, valid: impl Fn(&str) -> bool) {
        for item in list.items() {
            let Some(text) = item.text() else { continue };
            let bare = legacy::bare_name(text);
            if bare == text || !valid(bare) {
                continue;
            }
            let remark = text[bare.len()..].trim().replace('\n', " ");
            self.replace(item.span, bare);
            // A comment needs the rest of its line for itself.
            let line = &self.source.text()[item.span.end as usize..];
            let rest = line.split('\n').next().unwrap_or_default();
            if rest.trim().is_empty() && !remark.is_empty() {
                self.insert(item.span.end as usize, &format!("   # {remark}"));
            }
        }
    }

    /// Make an id of what is nearly one.
    fn sanitize(&mut self, node: &Node, valid: impl Fn(&str) -> bool) {
        let written = node.text().unwrap_or(self.source.slice(node.span));
        if node.text().is_some() && valid(written) {
            return;
        }
        let id: String = written
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
            .collect();
        let id = id.trim_matches('-');
        if valid(id) {
            self.replace(node.span, &quoted(id));
        }
    }

    fn replace(&mut self, span: Span, text: &str) {
        self.edits.push(Edit { span, text: text.to_owned() });
    }

    fn insert(&mut self, at: usize, text: &str) {
        self.edits.push(Edit { span: Span::new(at, at), text: text.to_owned() });
    }

    /// An entry that holds prose: a block when it has several lines and the mapping is written in lines.
    fn prose(&self, map: &Node, key: &str, text: &str) -> String {
        let flow = self.source.slice(map.span).starts_with('{');
        if flow || !text.contains('\n') {
            return format!("{key}: {}", quoted(text));
        }
        let column =
            map.entries().first().map_or(0, |entry| self.source.position(entry.key.span.start).column);
        let indent = " ".repeat(column as usize + 1);
        let lines = text.lines().map(|line| format!("\n{indent}{}", line.trim_end()));
        format!("{key}: |{}", lines.collect::<String>())
    }

    /// Replace the value of an entry, the mark of a block scalar included.
    fn replace_value(&mut self, entry: &Entry, text: &str) {
        let span = Span { start: entry.key.span.end, end: entry.value.span.end };
        self.replace(span, &format!(": {text}"));
    }

    /// Add entries to a mapping in its style: after its `id`, or before everything when it has none.
    fn insert_entries(&mut self, map: &Node, lines: &[String]) {
        let Some(first) = map.entries().first().filter(|_| !lines.is_empty()) else { return };
        let flow = self.source.slice(map.span).starts_with('{');
        let indent = " ".repeat(self.source.position(first.key.span.start).column as usize - 1);
        match (map.entry("id"), flow) {
            (Some(id), true) => self.insert(id.value.span.end as usize, &format!(", {}", lines.join(", "))),
            (None, true) => self.insert(first.key.span.start as usize, &format!("{}, ", lines.join(", "))),
            (Some(id), false) => {
                let at = edit::line_end(self.source.text(), id.value.span.end as usize);
                let text: String = lines.iter().map(|line| format!("{indent}{line}\n")).collect();
                self.insert(at, &text);
            }
            (None, false) => {
                let text: String = lines.iter().map(|line| format!("{line}\n{indent}")).collect();
                self.insert(first.key.span.start as usize, &text);
            }
        }
    }
}

/// The shape of the items under a top-level key.
fn map_of(key: &str) -> Option<&'static Map> {
    let Shape::Map(contract) = &shape::CONTRACT else { return None };
    match &contract.field(key)?.shape {
        Shape::List { item: Shape::Map(map), .. } | Shape::Table { value: Shape::Map(map), .. } => Some(map),
        _ => None,
    }
}

fn is_map(node: &Node) -> bool {
    matches!(node.data, Data::Map(_))
}

fn is_list_of_text(node: &Node) -> bool {
    matches!(&node.data, Data::List(items) if items.iter().all(|item| item.text().is_some()))
}

/// A text in double quotes, with the escapes that YAML shares with JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
