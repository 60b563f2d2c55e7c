//! How commands write: standard output, numbers for people.

use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

/// The standard output, locked and buffered. Flush it, so that a failing write is seen.
#[must_use]
pub fn stdout() -> impl Write {
    io::BufWriter::new(io::stdout().lock())
}

/// Writes a report whole: as JSON for programs, or as `text` writes it for people.
///
/// # Errors
/// When it cannot be written.
pub fn present<R: Serialize>(
    report: &R,
    json: bool,
    text: impl FnOnce(&R, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = stdout();
    if json {
        serde_json::to_writer_pretty(&mut out, report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        text(report, &mut out)?;
    }
    out.flush()
}

/// A number of bytes with three significant digits: `18.6 GB`. Units are powers of 1000, as files are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        if self.0 < 1000 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1000.0;
        let mut unit = 0;
        // What would round to four digits belongs to the next unit.
        while value >= 999.5 {
            value /= 1000.0;
            unit += 1;
        }
        let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
        f.pad(&format!("{value:.decimals$} {}", UNITS[unit]))
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn bytes_have_three_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_995, "10.0 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (18_556_686_912, "18.6 GB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
