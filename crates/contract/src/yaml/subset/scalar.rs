//! Scalars of the subset: keys, plain and quoted text, text in blocks.

use super::{MAX_KEY, OUTSIDE, Reader};
use crate::yaml::events::Event;
use fault::fault;
use std::borrow::Cow;

/// Characters that no plain scalar starts with; `-`, `?` and `:` may when no blank follows.
const INDICATORS: &[u8] = b",[]{}#&*!|>'\"%@`";

/// A scalar's text while its lines are put together: borrowed as long as it is one line.
struct Folded<'t> {
    text: Cow<'t, str>,
}

impl<'t> Folded<'t> {
    fn new(first: &'t str) -> Self {
        Self { text: Cow::Borrowed(first) }
    }

    /// Add a line that follows `blank` empty ones: a lone line break reads as a space.
    fn line(&mut self, line: &str, blank: usize) {
        let text = self.text.to_mut();
        if blank == 0 && !fault!("subset-joins-lines") {
            text.push(' ');
        }
        text.extend(std::iter::repeat_n('\n', blank));
        text.push_str(line);
    }
}

impl<'t> Reader<'t> {
    fn scalar(&mut self, text: Cow<'t, str>, plain: bool, start: usize, end: usize) {
        self.push(Event::Scalar { text, plain, tag: None, anchor: 0 }, start, end);
    }

    /// Where the key of a block mapping ends that starts at `at`, and where its colon is: a scalar on one line with
    /// a colon behind it. None when there is no such key.
    pub(super) fn key_end(&self) -> Option<(usize, usize)> {
        let (end, mut colon) = match self.peek()? {
            quote @ (b'"' | b'\'') => {
                let end = self.quote_end(self.at + 1, quote)?;
                (end, end)
            }
            _ => self.plain_end(self.at)?,
        };
        while self.bytes.get(colon) == Some(&b' ') {
            colon += 1;
        }
        let is_key =
            self.bytes.get(colon) == Some(&b':') && self.is_gap(colon + 1) && colon - self.at < MAX_KEY;
        is_key.then_some((end, colon))
    }

    /// The key at `at`, whose ends [`Self::key_end`] told; afterwards `at` is its colon.
    pub(super) fn key(&mut self, (end, colon): (usize, usize)) -> Option<()> {
        let start = self.at;
        match self.peek()? {
            quote @ (b'"' | b'\'') => {
                let inner = &self.text[start + 1..end - 1];
                let text = unquote(inner, quote)?;
                self.scalar(text, false, start, end);
            }
            _ => self.scalar(Cow::Borrowed(&self.text[start..end]), true, start, end),
        }
        self.at = colon;
        Some(())
    }

    /// Where a plain scalar in block style ends on its line, and where whatever ended it stands. None when none can
    /// start there.
    fn plain_end(&self, start: usize) -> Option<(usize, usize)> {
        let first = *self.bytes.get(start)?;
        if INDICATORS.contains(&first) || (matches!(first, b'-' | b'?' | b':') && self.is_gap(start + 1)) {
            return None;
        }
        Some(self.plain_rest(start))
    }

    /// Like [`Self::plain_end`] within a plain scalar, where any character may come first.
    fn plain_rest(&self, start: usize) -> (usize, usize) {
        let mut at = start;
        // The end of what is not blank.
        let mut end = start;
        loop {
            match self.bytes.get(at) {
                None | Some(b'\n') => return (end, at),
                Some(b' ') => {}
                Some(b':') if self.is_gap(at + 1) => return (end, at),
                Some(b'#') if end < at => return (end, at),
                Some(_) => end = at + 1,
            }
            at += 1;
        }
    }

