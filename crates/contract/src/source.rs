//! A contract file as text: read under a size limit, decoded, its offsets turned into lines and columns.
//!
//! This module knows bytes and lines, no YAML. A file that cannot be text is a finding at the offending byte.

use crate::diagnostic::{Diagnostic, Location, Position, Severity, Span};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The largest file that is read: 16 MiB.
pub const MAX_BYTES: usize = 16 << 20;

/// The text of one file and the name it is shown under. A clone shares both.
#[derive(Debug, Clone)]
pub struct Source {
    path: Arc<Path>,
    text: Arc<Text>,
    /// Made when a position is first asked for.
    index: OnceLock<Index>,
}

/// A text, or where it lies.
#[derive(Debug)]
struct Text {
    /// What was read, as it was read: a copy of every file would cost more than to look through it.
    read: OnceLock<String>,
    /// Where it is read from when it is first asked for; nowhere when it was given.
    file: PathBuf,
}

/// What makes a position cheap, however long the lines are.
#[derive(Debug, Clone)]
struct Index {
    /// The offset at which each line starts.
    lines: Vec<u32>,
    /// The number of characters that start before each multiple of [`STRIDE`] bytes; empty when each byte is one.
    chars: Vec<u32>,
}

const STRIDE: usize = 1024;

/// The bytes of a byte order mark in UTF-8, which is accepted and skipped.
const BOM: &str = "\u{feff}";

impl Source {
    /// A text that is already decoded.
    #[must_use]
    pub fn new(path: impl AsRef<Path>, text: impl Into<String>) -> Self {
        let text = Text { read: OnceLock::from(text.into()), file: PathBuf::new() };
        Self { path: path.as_ref().into(), text: Arc::new(text), index: OnceLock::new() }
    }

    /// A file of UTF-8 text of which enough is known without it: it is read when its text is first asked for. When it
    /// is no text any more by then, it reads as empty.
    #[must_use]
    pub fn unread(file: &Path, shown: &Path) -> Self {
        let text = Text { read: OnceLock::new(), file: file.to_owned() };
        Self { path: shown.into(), text: Arc::new(text), index: OnceLock::new() }
    }

    /// Read `file`, which findings call `shown`.
    ///
    /// # Errors
    /// A finding when the file cannot be read, is larger than [`MAX_BYTES`], or is no UTF-8 text. It comes with
    /// the text as far as it could be decoded, for the snippet.
    pub fn read(file: &Path, shown: &Path) -> Result<Self, Unreadable> {
        match bytes(file) {
            Ok(bytes) => Self::decode(shown, bytes),
            Err(error) => Err(Self::refused(shown, &error)),
        }
    }

    /// What stands for a file that cannot be read.
    #[must_use]
    pub fn refused(shown: &Path, error: &std::io::Error) -> Unreadable {
        let source = Self::new(shown, "");
        let finding = source.finding("unreadable-file", Span::default(), format!("cannot be read: {error}"));
        Unreadable { source, finding: Box::new(finding) }
    }

