//! Comments that allow findings: `# pv: allow(RULE): REASON`.
//!
//! At the end of a line the comment is about what starts on that line. On a line of its own it is about the entry
//! or item that starts on the next line with content, all of it. `allow-file` is about the whole file.

use super::Rule;
use contract::diagnostic::{Diagnostic, Severity, Span};
use contract::source::Source;
use contract::suggest::nearest;
use contract::walk::Dialect;
use contract::yaml::{Data, Entry, Node, Tree};
use serde::{Deserialize, Serialize};

/// A comment that allows one rule's findings in a part of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// The rule.
    pub rule: String,
    /// The comment.
    pub span: Span,
    /// Where findings are allowed.
    pub scope: Span,
}

/// So many comments of a file may allow findings.
const MOST: usize = 1_000;

/// The allowing comments of a file, and what is wrong with those that allow nothing.
///
/// No file has more than `MOST` of them that count: each is held against every finding.
#[must_use]
pub fn read(source: &Source, tree: &Tree, dialect: Dialect) -> (Vec<Allow>, Vec<Diagnostic>) {
    let (mut allows, mut findings) = (Vec::new(), Vec::new());
    for &span in &tree.comments {
        let Some(directive) = source.slice(span).trim_start_matches('#').trim_start().strip_prefix("pv:")
        else {
            continue;
        };
        if allows.len() == MOST {
            let location = source.location(span);
            let message = format!("this is more than the {MOST} comments that may allow findings in a file");
            let mut finding = Diagnostic::new("malformed-allow", Severity::Error, location, message);
            finding.help("repair what they are about, or turn the rule down in pv.toml");
            findings.push(finding);
            break;
        }
        match parse(directive, dialect) {
            Ok((rule, Reach::File)) => {
                allows.push(Allow { rule, span, scope: Span::new(0, source.text().len()) });
            }
            Ok((rule, Reach::Entry)) => allows.push(Allow { rule, span, scope: scope(source, tree, span) }),
            Err((message, help)) => {
                let location = source.location(span);
                let mut finding = Diagnostic::new("malformed-allow", Severity::Error, location, message);
                finding.help(help);
                findings.push(finding);
            }
        }
    }
    (allows, findings)
}

enum Reach {
    Entry,
    File,
}

/// The rule that a directive allows, and how far; or what is wrong with it and what to write.
fn parse(directive: &str, dialect: Dialect) -> Result<(String, Reach), (String, String)> {
    const FORM: &str = "write `# pv: allow(RULE): REASON`";
    let fail = |message: String, help: String| Err((message, help));
    let directive = directive.trim();
    let (head, rest) = directive.split_once('(').unwrap_or((directive, ""));
    let reach = match head.trim() {
        "allow" => Reach::Entry,
        "allow-file" => Reach::File,
        other => {
            return fail(format!("`{other}` is nothing that a comment can do"), FORM.to_owned());
        }
    };
    let Some((rule, reason)) = rest.split_once(')') else {
        return fail("the comment names no rule".to_owned(), FORM.to_owned());
    };
    let rule = rule.trim();
    match Rule::named(rule) {
        None => {
            let near = nearest(rule, super::RULES.iter().map(|rule| rule.id));
            let help = near.map_or_else(|| FORM.to_owned(), |near| format!("did you mean `{near}`?"));
            return fail(format!("there is no rule `{rule}`"), help);
        }
        Some(known) if dialect == Dialect::Schema1 && !known.is_adjustable() => {
            let message = format!("`{rule}` cannot be allowed in a file of schema 1");
            return fail(message, "repair what it finds".to_owned());
        }
        Some(_) => {}
    }
    match reason.trim().strip_prefix(':').map(str::trim) {
        Some(reason) if !reason.is_empty() => Ok((rule.to_owned(), reach)),
        _ => fail("the comment gives no reason".to_owned(), FORM.to_owned()),
    }
}

/// What a comment is about.
fn scope(source: &Source, tree: &Tree, comment: Span) -> Span {
    let text = source.text();
    let at = comment.range();
    let line_start = text[..at.start].rfind('\n').map_or(0, |i| i + 1);
    if !text[line_start..at.start].trim().is_empty() {
        return Span::new(line_start, at.end);
    }
    // Further comments may stand between the comment and the entry.
    let mut next = at.end;
    for line in text[at.end..].split_inclusive('\n').skip(1) {
        next += line.len();
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            let start = next - line.len() + (line.len() - line.trim_start().len());
            let line_end = next - (line.len() - line.trim_end().len());
            let entry = entry_at(&tree.root, Span::new(start, line_end));
            return entry.unwrap_or(Span::new(start, line_end));
        }
        if next == text.len() {
            break;
        }
    }
    comment
}

/// The outermost entry or item whose first content lies on a line.
fn entry_at(node: &Node, line: Span) -> Option<Span> {
    let on_line = |at: Span| line.start <= at.start && at.start < line.end;
    // Values stand in the order of the file; of all those that end before the line, none is looked into.
    match &node.data {
        Data::Map(entries) => {
            let whole = |entry: &Entry| entry.key.span.join(entry.value.span);
            let from = entries.partition_point(|entry| whole(entry).end < line.start);
            let near = entries[from..].iter().take_while(|entry| entry.key.span.start < line.end);
            near.into_iter().find_map(|entry| {
                if on_line(entry.key.span) { Some(whole(entry)) } else { entry_at(&entry.value, line) }
            })
        }
        Data::List(items) => {
            let from = items.partition_point(|item| item.span.end < line.start);
            let near = items[from..].iter().take_while(|item| item.span.start < line.end);
            near.into_iter()
                .find_map(|item| if on_line(item.span) { Some(item.span) } else { entry_at(item, line) })
        }
        _ => None,
    }
}

/// A comment with what would be left of its line: the blanks before it, or the line itself.
fn whole(source: &Source, comment: Span) -> Span {
    let text = source.text();
    let at = comment.range();
    let before = text[..at.start].trim_end_matches([' ', '\t']).len();
    let alone = before == 0 || text[..before].ends_with('\n');
    let rest = &text[at.end..];
    let line_end = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    if alone { Span::new(before, at.end + line_end) } else { Span::new(before, at.end) }
}

/// Remove what is allowed from the findings of one file; report comments that allowed nothing.
pub fn apply(source: &Source, allows: &[Allow], findings: &mut Vec<Diagnostic>) {
    let mut used = vec![false; allows.len()];
    findings.retain(|finding| {
        let at = finding.location.span.start;
        let allowed = allows
            .iter()
            .position(|allow| allow.rule == finding.rule && allow.scope.start <= at && at <= allow.scope.end);
        if let Some(index) = allowed {
            used[index] = true;
        }
        allowed.is_none()
    });
    for (allow, _) in allows.iter().zip(used).filter(|(_, used)| !used) {
        let message = format!("the comment allows `{}`, which finds nothing here", allow.rule);
        let mut finding =
            Diagnostic::new("unused-allow", Severity::Warning, source.location(allow.span), message);
        finding.fix("remove the comment", whole(source, allow.span), "");
        findings.push(finding);
    }
}
