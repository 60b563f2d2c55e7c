//! The structural walk: a tree held against a [`Shape`], every difference a finding at its place.
//!
//! serde would stop at the first error and lose its position. This walk reports all of them; a tree that passes
//! it is one that the structs of [`crate::schema`] accept.

use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::shape::{Constraint, Field, Map, Shape, Text};
use crate::suggest::{nearest, typo_of};
use crate::words::words;
use crate::yaml::{Data, Entry, Findings, Key, Node};

words! {
    /// Which language a contract file is written in.
    pub enum Dialect {
        /// `schema: 1` stands on top.
        Schema1 = "schema-1",
        /// No `schema:`: a file of the language that came before, read with warnings.
        Legacy = "legacy",
    }
}

impl Dialect {
    /// How much breaking a structural rule weighs. What would be an error in schema 1 is a warning in a legacy
    /// file, unless it says that something was meant and got lost.
    #[must_use]
    pub fn severity(self, rule: &str) -> Severity {
        match (self, rule) {
            (
                Self::Legacy,
                "missing-key" | "empty-value" | "unknown-value" | "invalid-id" | "invalid-version"
                | "invalid-date" | "invalid-test" | "conflicting-keys",
            ) => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

/// Report every place where `root` is not what `shape` says.
pub fn walk(root: &Node, shape: &Shape, dialect: Dialect, findings: &mut Findings<'_>) {
    let mut walk = Walk { dialect, findings };
    walk.booleans(root);
    walk.value(root, shape, "the file");
}

struct Walk<'f, 's> {
    dialect: Dialect,
    findings: &'f mut Findings<'s>,
}

impl Walk<'_, '_> {
    fn add(&mut self, rule: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.findings.add(rule, self.dialect.severity(rule), span, message)
    }

    /// Check one value; `name` is its key, or the key of the list that it is an item of.
    fn value(&mut self, node: &Node, shape: &Shape, name: &str) {
        if matches!(node.data, Data::Null) && !matches!(shape, Shape::Any) {
            self.add("empty-value", node.span, format!("`{name}` holds nothing"))
                .help("write a value, or remove the key");
            return;
        }
        match (shape, &node.data) {
            (Shape::Any | Shape::Bool, Data::Bool(_)) | (Shape::Any | Shape::Number, Data::Int(_)) => {}
            (Shape::Any, _) | (Shape::Scalar, Data::Bool(_) | Data::Int(_)) => {}
            (Shape::Number | Shape::Scalar, Data::Float(number)) => {
                if !number.is_finite() {
                    self.add("out-of-range", node.span, format!("`{name}` must be finite"));
                }
            }
            (Shape::Scalar, Data::Text(_)) => {}
            (Shape::Int { min, max }, Data::Int(number)) => {
                if number < min || number > max {
                    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
                    self.add("out-of-range", node.span, format!("`{name}` is {number}"))
                        .help(format!("accepted: {range}"));
                }
            }
            (Shape::Map(map), Data::Map(entries)) => self.map(node, entries, map),
            (Shape::Table { value, .. }, Data::Map(entries)) => {
                for entry in entries {
                    self.value(&entry.value, value, &entry.key.text);
                }
            }
            (Shape::List { item, min }, Data::List(items)) => self.list(node, items, item, *min, name),
            (Shape::Text(text), Data::Text(found)) => self.text(node, found, text, name),
            (Shape::Word { what, names }, Data::Text(found)) => self.word(node.span, found, what, names),
            (Shape::ByKind { text: Some(text), .. }, Data::Text(found)) => self.text(node, found, text, name),
            (Shape::ByKind { list: Some(list), .. }, Data::List(_)) => self.value(node, list, name),
            (Shape::ByKind { map: Some(map), .. }, Data::Map(_)) => self.value(node, map, name),
            _ => self.wrong_type(node, shape, name),
        }
    }

    fn map(&mut self, node: &Node, entries: &[Entry], map: &Map) {
        let rows: Vec<Option<usize>> = entries.iter().map(|entry| map.row(&entry.key.text)).collect();
        // Collected once, not once per unknown key: a mapping may have very many of those.
        let mut taken = vec![false; map.fields.len()];
        rows.iter().flatten().for_each(|row| taken[*row] = true);
        let free: Vec<&Field> =
            map.fields.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(field, _)| field).collect();
        for (Entry { key, value }, row) in entries.iter().zip(rows) {
            match row.map(|row| &map.fields[row]) {
                Some(field) => self.value(value, &field.shape, field.name),
                None if key.text.starts_with("x-") => {}
                None => self.unknown_key(key, map, &free),
            }
        }
        for field in free.iter().filter(|field| field.required) {
            self.missing_key(node, map, &format!("`{}`", field.name));
        }
        for constraint in map.constraints {
            self.constraint(node, map, constraint);
        }
    }

    fn unknown_key(&mut self, key: &Key, map: &Map, free: &[&Field]) {
        let Key { span, text: key } = key;
        if self.findings.is_full() {
            // Only counted: nobody reads what it would say.
            self.findings.add("unknown-key", Severity::Error, *span, "");
            return;
        }
        let names = free.iter().map(|field| field.name);
        let near = match self.dialect {
            Dialect::Schema1 => nearest(key, names),
            Dialect::Legacy => typo_of(key, names),
        };
        // A far key of a legacy file is somebody's extension; a near one is a typing error that loses content.
        let severity = match (self.dialect, near) {
            (Dialect::Legacy, None) => Severity::Warning,
            _ => Severity::Error,
        };
        let finding =
            self.findings.add("unknown-key", severity, *span, format!("`{key}` is no key of {}", map.what));
        if let Some(near) = near {
            finding.label(format!("did you mean `{near}`?"));
            finding.fix(format!("rename the key to `{near}`"), *span, near);
        } else if self.dialect == Dialect::Legacy {
            finding.help("prose goes into `notes`, extensions start with `x-`");
        } else {
            let names = map.fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
            let prose = if map.field("notes").is_some() { "prose goes into `notes`, " } else { "" };
            finding.help(format!("accepted: {names}; {prose}extensions start with `x-`"));
        }
    }

    fn missing_key(&mut self, node: &Node, map: &Map, keys: &str) {
        let subject = match node.get("id").and_then(Node::text) {
            Some(id) if !map.what.starts_with('`') => {
                format!("{} `{id}`", map.what.trim_start_matches("an ").trim_start_matches("a "))
            }
            _ => map.what.to_owned(),
        };
        self.add("missing-key", node.head(), format!("{subject} has no {keys}"));
    }

    fn constraint(&mut self, node: &Node, map: &Map, constraint: &Constraint) {
        let entry = |key: &str| node.entry(key);
        match constraint {
            Constraint::One(keys) | Constraint::AtMostOne(keys) => {
                let mut found = keys.iter().filter_map(|key| entry(key));
                let Some(first) = found.next() else {
                    if matches!(constraint, Constraint::One(_)) {
                        let names = keys.join("`, `");
                        self.missing_key(node, map, &format!("one of `{names}`"));
                    }
                    return;
                };
                for other in found {
                    let at = self.findings.source().location(first.key.span);
                    let message =
                        format!("{} has both `{}` and `{}`", map.what, first.key.text, other.key.text);
                    self.add("conflicting-keys", other.key.span, message)
                        .related(at, "the other is here")
                        .help(format!("keep one of: {}", keys.join(", ")));
                }
            }
            Constraint::Needs(key, needed) => {
                if let (Some(found), None) = (entry(key), entry(needed)) {
                    self.add("missing-key", found.key.span, format!("`{key}` needs `{needed}` beside it"));
                }
            }
            Constraint::When(key, value, needed) => {
                let Some(found) = entry(key) else { return };
                if found.value.text() == Some(*value) && entry(needed).is_none() {
                    self.add(
                        "missing-key",
                        found.value.span,
                        format!("`{key}: {value}` needs `{needed}` beside it"),
                    );
                }
            }
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], item: &Shape, min: usize, name: &str) {
        if items.len() < min {
            self.add("empty-value", node.span, format!("`{name}` is empty"))
                .help(format!("list at least {min}, or remove the key if it is optional"));
        }
        for node in items {
            self.value(node, item, name);
        }
    }

    fn text(&mut self, node: &Node, found: &str, text: &Text, name: &str) {
        if found.trim().is_empty() {
            self.add("empty-value", node.span, format!("`{name}` is empty"));
        } else if let Err(misfit) = (text.check)(found) {
            // Offsets in the text are offsets in the file when it is written without quotes and escapes.
            let plain = self.findings.source().slice(node.span) == found;
            let part = misfit.at.filter(|at| plain && !at.is_empty());
            let start = node.span.start as usize;
            let span = part.map_or(node.span, |at| Span::new(start + at.start, start + at.end));
            self.add(text.rule, span, misfit.message);
        }
    }

    fn word(&mut self, span: Span, found: &str, what: &str, names: &[&'static str]) {
        if names.contains(&found) {
            return;
        }
        let near = nearest(found, names.iter().copied());
        let finding = self
            .add("unknown-value", span, format!("`{found}` is not {what}"))
            .help(format!("accepted: {}", names.join(", ")));
        if let Some(near) = near {
            finding.label(format!("did you mean `{near}`?"));
            finding.fix(format!("write `{near}`"), span, near);
        }
    }

    fn wrong_type(&mut self, node: &Node, shape: &Shape, name: &str) {
        let source = self.findings.source();
        let finding = self.add(
            "wrong-type",
            node.head(),
            format!("`{name}` must be {}, this is {}", shape.expected(), node.kind()),
        );
        let scalar = matches!(node.data, Data::Bool(_) | Data::Int(_) | Data::Float(_));
        if scalar
            && matches!(shape, Shape::Text(_) | Shape::Word { .. } | Shape::ByKind { text: Some(_), .. })
        {
            let written = source.slice(node.span);
            finding.help(format!("quote it: \"{written}\""));
            finding.fix("quote the value", node.span, format!("\"{written}\""));
        }
    }

    /// `yes`, `no`, `on` and `off` are text here and truth values to a reader of YAML 1.1.
    fn booleans(&mut self, node: &Node) {
        match &node.data {
            Data::Text(text) => self.boolean(node.span, text),
            Data::List(items) => items.iter().for_each(|item| self.booleans(item)),
            Data::Map(entries) => {
                for entry in entries {
                    self.boolean(entry.key.span, &entry.key.text);
                    self.booleans(&entry.value);
                }
            }
            _ => {}
        }
    }

    fn boolean(&mut self, span: Span, text: &str) {
        let truthy = text.len() <= 3
            && ["yes", "no", "on", "off"].into_iter().any(|word| text.eq_ignore_ascii_case(word));
        // A quoted one is longer in the file than its text.
        if truthy && self.findings.source().slice(span) == text {
            self.add("ambiguous-boolean", span, format!("YAML 1.1 reads a plain `{text}` as a truth value"))
                .help(format!("quote it: \"{text}\"; a truth value is `true` or `false`"))
                .fix("quote the value", span, format!("\"{text}\""));
        }
    }
}

impl Map {
    /// The field of a key.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.get(self.row(key)?)
    }

    fn row(&self, key: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == key)
    }
}

impl Shape {
    /// What is accepted, for messages.
    fn expected(&self) -> String {
        match self {
            Self::Map(map) => format!("a mapping ({})", map.what.trim_start_matches(['`'])),
            Self::Table { .. } => "a mapping".to_owned(),
            Self::List { .. } => "a list".to_owned(),
            Self::Text(_) => "text".to_owned(),
            Self::Word { what, .. } => (*what).to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Int { .. } => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Scalar => "text, a number or a truth value".to_owned(),
            Self::Any => "anything".to_owned(),
            Self::ByKind { text, list, map } => {
                let kinds = [text.map(|_| "text"), list.map(|_| "a list"), map.map(|_| "a mapping")];
                kinds.into_iter().flatten().collect::<Vec<_>>().join(" or ")
            }
        }
    }
}
