//! For people: each finding over its snippet, then what was looked at.

use super::Report;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use contract::diagnostic::{Diagnostic, Location, Severity};
use contract::source::Source;
use rayon::prelude::*;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::Range;

/// So many findings are shown with their snippets; of the others, a line each. Nobody reads more at once, and
/// snippets take most of the time of a large report.
const SNIPPETS: usize = 250;

/// So many lines are put together at once.
const LINES: usize = 512;

/// More of a line than this is not shown on either side of the marked text.
const CONTEXT: usize = 400;

pub(super) fn print(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let renderer = if report.color { Renderer::styled() } else { Renderer::plain() };
    let (first, rest) = report.findings.split_at(report.findings.len().min(SNIPPETS));
    let render = |finding| renderer.render(&groups(report, finding));
    let rendered: Vec<String> = first.par_iter().map(render).collect();
    for snippet in rendered {
        writeln!(out, "{snippet}\n")?;
    }
    let lines: Vec<String> = rest.par_chunks(LINES).map(lines).collect();
    for part in lines {
        out.write_all(part.as_bytes())?;
    }
    if !rest.is_empty() {
        writeln!(out)?;
    }
    summary(report, out)
}

/// Findings without their snippets, a line each.
fn lines(findings: &[Diagnostic]) -> String {
    let mut lines = String::with_capacity(findings.len() * 128);
    for finding in findings {
        let Diagnostic { rule, severity, location, message, .. } = finding;
        let start = location.start;
        lines.push_str(&location.path.to_string_lossy());
        // Writing to a text does not fail.
        let _ = write!(lines, ":{}:{}: {}[{rule}]: ", start.line, start.column, severity.name());
        lines.push_str(message);
        lines.push('\n');
    }
    lines
}

fn groups<'r>(report: &'r Report<'_>, finding: &'r Diagnostic) -> Vec<Group<'r>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(&*finding.message).id(&*finding.rule);
    let mut group = place(Group::with_title(title), report, &finding.location, finding.label.as_deref());
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(&**help));
    }
    let related = finding.related.iter().map(|related| {
        let title = Level::NOTE.secondary_title(&*related.message);
        place(Group::with_title(title), report, &related.location, None)
    });
    std::iter::once(group).chain(related).collect()
}

/// Add where a finding is: its origin, and its line with the marked text.
fn place<'r>(
    group: Group<'r>,
    report: &'r Report<'_>,
    location: &'r Location,
    label: Option<&'r str>,
) -> Group<'r> {
    let path = location.path.to_string_lossy();
    let origin = Origin::path(path.clone())
        .line(location.start.line as usize)
        .char_column(location.start.column as usize);
    let source = report.source(&location.path).filter(|source| !source.text().is_empty());
    let Some(source) = source else { return group.element(origin) };
    let Excerpt { shown, marked, cut } = excerpt(source, location);
    let annotation = AnnotationKind::Primary.span(marked).label(label);
    let snippet = Snippet::source(shown).line_start(location.start.line as usize).fold(false);
    let snippet = snippet.annotation(annotation);
    // The renderer counts columns in what it shows; a line without its start needs the real one beside it.
    if cut { group.element(origin).element(snippet) } else { group.element(snippet.path(path)) }
}

/// A piece of one line.
struct Excerpt<'s> {
    shown: &'s str,
    marked: Range<usize>,
    /// The start of the line is left out.
    cut: bool,
}

/// The first line of a place, at most [`CONTEXT`] bytes around the marked text, and where the mark is in it.
fn excerpt<'s>(source: &'s Source, location: &Location) -> Excerpt<'s> {
    let text = source.text();
    let floor = |mut i: usize| {
        i = i.min(text.len());
        while !text.is_char_boundary(i) {
            i -= 1;
        }
        i
    };
    let at = floor(location.span.start as usize)..floor(location.span.end as usize);
    let breaks = ['\n', '\r'];
    let start = text[..at.start].rfind(breaks).map_or(0, |i| i + 1).max(source.start().min(at.start));
    let end = text[at.start..].find(breaks).map_or(text.len(), |i| at.start + i);
    let marked_end = at.end.min(end);
    let from = if at.start - start > CONTEXT { floor(at.start - CONTEXT) } else { start };
    let shown_mark = marked_end.min(floor(at.start + CONTEXT));
    let to = floor(shown_mark.saturating_add(CONTEXT).min(end));
    Excerpt { shown: &text[from..to], marked: at.start - from..shown_mark - from, cut: from > start }
}

fn summary(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let c = &report.counts;
    writeln!(
        out,
        "files {} = {} schema-1 + {} legacy + {} unreadable",
        c.files, c.schema1, c.legacy, c.unreadable
    )?;
    writeln!(
        out,
        "falsifiers {} = {} tests + {} reviews + {} commands + {} proposed + {} unbound",
        c.falsifiers, c.tests, c.reviews, c.commands, c.proposed, c.unbound
    )?;
    for note in &report.notes {
        writeln!(out, "{note}")?;
    }
    let [errors, warnings, notes] =
        [Severity::Error, Severity::Warning, Severity::Note].map(|severity| report.count(severity));
    let fixable = report.findings.iter().filter(|finding| finding.fix.is_some()).count();
    let repair = if fixable > 0 { format!("; `pv fix` repairs {fixable}") } else { String::new() };
    let all = report.findings.len();
    writeln!(out, "findings {all} = {errors} errors + {warnings} warnings + {notes} notes{repair}")
}