    /// Decode the bytes of a file, which findings call `shown`.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn decode(shown: &Path, bytes: Vec<u8>) -> Result<Self, Unreadable> {
        let fail = |text: String, rule, at: usize, message: String, help: &str| {
            // In what could be decoded, the replacement character may be longer than the byte it stands for.
            let len = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            let source = Self::new(shown, text);
            let mut finding = source.finding(rule, Span::new(at, at + len), message);
            finding.help(help);
            Err(Unreadable { source, finding: Box::new(finding) })
        };
        if bytes.len() > MAX_BYTES {
            let message = format!("the file has more than {MAX_BYTES} bytes");
            return fail(String::new(), "limit", 0, message, "split the contract: one subject per file");
        }
        if let Some(endian) = utf16(&bytes) {
            let message = format!("the file is UTF-16 ({endian} endian)");
            return fail(String::new(), "encoding", 0, message, "save it as UTF-8");
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let byte = error.as_bytes()[at];
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let message = format!("byte 0x{byte:02X} at offset {at} is no UTF-8");
                return fail(text, "encoding", at, message, "save the file as UTF-8");
            }
        };
        if let Some(at) = control(text.as_bytes()) {
            let message = format!("control character U+{:04X} at offset {at}", text.as_bytes()[at]);
            return fail(
                text,
                "encoding",
                at,
                message,
                "remove it, or write it as an escape inside double quotes",
            );
        }
        Ok(Self::new(shown, text))
    }

    /// The name findings use.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, to keep.
    #[must_use]
    pub fn shared_path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// The whole text, a byte order mark included, so that offsets are those of the file.
    #[must_use]
    pub fn text(&self) -> &str {
        let Text { read, file } = &*self.text;
        read.get_or_init(|| {
            bytes(file).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
        })
    }

    /// Offset at which the content starts: 3 after a byte order mark, else 0.
    #[must_use]
    pub fn start(&self) -> usize {
        if self.text().starts_with(BOM) { BOM.len() } else { 0 }
    }

    /// The text of a span; empty when it is none of this text.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text().get(span.range()).unwrap_or_default()
    }

    /// The line and column of a byte offset. An offset past the end is the end.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        let index = self.index.get_or_init(|| Index::of(self.text(), self.start()));
        let line = index.lines.partition_point(|start| *start <= offset).max(1);
        let column = index.chars_between(self.text(), index.lines[line - 1] as usize, offset as usize) + 1;
        Position { line: u32::try_from(line).unwrap_or(u32::MAX), column }
    }

    /// The bytes of a line, counted from 1, without its indentation; empty past the end.
    #[must_use]
    pub fn line(&self, line: u32) -> Span {
        let index = self.index.get_or_init(|| Index::of(self.text(), self.start()));
        let number = (line as usize).saturating_sub(1);
        let Some(start) = index.lines.get(number).map(|start| *start as usize) else {
            return Span::new(self.text().len(), self.text().len());
        };
        let end = index.lines.get(number + 1).map_or(self.text().len(), |end| *end as usize);
        let text = self.text().get(start..end).unwrap_or_default();
        let indent = text.len() - text.trim_start().len();
        Span::new(start + indent, start + indent.max(text.trim_end().len()))
    }

    /// The place of a span.
    #[must_use]
    pub fn location(&self, span: Span) -> Location {
        Location {
            path: Arc::clone(&self.path),
            span,
            start: self.position(span.start),
            end: self.position(span.end),
        }
    }

    /// An error-level finding in this file.
    pub(crate) fn finding(&self, rule: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(rule, Severity::Error, self.location(span), message)
    }
}

/// The bytes of a file, one more than [`MAX_BYTES`] at most.
///
/// # Errors
/// When it is no regular file, or the system refuses.
pub fn bytes(file: &Path) -> std::io::Result<Vec<u8>> {
    // To open a pipe would wait for whoever writes to it.
    let found = std::fs::metadata(file)?;
    if !found.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let most = MAX_BYTES as u64 + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(found.len().min(most)).unwrap_or_default());
    std::fs::File::open(file)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A file that is no text, and the finding that says why.
#[derive(Debug)]
pub struct Unreadable {
    /// What could be decoded.
    pub source: Source,
    /// Why it is not all.
    pub finding: Box<Diagnostic>,
}

/// Which UTF-16 the bytes are, by their byte order mark or by the zero half of a first ASCII character.
fn utf16(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, ..] => Some("little"),
        [0xFE, 0xFF, ..] => Some("big"),
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some("little"),
        [0, a, 0, b, ..] if *a != 0 && *b != 0 => Some("big"),
        _ => None,
    }
}

/// Where the first control character stands that is no tab or line break.
fn control(bytes: &[u8]) -> Option<usize> {
    let control = |b: u8| (b < 0x20) & (b != b'\t') & (b != b'\n') & (b != b'\r') | (b == 0x7f);
    // A whole block is asked at once, without a branch per byte.
    let block = bytes.chunks(64).position(|block| block.iter().fold(false, |any, b| any | control(*b)))?;
    let start = block * 64;
    bytes[start..].iter().position(|b| control(*b)).map(|at| start + at)
}

