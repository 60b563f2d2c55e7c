//! Typed reading of a TOML tree that keeps every position and reports every problem, not the first. It knows
//! tables, strings and lists; what they mean is the caller's.

use crate::suggest::{any_of, nearest};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with its place in the text.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// One thing that is wrong in pv.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What was found and what is accepted.
    pub message: String,
    /// The text to write instead, where it is known.
    pub help: Option<String>,
    /// The bytes it is about.
    pub span: Range<usize>,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// Reads values and gathers what is wrong with them.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

/// The known keys of one table, each to be taken once.
pub(super) struct Fields<'t> {
    /// The place of the whole table.
    pub(super) span: Range<usize>,
    path: String,
    values: BTreeMap<String, Value<'t>>,
}

impl<'t> Fields<'t> {
    /// The value of a key.
    pub(super) fn take(&mut self, key: &str) -> Option<Value<'t>> {
        self.values.remove(key)
    }
    /// The dotted path of a key, for messages.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// One entry of a table whose keys are names.
pub(super) struct Entry<'t> {
    /// The name.
    pub(super) name: String,
    /// Where the name stands.
    pub(super) at: Range<usize>,
    /// Its value.
    pub(super) value: Value<'t>,
}

impl<'t> Reader<'t> {
    /// Parse a text; syntax errors are problems, and what could be parsed around them is returned.
    pub(super) fn parse(text: &'t str) -> (Self, Value<'t>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reader = Self { text, problems: Vec::new() };
        for error in errors {
            let message = error.message().to_owned();
            reader.problem(error.span().unwrap_or(0..0), message, None);
        }
        let span = table.span();
        (reader, Spanned::new(span, DeValue::Table(table.into_inner())))
    }

    /// What was wrong, in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| (p.span.start, p.span.end));
        self.problems
    }

    /// Note a problem.
    pub(super) fn problem(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        self.problems.push(Problem { message, help, span, line, column });
    }

    fn wrong_type(&mut self, path: &str, value: &Value<'_>, wanted: &str) {
        let found = value.get_ref().type_str();
        self.problem(value.span(), format!("`{path}`: found {found}, wanted {wanted}"), None);
    }

    /// The entries of a table whose keys are names.
    pub(super) fn entries(&mut self, path: &str, value: Value<'t>) -> Vec<Entry<'t>> {
        if !value.get_ref().is_table() {
            self.wrong_type(path, &value, "a table");
            return Vec::new();
        }
        let DeValue::Table(table) = value.into_inner() else { return Vec::new() };
        let mut entries: Vec<_> = table
            .into_iter()
            .map(|(key, value)| Entry { at: key.span(), name: key.into_inner().into_owned(), value })
            .collect();
        entries.sort_by_key(|e| e.at.start);
        entries
    }

    /// The fields of a table, none of them outside `accepted`.
    pub(super) fn fields(&mut self, path: &str, value: Value<'t>, accepted: &[&str]) -> Fields<'t> {
        let span = value.span();
        let mut values = BTreeMap::new();
        for Entry { name, at, value } in self.entries(path, value) {
            if accepted.contains(&name.as_str()) {
                values.insert(name, value);
            } else {
                let place = if path.is_empty() { String::new() } else { format!(" of `{path}`") };
                let help = nearest(&name, accepted.iter().copied()).map(|m| format!("did you mean `{m}`?"));
                let accepted = any_of(accepted.iter().copied());
                self.problem(at, format!("unknown key `{name}`{place}, accepted: {accepted}"), help);
            }
        }
        Fields { span, path: path.to_owned(), values }
    }

    /// A text, not empty.
    pub(super) fn string(&mut self, path: &str, value: &Value<'t>) -> Option<String> {
        match value.get_ref().as_str() {
            Some("") => {
                self.problem(value.span(), format!("`{path}` is empty"), None);
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.wrong_type(path, value, "a string");
                None
            }
        }
    }

    /// A truth value.
    pub(super) fn boolean(&mut self, path: &str, value: &Value<'t>) -> Option<bool> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(path, value, "true or false");
        }
        found
    }

    /// The elements of a list.
    pub(super) fn list(&mut self, path: &str, value: Value<'t>) -> Vec<Value<'t>> {
        if value.get_ref().as_array().is_none() {
            self.wrong_type(path, &value, "a list");
            return Vec::new();
        }
        let DeValue::Array(array) = value.into_inner() else { return Vec::new() };
        array.into_iter().collect()
    }

    /// A list of texts, each with its place.
    pub(super) fn strings(&mut self, path: &str, value: Value<'t>) -> Vec<(String, Range<usize>)> {
        self.list(path, value)
            .into_iter()
            .filter_map(|element| Some((self.string(path, &element)?, element.span())))
            .collect()
    }

    /// A text that a function reads, whose refusal becomes a problem at the text.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        path: &str,
        value: &Value<'t>,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.string(path, value)?;
        match read(&text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.problem(value.span(), format!("`{path}`: {error}"), None);
                None
            }
        }
    }

    /// One name of a closed set.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        path: &str,
        value: &Value<'t>,
        accepted: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(path, value)?;
        let found = accepted.iter().find(|(name, _)| *name == text).map(|(_, v)| *v);
        if found.is_none() {
            self.unknown(value.span(), path, &text, accepted.iter().map(|(name, _)| *name));
        }
        found
    }

    /// The problem of a name that is not in a closed set.
    pub(super) fn unknown<'a>(
        &mut self,
        span: Range<usize>,
        path: &str,
        text: &str,
        accepted: impl Iterator<Item = &'a str> + Clone,
    ) {
        let help = nearest(text, accepted.clone()).map(|m| format!("did you mean `{m}`?"));
        self.problem(span, format!("`{path}` is `{text}`, accepted: {}", any_of(accepted)), help);
    }
}
