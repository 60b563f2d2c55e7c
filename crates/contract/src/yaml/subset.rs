//! A quick reader for the part of YAML that contracts are written in: block mappings and lists, flow collections,
//! quoted, plain and block scalars, comments. What lies outside of it (anchors, tags, directives, documents, tabs,
//! explicit keys, odd indentation, any error) is left to the library, which then reads the whole text: this reader
//! either says exactly what the library says, or nothing. The tests hold the two equal.

mod scalar;
#[cfg(test)]
mod tests;

use super::events::Event;
use crate::diagnostic::Span;
use std::borrow::Cow;

/// Texts above this size go to the library, whose events need not be held at once.
const MAX_SIZE: usize = 1 << 20;
/// Deeper nesting goes to the library, which knows the limit.
const MAX_DEPTH: usize = 64;
/// A key longer than this goes to the library, which knows the limit of implicit keys.
const MAX_KEY: usize = 512;

/// The column of a document's parent.
const OUTSIDE: isize = -1;

/// All events of a text that starts at offset `base` of its file; none when some of it lies outside of the subset.
pub(super) fn events(text: &str, base: usize) -> Option<Vec<(Event<'_>, Span)>> {
    if text.len() > MAX_SIZE || !is_plain_text(text.as_bytes()) {
        return None;
    }
    let mut reader =
        Reader { text, bytes: text.as_bytes(), at: 0, line: 0, base, depth: 0, events: Vec::new() };
    reader.events.reserve(text.len() / 24);
    reader.document()?;
    Some(reader.events)
}

