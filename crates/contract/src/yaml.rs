//! YAML text to a tree in which every node knows its bytes, under limits that hold for hostile input.
//!
//! The tree is YAML 1.2 with the core schema. It holds no contract: what keys mean is the business of
//! [`crate::shape`]. Time and memory are linear in the text; aliases are expanded under a budget.

mod events;
mod subset;

use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::source::Source;
use events::{Event, Events};
use std::collections::{HashMap, hash_map};

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 128;
/// The largest number of nodes that is read.
pub const MAX_NODES: usize = 1_000_000;
/// How many times its own size a file may grow through aliases.
pub const MAX_EXPANSION: usize = 10;
/// How many findings one file may have before the rest is only counted.
pub const MAX_FINDINGS: usize = 1_000;

/// A parsed document.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The document's value.
    pub root: Node,
    /// Every comment, in order.
    pub comments: Vec<Span>,
}

/// One value and where it stands. The span of a list or mapping reaches from its first to its last content.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The bytes.
    pub span: Span,
    /// The value.
    pub data: Data,
}

/// A value of the YAML 1.2 core schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Box<str>),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file, without duplicate keys.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// The key of a mapping, as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The bytes.
    pub span: Span,
    /// The text, without quotes.
    pub text: Box<str>,
}

impl Node {
    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key.text == key)
    }

    /// The entries of a mapping; none for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        if let Data::Map(entries) = &self.data { entries } else { &[] }
    }

    /// The items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        if let Data::List(items) = &self.data { items } else { &[] }
    }

    /// The text of a text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "a truth value",
            Data::Int(_) => "a whole number",
            Data::Float(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// Where to point when the whole value is meant: a mapping's first key, a list's first item, else all of it.
    #[must_use]
    pub fn head(&self) -> Span {
        match &self.data {
            Data::Map(entries) => entries.first().map_or(self.span, |entry| entry.key.span),
            Data::List(items) => items.first().map_or(self.span, Node::head),
            _ => self.span,
        }
    }
}

impl Tree {
    /// The node at a JSON pointer (RFC 6901), `/falsification_tests/0/claim`.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&Node> {
        steps(pointer).try_fold(&self.root, |node, step| match &node.data {
            Data::Map(_) => node.get(&step),
            Data::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The bytes of the value at a JSON pointer.
    #[must_use]
    pub fn span(&self, pointer: &str) -> Option<Span> {
        self.at(pointer).map(|node| node.span)
    }

    /// The bytes of the key at a JSON pointer.
    #[must_use]
    pub fn key_span(&self, pointer: &str) -> Option<Span> {
        let (parent, _) = pointer.rsplit_once('/')?;
        let key = steps(pointer).last()?;
        self.at(parent)?.entry(&key).map(|entry| entry.key.span)
    }
}

fn steps(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
}

/// The findings of one file: all of them up to [`MAX_FINDINGS`], the rest as a number.
#[derive(Debug)]
pub struct Findings<'s> {
    source: &'s Source,
    list: Vec<Diagnostic>,
    dropped: usize,
    spare: Option<Diagnostic>,
}

impl<'s> Findings<'s> {
    /// None yet.
    #[must_use]
    pub fn new(source: &'s Source) -> Self {
        Self { source, list: Vec::new(), dropped: 0, spare: None }
    }

    /// The file they are about.
    #[must_use]
    pub fn source(&self) -> &'s Source {
        self.source
    }

