//! Findings on their way out: one report, several formats. What a finding says is decided elsewhere; a format
//! only arranges it.

mod github;
mod json;
mod sarif;
mod text;

use crate::exit::Exit;
use clap::ValueEnum;
use contract::diagnostic::{Diagnostic, Severity};
use contract::hash::Digest;
use contract::source::Source;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people: a snippet under each finding
    #[default]
    Text,
    /// For programs: one object, positions and fixes included
    Json,
    /// SARIF 2.1.0, for code scanning services
    Sarif,
    /// GitHub workflow commands, which annotate a pull request
    Github,
}

impl Format {
    fn print(self) -> fn(&Report<'_>, &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text => text::print,
            Self::Json => json::print,
            Self::Sarif => sarif::print,
            Self::Github => github::print,
        }
    }
}

/// What was looked at. The parts add up to the wholes, so that a silent gap shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Files that were checked.
    pub files: usize,
    /// Of these, files of schema 1.
    pub schema1: usize,
    /// Files of the legacy dialect.
    pub legacy: usize,
    /// Files that are no YAML document.
    pub unreadable: usize,
    /// Falsifiers declared in them.
    pub falsifiers: usize,
    /// Of these, with a test binding.
    pub tests: usize,
    /// With a review.
    pub reviews: usize,
    /// With a command.
    pub commands: usize,
    /// Proposed, with a reason.
    pub proposed: usize,
    /// With nothing that can be run or looked at; prose counts as nothing.
    pub unbound: usize,
}

impl std::ops::AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        let parts = [
            (&mut self.files, other.files),
            (&mut self.schema1, other.schema1),
            (&mut self.legacy, other.legacy),
            (&mut self.unreadable, other.unreadable),
            (&mut self.falsifiers, other.falsifiers),
            (&mut self.tests, other.tests),
            (&mut self.reviews, other.reviews),
            (&mut self.commands, other.commands),
            (&mut self.proposed, other.proposed),
            (&mut self.unbound, other.unbound),
        ];
        for (sum, part) in parts {
            *sum += part;
        }
    }
}

/// The outcome of a check.
#[derive(Debug, Default)]
pub struct Report<'a> {
    /// The findings, sorted by place.
    pub findings: Vec<Diagnostic>,
    /// What was looked at.
    pub counts: Counts,
    /// What else a reader must know to judge the outcome: `binding: unresolved`.
    pub notes: Vec<String>,
    /// The texts that findings point into. Paths are compared as bytes, not part by part.
    pub sources: HashMap<&'a OsStr, &'a Source>,
    /// Texts that findings point into beside those.
    pub others: HashMap<PathBuf, Source>,
    /// Whether the output is coloured.
    pub color: bool,
}

impl Report<'_> {
    /// How many findings have a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The exit code that the findings amount to.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let found = if self.count(Severity::Error) > 0 { Exit::Findings } else { Exit::Holds };
        if self.counts.files == 0 { found.max(Exit::Nothing) } else { found }
    }

    /// Print the findings and what was looked at.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn print(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        format.print()(self, out)?;
        out.flush()
    }

    /// The text of a file that findings point into.
    #[must_use]
    pub fn source(&self, path: &Path) -> Option<&Source> {
        self.sources.get(path.as_os_str()).copied().or_else(|| self.others.get(path))
    }

    /// One stable name per finding: the same as long as rule, file, marked text and message are, wherever the
    /// text moves. Equal findings of a file are told apart by their order.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        let mut seen: HashMap<String, u32> = HashMap::new();
        let name = |finding: &Diagnostic| {
            let path = slashes(&finding.location.path);
            let marked = self.source(&finding.location.path).map_or("", |s| s.slice(finding.location.span));
            let digest = |n: u32| {
                let parts = [&*finding.rule, &path, marked, &finding.message, &n.to_string()].join("\0");
                Digest::of(parts.as_bytes()).to_string()["sha256:".len()..][..16].to_owned()
            };
            let base = digest(0);
            let nth = seen.entry(base.clone()).and_modify(|n| *n += 1).or_insert(0);
            if *nth == 0 { base } else { digest(*nth) }
        };
        self.findings.iter().map(name).collect()
    }
}

/// A path as URLs and other systems write it.
pub(crate) fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}
