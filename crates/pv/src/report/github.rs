//! GitHub workflow commands: one line per finding, which annotates the line of the pull request.

use super::{Report, slashes};
use contract::diagnostic::Severity;
use std::io::{self, Write};

pub(super) fn print(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let location = &finding.location;
        let mut message = finding.message.clone();
        for more in [&finding.label, &finding.help].into_iter().flatten() {
            message.push('\n');
            message.push_str(more);
        }
        // An annotation ends on the line it starts on, or GitHub ignores its columns.
        let end = if location.end.line == location.start.line {
            location.end.column
        } else {
            location.start.column
        };
        writeln!(
            out,
            "::{command} file={},line={line},endLine={line},col={},endColumn={end},title={}::{}",
            property(&slashes(&location.path)),
            location.start.column,
            property(&finding.rule),
            data(&message),
            line = location.start.line,
        )?;
    }
    Ok(())
}

/// Escapes of a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes of a property, where `:` and `,` separate.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