    /// Whether there is one at error level.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.dropped > 0 || self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether further findings are only counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.list.len() >= MAX_FINDINGS
    }

    /// Add an error, and hand it back for its label, help and fix.
    pub fn error(&mut self, rule: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(rule, Severity::Error, span, message)
    }

    /// Add a finding, and hand it back for its label, help and fix.
    pub fn add(
        &mut self,
        rule: &'static str,
        severity: Severity,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        if self.is_full() {
            self.dropped += 1;
            let source = self.source;
            // Whoever adds may write on; nobody reads it.
            return self.spare.get_or_insert_with(|| source.finding("limit", Span::default(), ""));
        }
        self.list.push(Diagnostic::new(rule, severity, self.source.location(span), message));
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// The findings, closed by one that says how many more there are.
    #[must_use]
    pub fn finish(mut self) -> Vec<Diagnostic> {
        if self.dropped > 0 {
            let message = format!("{} more findings in this file are not shown", self.dropped);
            let location = self.source.location(Span::default());
            self.list.push(Diagnostic::new("limit", Severity::Error, location, message));
        }
        self.list
    }
}

/// Parse a file. The tree is missing only when there is a finding that says why.
#[must_use]
pub fn parse(source: &Source, findings: &mut Findings<'_>) -> Option<Tree> {
    let base = source.start();
    let text = &source.text()[base..];
    let builder = Builder::new(findings);
    match subset::events(text, base) {
        Some(events) => builder.build(events.into_iter(), source),
        None => builder.build(events::of(text, base), source),
    }
}

/// A collection whose end has not been seen.
struct Open {
    span: Span,
    anchor: usize,
    /// The number of nodes made before it, from which its own size follows.
    nodes_before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        pending: Pending,
        /// Where each key stands among the entries, once they are more than [`SMALL_MAP`].
        seen: HashMap<Box<str>, usize>,
    },
}

/// What a mapping waits for.
enum Pending {
    Key,
    Value(Key),
    /// The value of a key that was refused.
    Refused,
}

/// Mappings up to this size are searched entry by entry.
const SMALL_MAP: usize = 16;

struct Builder<'f, 's> {
    findings: &'f mut Findings<'s>,
    open: Vec<Open>,
    /// The anchored nodes with the number of nodes in each.
    anchors: HashMap<usize, (Node, usize)>,
    comments: Vec<Span>,
    nodes: usize,
    /// Of these, how many were written out rather than copied for an alias.
    written: usize,
    root: Option<Node>,
}

/// The finding that ends the parse is in place.
struct Stop;

impl<'f, 's> Builder<'f, 's> {
    fn new(findings: &'f mut Findings<'s>) -> Self {
        Self {
            findings,
            open: Vec::new(),
            anchors: HashMap::new(),
            comments: Vec::new(),
            nodes: 0,
            written: 0,
            root: None,
        }
    }

