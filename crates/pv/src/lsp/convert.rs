//! Between the protocol and this crate: lines from 0 and columns in UTF-16 units on that side, bytes on this one;
//! URIs there, paths here.

use contract::diagnostic::{Diagnostic, Severity, Span};
use contract::settings::Problem;
use contract::source::Source;
use lsp_types::{
    DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Position, Range, Uri,
};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// The path of a `file:` URI.
pub(super) fn path(uri: &Uri) -> Option<PathBuf> {
    let text = uri.as_str().strip_prefix("file://")?;
    let path = &text[text.find('/')?..];
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| std::str::from_utf8(after.get(..2)?).ok()).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

/// The `file:` URI of a path.
pub(super) fn uri(path: &Path) -> Option<Uri> {
    let mut text = "file://".to_owned();
    for byte in path.to_str()?.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    Uri::from_str(&text).ok()
}

/// Where a byte of a text stands.
pub(super) fn position(source: &Source, offset: u32) -> Position {
    let text = source.text();
    let mut at = (offset as usize).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let line = source.position(offset).line.saturating_sub(1);
    let start = text[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1);
    // Columns are short enough: a file has at most 16 MiB.
    let units = text[start..at].trim_start_matches('\u{feff}').encode_utf16().count();
    Position { line, character: u32::try_from(units).unwrap_or(u32::MAX) }
}

/// The byte at a position of a text; its end when it lies behind.
pub(super) fn offset(source: &Source, position: Position) -> usize {
    let text = source.text();
    let mut start = source.start();
    for _ in 0..position.line {
        let Some(end) = text[start..].find(['\n', '\r']) else { return text.len() };
        let two = text[start + end..].starts_with("\r\n");
        start += end + if two { 2 } else { 1 };
    }
    let line = text[start..].split(['\n', '\r']).next().unwrap_or_default();
    let mut units = 0;
    for (at, character) in line.char_indices() {
        if units >= position.character {
            return start + at;
        }
        units += u32::try_from(character.len_utf16()).unwrap_or(2);
    }
    start + line.len()
}

/// The range of a span of a text.
pub(super) fn range(source: &Source, span: Span) -> Range {
    Range { start: position(source, span.start), end: position(source, span.end) }
}

/// A finding about a text.
pub(super) fn diagnostic(finding: &Diagnostic, source: &Source, base: &Path) -> lsp_types::Diagnostic {
    let severity = match finding.severity {
        Severity::Error => DiagnosticSeverity::ERROR,
        Severity::Warning => DiagnosticSeverity::WARNING,
        Severity::Note => DiagnosticSeverity::INFORMATION,
    };
    let mut message = finding.message.clone();
    for more in [&finding.label, &finding.help].into_iter().flatten() {
        message.push('\n');
        message.push_str(more);
    }
    let related = finding.related.iter().filter_map(|related| {
        let at = &related.location;
        // Lines and columns of the other text, which may not be at hand.
        let place = |position: contract::diagnostic::Position| {
            Position::new(position.line.saturating_sub(1), position.column.saturating_sub(1))
        };
        let range = Range { start: place(at.start), end: place(at.end) };
        let location = Location { uri: uri(&base.join(&at.path))?, range };
        Some(DiagnosticRelatedInformation { location, message: related.message.clone() })
    });
    let related: Vec<_> = related.collect();
    lsp_types::Diagnostic {
        range: range(source, finding.location.span),
        severity: Some(severity),
        code: Some(NumberOrString::String(finding.rule.to_string())),
        source: Some("pv".to_owned()),
        message,
        related_information: (!related.is_empty()).then_some(related),
        ..lsp_types::Diagnostic::default()
    }
}

/// A problem of pv.toml.
pub(super) fn problem(problem: &Problem) -> lsp_types::Diagnostic {
    let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_sub(1);
    let start = Position::new(place(problem.line), place(problem.column));
    let width = u32::try_from(problem.span.len()).unwrap_or_default();
    let end = Position::new(start.line, start.character.saturating_add(width));
    let help = problem.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
    lsp_types::Diagnostic {
        range: Range { start, end },
        severity: Some(DiagnosticSeverity::ERROR),
        source: Some("pv".to_owned()),
        message: format!("{}{help}", problem.message),
        ..lsp_types::Diagnostic::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_a_round_trip() {
        for text in ["/a/b.yaml", "/with space/ü%20/100%", "/"] {
            let there = uri(Path::new(text)).expect("a URI");
            assert_eq!(path(&there), Some(PathBuf::from(text)), "{}", there.as_str());
        }
        assert_eq!(path(&Uri::from_str("untitled:Untitled-1").expect("a URI")), None);
        let foreign = Uri::from_str("file://localhost/c%3A/x").expect("a URI");
        assert_eq!(path(&foreign), Some(PathBuf::from("/c:/x")));
    }

    #[test]
    fn columns_are_units_of_utf_16() {
        let source = Source::new("x", "\u{feff}a: é\r\nb: 𝄞c\rd\n");
        for (offset_there, line, character) in
            [(3, 0, 0), (6, 0, 3), (8, 0, 4), (13, 1, 3), (17, 1, 5), (18, 1, 6), (19, 2, 0)]
        {
            let there = Position::new(line, character);
            assert_eq!(position(&source, offset_there), there, "{offset_there}");
            assert_eq!(offset(&source, there), offset_there as usize, "{there:?}");
        }
        assert_eq!(offset(&source, Position::new(0, 99)), 8);
        assert_eq!(offset(&source, Position::new(99, 0)), source.text().len());
    }
}