    /// A plain scalar and its further lines, up to its last line's end.
    pub(super) fn plain(&mut self, parent: isize) -> Option<()> {
        let start = self.at;
        let (mut end, mut stop) = self.plain_end(start)?;
        let mut folded = Folded::new(&self.text[start..end]);
        loop {
            match self.bytes.get(stop) {
                Some(b':') => return None,
                Some(b'#') => {
                    self.at = stop;
                    break;
                }
                _ => {}
            }
            self.at = stop;
            let Some((next, blank)) = self.next_line(stop, parent)? else { break };
            // What would start something else here goes on as text, except a comment.
            if self.bytes[next] == b'#' {
                break;
            }
            (end, stop) = self.plain_rest(next);
            folded.line(&self.text[next..end], blank);
        }
        self.scalar(folded.text, true, start, end);
        if self.peek() == Some(b'#') {
            self.comment();
        }
        Some(())
    }

    /// From the end of a line to the next one that is not blank, when it lies beyond the parent's column: its first
    /// character that is not blank, and how many blank lines come before it. Stays where it is otherwise.
    #[expect(clippy::option_option, reason = "the outer one is the reader's refusal")]
    fn next_line(&mut self, end: usize, parent: isize) -> Option<Option<(usize, usize)>> {
        let (mut at, mut line, mut blank) = (end, self.line, 0);
        loop {
            match self.bytes.get(at) {
                None => return Some(None),
                Some(b' ') => at += 1,
                Some(b'\n') => {
                    blank += usize::from(line != self.line);
                    at += 1;
                    line = at;
                }
                Some(_) => break,
            }
        }
        let column = (at - line).cast_signed();
        if column <= parent {
            return Some(None);
        }
        // At the left edge stand the marks of documents.
        if parent == OUTSIDE && column == 0 {
            return None;
        }
        self.line = line;
        Some(Some((at, blank)))
    }

    /// Where the quoted scalar ends whose text starts at `at`, when that is on the same line; behind the quote.
    fn quote_end(&self, mut at: usize, quote: u8) -> Option<usize> {
        loop {
            at += memchr::memchr3(quote, b'\\', b'\n', &self.bytes[at..])?;
            match self.bytes[at] {
                b'\n' => return None,
                b'\\' if quote == b'"' => at += 2,
                b'\\' => at += 1,
                _ if quote == b'\'' && self.bytes.get(at + 1) == Some(&b'\'') => at += 2,
                _ => return Some(at + 1),
            }
            if at >= self.bytes.len() {
                return None;
            }
        }
    }

    /// A quoted scalar, which may go on over several lines.
    pub(super) fn quoted(&mut self, parent: isize) -> Option<()> {
        let (start, quote) = (self.at, self.peek()?);
        let mut from = start + 1;
        let mut folded: Option<Folded<'t>> = None;
        let mut blank = 0;
        loop {
            let end = self.quote_end(from, quote);
            let stop = end.map_or_else(
                || memchr::memchr(b'\n', &self.bytes[from..]).map(|length| from + length),
                |end| Some(end - 1),
            )?;
            let mut line = &self.text[from..stop];
            if end.is_none() {
                line = line.trim_end_matches(' ');
                // A line break that is escaped.
                if quote == b'"' && line.ends_with('\\') {
                    return None;
                }
            }
            let line = unquote(line, quote)?;
            match &mut folded {
                None => folded = Some(Folded { text: line }),
                Some(folded) => folded.line(&line, blank),
            }
            if let Some(end) = end {
                self.at = end;
                self.scalar(folded?.text, false, start, end);
                return Some(());
            }
            (from, blank) = self.next_line(stop, parent)??;
        }
    }

    /// A scalar within a flow collection, on one line.
    pub(super) fn flow_value(&mut self, parent: isize) -> Option<()> {
        let start = self.at;
        if matches!(self.peek()?, b'"' | b'\'') {
            return self.quoted(parent);
        }
        if INDICATORS.contains(&self.peek()?)
            || matches!(self.peek()?, b'-' | b'?' | b':') && !self.starts_number()
        {
            return None;
        }
        let mut end = start;
        loop {
            match self.peek()? {
                b',' | b']' | b'}' | b'\n' => break,
                b'[' | b'{' => return None,
                b'#' if self.bytes[self.at - 1] == b' ' => return None,
                b':' => match self.bytes.get(self.at + 1)? {
                    b' ' | b'\n' => break,
                    b',' | b'[' | b']' | b'{' | b'}' => return None,
                    _ => end = self.at + 1,
                },
                b' ' => {}
                _ => end = self.at + 1,
            }
            self.at += 1;
        }
        if end - start >= MAX_KEY {
            return None;
        }
        if self.peek() == Some(b'\n') {
            // It must not go on in the next line.
            let next = self.bytes[self.at..].iter().find(|byte| !matches!(byte, b' ' | b'\n'))?;
            if !matches!(next, b',' | b']' | b'}') {
                return None;
            }
        }
        self.scalar(Cow::Borrowed(&self.text[start..end]), true, start, end);
        Some(())
    }