    fn build<'t>(mut self, mut events: impl Events<'t>, source: &Source) -> Option<Tree> {
        let mut documents = 0;
        while let Some(next) = events.next_event() {
            let (event, span) = match next {
                Ok(event) => event,
                Err(error) if error.nesting => {
                    self.too_deep(clip(source, error.at));
                    return None;
                }
                Err(error) => {
                    let at = clip(source, error.at);
                    self.findings.error("syntax", at, error.message).help(
                        "indentation is by spaces; quote text that holds `: `, ` #` or starts with a special character",
                    );
                    return None;
                }
            };
            if matches!(event, Event::Document) {
                documents += 1;
                if documents == 2 {
                    self.findings
                        .error("several-documents", span, "a second document starts here")
                        .help("a contract file holds one document; move the other into its own file");
                    break;
                }
                continue;
            }
            if self.event(event, span, source).is_err() {
                return None;
            }
        }
        match self.root.take() {
            Some(root) if root.data != Data::Null => Some(Tree { root, comments: self.comments }),
            _ => {
                let span = Span::new(source.start(), source.start());
                self.findings
                    .error("empty-document", span, "the file holds no contract")
                    .help("`pv new contract` writes one to start from");
                None
            }
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span, source: &Source) -> Result<(), Stop> {
        match event {
            Event::Document => {}
            Event::Comment => self.comments.push(span),
            Event::Scalar { text, plain, tag, anchor } => {
                let data = self.scalar(&text, plain, tag.as_deref(), span);
                let span = trim(source, span);
                self.count(1, span)?;
                self.written += 1;
                self.finish_node(Node { span, data }, anchor, 1)?;
            }
            Event::List { anchor } => self.start(span, anchor, Content::List(Vec::new()))?,
            Event::Map { anchor } => {
                let content =
                    Content::Map { entries: Vec::new(), pending: Pending::Key, seen: HashMap::new() };
                self.start(span, anchor, content)?;
            }
            Event::End => {
                if let Some(open) = self.open.pop() {
                    let (anchor, size) = (open.anchor, self.nodes - open.nodes_before);
                    self.finish_node(open.close(span), anchor, size)?;
                }
            }
            Event::Alias { anchor } => {
                if self.open.iter().any(|open| open.anchor == anchor) {
                    self.findings
                        .error("recursive-alias", span, "the alias stands inside the value it names")
                        .help("write the value out");
                    return Err(Stop);
                }
                // The parser refuses aliases without an anchor, so there always is one.
                let size = self.anchors.get(&anchor).map_or(1, |(_, size)| *size);
                self.expand(size, span)?;
                let mut node = self
                    .anchors
                    .get(&anchor)
                    .map_or(Node { span, data: Data::Null }, |(node, _)| node.clone());
                // Its own span is where it is used; its content lies where it was written.
                node.span = span;
                self.finish_node(node, 0, size)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), Stop> {
        self.count(1, span)?;
        self.written += 1;
        if self.open.len() >= MAX_DEPTH {
            self.too_deep(span);
            return Err(Stop);
        }
        self.open.push(Open { span, anchor, nodes_before: self.nodes - 1, content });
        Ok(())
    }

    fn too_deep(&mut self, span: Span) {
        self.findings
            .error("limit", span, format!("values are nested more than {MAX_DEPTH} deep here"))
            .help("a contract needs about six levels");
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Stop> {
        self.nodes += more;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        self.findings
            .error("limit", span, format!("the file has more than {MAX_NODES} values"))
            .help("split the contract: one subject per file");
        Err(Stop)
    }

    /// Account for a copy of `more` nodes.
    fn expand(&mut self, more: usize, span: Span) -> Result<(), Stop> {
        self.count(more, span)?;
        // A small file may repeat a small value as often as it likes.
        if self.nodes <= self.written.saturating_mul(MAX_EXPANSION).max(10_000) {
            return Ok(());
        }
        self.findings
            .error(
                "limit",
                span,
                format!("aliases make the file more than {MAX_EXPANSION} times as large as it is written"),
            )
            .help("write the values out, or move them into a file that the contract names");
        Err(Stop)
    }

    fn finish_node(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Stop> {
        if anchor != 0 {
            // The copy kept for later aliases counts like a use, so that nested anchors stay linear.
            self.expand(size, node.span)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = self.root.take().or(Some(node)),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, pending, seen }) => match std::mem::replace(pending, Pending::Key) {
                Pending::Key => {
                    let span = node.span;
                    *pending = match key_text(node, self.findings.source()) {
                        Ok(text) => Pending::Value(Key { span, text }),
                        Err(node) => {
                            self.findings.error(
                                "wrong-type",
                                node.head(),
                                format!("a key must be text, this is {}", node.kind()),
                            );
                            Pending::Refused
                        }
                    };
                }
                Pending::Value(key) => match duplicate(entries, seen, &key) {
                    Some(first) => {
                        let first = self.findings.source().location(first);
                        self.findings
                            .error("duplicate-key", key.span, format!("`{}` is set twice", key.text))
                            .related(first, "set first here")
                            .help("keep one of the two");
                    }
                    None => entries.push(Entry { key, value: node }),
                },
                Pending::Refused => {}
            },
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, plain: bool, tag: Option<&str>, span: Span) -> Data {
        match tag {
            None if plain => resolve(text),
            None | Some("str") => Data::Text(text.into()),
            Some(core @ ("int" | "float" | "bool" | "null")) => {
                let data = resolve(text);
                let fits = matches!(
                    (core, &data),
                    ("float", Data::Int(_) | Data::Float(_))
                        | ("int", Data::Int(_))
                        | ("bool", Data::Bool(_))
                        | ("null", Data::Null)
                );
                if !fits {
                    self.findings.error("wrong-type", span, format!("`{text}` is no {core}"));
                }
                data
            }
            Some(other) => {
                self.findings
                    .error("wrong-type", span, format!("the tag `{other}` means nothing in a contract"))
                    .help("remove the tag");
                Data::Text(text.into())
            }
        }
    }
}

impl Open {
    fn close(self, end: Span) -> Node {
        let (data, last) = match self.content {
            Content::List(items) => {
                let last = items.last().map(|item| item.span);
                (Data::List(items), last)
            }
            Content::Map { entries, .. } => {
                let last = entries.last().map(|entry| entry.value.span.join(entry.key.span));
                (Data::Map(entries), last)
            }
        };
        // A flow collection ends with its bracket; a block collection ends where its last content does, because
        // the end event of a block stands at the next token.
        let end = if end.end > end.start { Some(end) } else { last };
        Node { span: end.map_or(self.span, |end| self.span.join(end)), data }
    }
}

/// Where the same key was set before.
fn duplicate(entries: &[Entry], seen: &mut HashMap<Box<str>, usize>, key: &Key) -> Option<Span> {
    if entries.len() < SMALL_MAP {
        return entries.iter().find(|entry| entry.key.text == key.text).map(|entry| entry.key.span);
    }
    if seen.is_empty() {
        seen.extend(entries.iter().enumerate().map(|(at, entry)| (entry.key.text.clone(), at)));
    }
    match seen.entry(key.text.clone()) {
        hash_map::Entry::Occupied(first) => entries.get(*first.get()).map(|entry| entry.key.span),
        hash_map::Entry::Vacant(slot) => {
            slot.insert(entries.len());
            None
        }
    }
}

/// A key as text: a number or truth value counts as it is written. Anything else is handed back.
fn key_text(node: Node, source: &Source) -> Result<Box<str>, Node> {
    match node.data {
        Data::Text(text) => Ok(text),
        Data::Bool(_) | Data::Int(_) | Data::Float(_) => Ok(source.slice(node.span).into()),
        Data::Null | Data::List(_) | Data::Map(_) => Err(node),
    }
}

/// The value of a plain scalar in the core schema of YAML 1.2.2, section 10.3.2.
fn resolve(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" => return Data::Bool(true),
        "false" | "False" | "FALSE" => return Data::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Data::Float(f64::NAN),
        _ => {}
    }
    let number = if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        number(text)
    } else {
        None
    };
    number.unwrap_or_else(|| Data::Text(text.into()))
}

fn number(text: &str) -> Option<Data> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(Data::Float(sign * f64::INFINITY));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let plain = !digits.starts_with(['+', '-']);
            return i64::from_str_radix(digits, radix).ok().filter(|_| plain).map(Data::Int);
        }
    }
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        // A whole number that does not fit keeps its size as a float.
        let int = text.parse().map(Data::Int);
        return int.ok().or_else(|| text.parse().ok().map(Data::Float));
    }
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let float = mantissa.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if float { text.parse().ok().map(Data::Float) } else { None }
}

/// A scalar without the blanks that may follow it: a block scalar's event reaches to the next token.
fn trim(source: &Source, span: Span) -> Span {
    let text = source.slice(span);
    Span::new(span.start as usize, span.start as usize + text.trim_end().len())
}

/// The character at an offset, or the last one of the text when the error is its end.
fn clip(source: &Source, at: usize) -> Span {
    let text = source.text();
    let at = at.min(text.trim_end().len());
    let len = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    Span::new(at, at + len)
}