impl Index {
    fn of(text: &str, start: usize) -> Self {
        let bytes = text.as_bytes();
        let fit = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        // Lines end with a line feed, a carriage return, or both, as in YAML.
        let ends = memchr::memchr2_iter(b'\n', b'\r', bytes)
            .filter(|at| bytes[*at] == b'\n' || bytes.get(at + 1) != Some(&b'\n'));
        let lines = std::iter::once(start).chain(ends.map(|at| at + 1)).map(fit).collect();
        let chars = if text.is_ascii() {
            Vec::new()
        } else {
            bytes
                .chunks(STRIDE)
                .scan(0, |total, chunk| Some(std::mem::replace(total, *total + fit(char_starts(chunk)))))
                .collect()
        };
        Self { lines, chars }
    }

    /// How many characters start between two offsets.
    fn chars_between(&self, text: &str, from: usize, to: usize) -> u32 {
        let (from, to) = (from.min(text.len()), to.min(text.len()));
        let Some(bytes) = text.as_bytes().get(from..to) else { return 0 };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        if self.chars.is_empty() {
            count(bytes.len())
        } else if bytes.len() <= STRIDE {
            count(char_starts(bytes))
        } else {
            self.chars_before(text, to).saturating_sub(self.chars_before(text, from))
        }
    }

    fn chars_before(&self, text: &str, offset: usize) -> u32 {
        let block = (offset / STRIDE).min(self.chars.len().saturating_sub(1));
        let rest = text.as_bytes().get(block * STRIDE..offset).unwrap_or_default();
        let before = self.chars.get(block).copied().unwrap_or_default();
        before + u32::try_from(char_starts(rest)).unwrap_or(u32::MAX)
    }
}

/// How many characters start in a piece of UTF-8: its bytes that are no continuation.
fn char_starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("x", "a\r\nµb\rc\n");
        for (offset, line, column) in [(0, 1, 1), (3, 2, 1), (5, 2, 2), (6, 2, 3), (7, 3, 1), (99, 4, 1)] {
            assert_eq!(source.position(offset), Position { line, column }, "offset {offset}");
        }
    }

    #[test]
    fn positions_in_a_long_line_equal_a_plain_count() {
        let text = format!("first\n{}", "aµ日".repeat(5000));
        let source = Source::new("x", text.as_str());
        for offset in (6..text.len()).filter(|at| text.is_char_boundary(*at)).step_by(977) {
            let column = text[6..offset].chars().count() as u32 + 1;
            assert_eq!(source.position(offset as u32), Position { line: 2, column }, "offset {offset}");
        }
    }

    #[test]
    fn lines_are_spans_without_indentation() {
        let source = Source::new("x", "a\n  b c \n\nd");
        let line = |number| source.slice(source.line(number)).to_owned();
        assert_eq!([1, 2, 3, 4, 5].map(line), ["a", "b c", "", "d", ""]);
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        let source = Source::new("x", "\u{feff}ab");
        assert_eq!(source.position(3), Position { line: 1, column: 1 });
        assert_eq!(source.position(4), Position { line: 1, column: 2 });
    }

    #[test]
    fn control_characters_are_found_wherever_they_stand() {
        let plain = "ab\tc\r\n ~\u{80}é".repeat(40).into_bytes();
        assert_eq!(control(&plain), None);
        for at in [0, 1, 63, 64, 65, 130, plain.len() - 1] {
            for byte in [0, 8, 11, 0x1f, 0x7f] {
                let mut bytes = plain.clone();
                bytes[at] = byte;
                assert_eq!(control(&bytes), Some(at), "{byte:#x}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_a_finding_at_the_byte() {
        for (bytes, rule, line, column) in [
            (&b"a: \xe9\n"[..], "encoding", 1, 4),
            (b"a: 1\nb: \x00\n", "encoding", 2, 4),
            (b"\xff\xfea\0", "encoding", 1, 1),
            (b"a\0:\0 \0", "encoding", 1, 1),
            (b"\0a\0:\0 ", "encoding", 1, 1),
            (b"\x7fELF\x02", "encoding", 1, 1),
        ] {
            let refused = Source::decode(Path::new("x"), bytes.to_vec()).unwrap_err();
            assert_eq!(refused.finding.rule, rule);
            assert_eq!(refused.finding.location.start, Position { line, column }, "{bytes:?}");
        }
        let refused = Source::decode(Path::new("x"), vec![b' '; MAX_BYTES + 1]).unwrap_err();
        assert_eq!(refused.finding.rule, "limit");
    }
}