    fn starts_number(&self) -> bool {
        self.peek() == Some(b'-') && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit)
    }

    /// Text in a block, `|` or `>`.
    pub(super) fn block_scalar(&mut self, parent: isize) -> Option<()> {
        let literal = self.peek()? == b'|';
        self.at += 1;
        let chomp = match self.peek()? {
            sign @ (b'-' | b'+') => {
                self.at += 1;
                Some(sign)
            }
            _ => None,
        };
        self.skip_spaces();
        if self.peek()? != b'\n' {
            return None;
        }
        self.at += 1;
        let mut text = String::new();
        // Each line's indentation, found at the first line that is not blank.
        let mut indent = None;
        let mut start = self.at;
        let mut breaks = 0;
        // Whether the line before starts with a blank: its breaks are not folded.
        let mut after_blank = false;
        let end = loop {
            self.line = self.at;
            self.skip_spaces();
            let spaces = self.at - self.line;
            match self.peek() {
                None if spaces > 0 => return None,
                None => break self.line,
                Some(b'\n') => {
                    // Blanks beyond the indentation are text.
                    if indent.is_none_or(|indent| spaces > indent) && spaces > 0 {
                        return None;
                    }
                    breaks += 1;
                    self.at += 1;
                    continue;
                }
                Some(_) => {}
            }
            let Some(indent) = indent else {
                // At the left edge stand the marks of documents.
                if spaces.cast_signed() <= parent || spaces == 0 {
                    return None;
                }
                indent = Some(spaces);
                // To the library it starts with its text.
                start = self.at;
                text.extend(std::iter::repeat_n('\n', breaks));
                self.block_line(spaces, &mut text)?;
                breaks = 1;
                continue;
            };
            if spaces < indent {
                self.at = self.line;
                break self.line;
            }
            let blank = spaces > indent;
            if literal || blank || after_blank || fault!("subset-folds-no-block") {
                text.extend(std::iter::repeat_n('\n', breaks));
            } else if breaks == 1 {
                text.push(' ');
            } else {
                text.extend(std::iter::repeat_n('\n', breaks - 1));
            }
            after_blank = blank;
            self.block_line(indent, &mut text)?;
            breaks = 1;
        };
        indent?;
        match chomp {
            Some(b'-') => {}
            None => text.push('\n'),
            Some(_) => text.extend(std::iter::repeat_n('\n', breaks)),
        }
        self.scalar(Cow::Owned(text), false, start, end);
        Some(())
    }

    /// One line of a block scalar without its indentation; it must have an end.
    fn block_line(&mut self, indent: usize, text: &mut String) -> Option<()> {
        let end = memchr::memchr(b'\n', &self.bytes[self.at..]).map(|length| self.at + length)?;
        text.push_str(&self.text[self.line + indent..end]);
        self.at = end + 1;
        Some(())
    }
}

/// The text between quotes on one line. None for the escapes that are rare.
fn unquote(inner: &str, quote: u8) -> Option<Cow<'_, str>> {
    if quote == b'\'' {
        return Some(if inner.contains('\'') { inner.replace("''", "'").into() } else { inner.into() });
    }
    if !inner.contains('\\') {
        return Some(inner.into());
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        text.push(match rest.as_bytes().get(at + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            _ => return None,
        });
        rest = &rest[at + 2..];
    }
    text.push_str(rest);
    Some(text.into())
}