/// Whether every character is a line feed or one that YAML calls printable, apart from tabs, byte order marks and
/// the line breaks of Unicode, which have rules of their own.
fn is_plain_text(bytes: &[u8]) -> bool {
    let mut odd = false;
    for &byte in bytes {
        odd |= (byte < b' ' && byte != b'\n') || byte == 0x7f;
    }
    let special = |at: usize| match (bytes[at], bytes.get(at + 1), bytes.get(at + 2)) {
        (0xc2, Some(second), _) => *second < 0xa0,
        (0xe2, Some(0x80), Some(third)) => matches!(third, 0xa8 | 0xa9),
        (0xef, Some(0xbb), Some(0xbf)) | (0xef, Some(0xbf), Some(0xbe | 0xbf)) => true,
        _ => false,
    };
    !odd && memchr::memchr3_iter(0xc2, 0xe2, 0xef, bytes).all(|at| !special(at))
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// Where the line of `at` starts.
    line: usize,
    /// The offset of the text in its file.
    base: usize,
    depth: usize,
    events: Vec<(Event<'t>, Span)>,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Option<()> {
        self.push(Event::Document, 0, 0);
        let column = self.content()??;
        self.block(column, OUTSIDE)?;
        // Whatever follows the value is an error or another document.
        self.content()?.is_none().then_some(())
    }

    fn push(&mut self, event: Event<'t>, start: usize, end: usize) {
        self.events.push((event, Span::new(self.base + start, self.base + end)));
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Whether the byte at an offset ends a word: a blank, a line's end or the text's.
    fn is_gap(&self, at: usize) -> bool {
        matches!(self.bytes.get(at), None | Some(b' ' | b'\n'))
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn column(&self) -> isize {
        (self.at - self.line).cast_signed()
    }

    /// Go on to the next thing that is neither blank nor a comment, across lines. Returns its column; `Some(None)` at
    /// the end of the text.
    #[expect(clippy::option_option, reason = "the outer one is the reader's refusal")]
    fn content(&mut self) -> Option<Option<isize>> {
        loop {
            let from = self.at;
            self.skip_spaces();
            match self.peek() {
                None => return Some(None),
                Some(b'\n') => {
                    self.at += 1;
                    self.line = self.at;
                }
                Some(b'#') => {
                    // A comment starts a line or follows a blank.
                    if self.at > self.line && from == self.at {
                        return None;
                    }
                    self.comment();
                }
                Some(_) => {
                    let marker = self.at == self.line
                        && (self.bytes[self.at..].starts_with(b"---")
                            || self.bytes[self.at..].starts_with(b"..."))
                        && self.is_gap(self.at + 3);
                    return (!marker).then(|| Some(self.column()));
                }
            }
        }
    }

    /// A comment up to the end of its line.
    fn comment(&mut self) {
        let end = self.line_end();
        self.push(Event::Comment, self.at, end);
        self.at = end;
    }

    fn line_end(&self) -> usize {
        memchr::memchr(b'\n', &self.bytes[self.at..]).map_or(self.bytes.len(), |length| self.at + length)
    }

    /// After a value: nothing but blanks and a comment may follow on its line.
    fn rest_of_line(&mut self) -> Option<()> {
        let from = self.at;
        self.skip_spaces();
        match self.peek() {
            None | Some(b'\n') => Some(()),
            Some(b'#') if self.at > from => {
                self.comment();
                Some(())
            }
            Some(_) => None,
        }
    }

    /// A value in block style that starts at `at`, the first thing in its block. `parent` is the column that its
    /// further lines must lie beyond.
    fn block(&mut self, column: isize, parent: isize) -> Option<()> {
        self.nested(|reader| {
            if reader.is_dash() {
                return reader.list(column, parent);
            }
            match reader.key_end() {
                Some(key) => reader.mapping(column, key),
                None => reader.value(parent),
            }
        })
    }

    /// One level further in, unless that is too deep.
    fn nested(&mut self, inside: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        inside(self)?;
        self.depth -= 1;
        Some(())
    }

    /// Whether the dash of a list's item stands at `at`.
    fn is_dash(&self) -> bool {
        self.peek() == Some(b'-') && self.is_gap(self.at + 1)
    }

    /// A list whose dashes stand at a column; `at` is the first of them.
    fn list(&mut self, column: isize, parent: isize) -> Option<()> {
        let first = self.events.len();
        self.push(Event::List { anchor: 0 }, self.at, self.at);
        loop {
            self.at += 1;
            self.skip_spaces();
            if matches!(self.peek(), None | Some(b'\n' | b'#')) {
                // An item of nothing is the library's.
                let below = self.content()?.filter(|below| *below > column)?;
                self.block(below, column)?;
            } else {
                self.block(self.column(), column)?;
            }
            match self.content()? {
                Some(next) if next == column && self.is_dash() => {}
                Some(next) if next > column => return None,
                _ => break,
            }
        }
        self.push(Event::End, self.at, self.at);
        // To the library, a list that stands at its parent's column starts with its first item.
        if column == parent {
            let (_, item) =
                self.events[first + 1..].iter().find(|(event, _)| !matches!(event, Event::Comment))?;
            self.events[first].1 = Span { start: item.start, end: item.start };
        }
        Some(())
    }

    fn mapping(&mut self, column: isize, mut key: (usize, usize)) -> Option<()> {
        self.push(Event::Map { anchor: 0 }, self.at, self.at);
        loop {
            self.key(key)?;
            let colon = self.at;
            self.at += 1;
            self.skip_spaces();
            if matches!(self.peek(), None | Some(b'\n' | b'#')) {
                match self.content()? {
                    Some(below) if below > column => self.block(below, column)?,
                    Some(below) if below == column && self.is_dash() => {
                        self.nested(|reader| reader.list(column, column))?;
                    }
                    _ => self.nothing(colon),
                }
            } else {
                self.value(column)?;
            }
            match self.content()? {
                Some(next) if next == column => key = self.key_end()?,
                Some(next) if next > column => return None,
                _ => break,
            }
        }
        self.push(Event::End, self.at, self.at);
        Some(())
    }

    /// An empty value, which to the library stands at its key's colon.
    fn nothing(&mut self, at: usize) {
        let empty = Event::Scalar { text: Cow::Borrowed(""), plain: true, tag: None, anchor: 0 };
        self.push(empty, at, at);
    }

    /// Anything that may follow `key: ` or stand in a block alone, up to the end of its last line.
    fn value(&mut self, parent: isize) -> Option<()> {
        match self.peek()? {
            b'|' | b'>' => return self.block_scalar(parent),
            b'"' | b'\'' => self.quoted(parent)?,
            b'[' | b'{' => self.nested(|reader| reader.flow(parent))?,
            _ => return self.plain(parent),
        }
        self.rest_of_line()
    }

    /// A list or mapping between brackets.
    fn flow(&mut self, parent: isize) -> Option<()> {
        let (start, open) = (self.at, self.peek()?);
        let close = if open == b'[' { b']' } else { b'}' };
        let event = if open == b'[' { Event::List { anchor: 0 } } else { Event::Map { anchor: 0 } };
        self.push(event, start, start + 1);
        self.at += 1;
        self.flow_gap(parent)?;
        while self.peek()? != close {
            if open == b'{' {
                self.flow_value(parent)?;
                self.flow_gap(parent)?;
                if self.peek()? != b':' || !self.is_gap(self.at + 1) {
                    return None;
                }
                self.at += 1;
                self.flow_gap(parent)?;
            }
            match self.peek()? {
                b'[' | b'{' => self.nested(|reader| reader.flow(parent))?,
                _ => self.flow_value(parent)?,
            }
            self.flow_gap(parent)?;
            match self.peek()? {
                b',' => {
                    self.at += 1;
                    self.flow_gap(parent)?;
                    // A comma before the bracket is left to the library.
                    if self.peek()? == close {
                        return None;
                    }
                }
                next if next == close => {}
                _ => return None,
            }
        }
        self.push(Event::End, self.at, self.at + 1);
        self.at += 1;
        Some(())
    }

    /// Blanks and lines between the parts of a flow collection; each line must lie beyond the parent's column.
    fn flow_gap(&mut self, parent: isize) -> Option<()> {
        loop {
            self.skip_spaces();
            match self.peek()? {
                b'\n' => {
                    self.at += 1;
                    self.line = self.at;
                }
                b'#' => return None,
                _ if self.column() <= parent || self.column() == 0 => return None,
                _ => return Some(()),
            }
        }
    }
}
