//! Findings that are known already, so that a repository with many can start to refuse new ones: those of an
//! earlier revision, and those of a baseline, a file that only ever becomes shorter.

use super::{Check, Rule};
use crate::atomic;
use crate::error::Error;
use crate::report::Report;
use crate::revision::Revision;
use contract::diagnostic::{Diagnostic, Severity, Span};
use contract::source::Source;
use fault::fault;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The version of the file's form.
const FORM: u32 = 1;

/// Take out of a report what another one has too. Returns how many findings that were.
pub fn subtract(report: &mut Report<'_>, earlier: &Report<'_>) -> usize {
    let known: BTreeSet<String> = earlier.fingerprints().into_iter().collect();
    remove(report, |fingerprint| known.contains(fingerprint) || fault!("new-from-takes-all-for-known"))
}

fn remove(report: &mut Report<'_>, known: impl Fn(&str) -> bool) -> usize {
    let mut fingerprints = report.fingerprints().into_iter();
    let before = report.findings.len();
    report.findings.retain(|_| fingerprints.next().is_none_or(|fingerprint| !known(&fingerprint)));
    before - report.findings.len()
}

/// The findings that a repository has agreed to live with for now.
#[derive(Debug)]
pub struct Baseline {
    path: PathBuf,
    source: Source,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    rule: String,
    fingerprint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    baseline: u32,
    findings: Vec<Entry>,
}

/// What a check looked at, and so which entries of a baseline it can call outdated.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'a> {
    /// Whether all contracts were checked.
    pub whole: bool,
    /// The files that were, as findings show them.
    pub named: &'a BTreeSet<&'a Path>,
    /// Whether compiled tests were known.
    pub bindings: bool,
}

impl Reach<'_> {
    fn covers(&self, entry: &Entry) -> bool {
        let compiled = Rule::named(&entry.rule)
            .is_some_and(|rule| rule.checks.iter().all(|check| matches!(check, Check::Bindings(_))));
        (self.whole || self.named.contains(Path::new(&entry.path))) && (self.bindings || !compiled)
    }
}

impl Baseline {
    /// Read one. `shown` is the path that findings about it carry.
    ///
    /// # Errors
    /// When there is none, or it is no baseline.
    pub fn read(path: &Path, shown: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file(shown))?;
        let source = Source::new(shown, text);
        let entries = entries(&source)?;
        Ok(Self { path: path.to_owned(), source, entries })
    }

    /// The findings of a report as a baseline that is yet to be written.
    #[must_use]
    pub fn of(report: &Report<'_>, path: &Path, shown: &Path) -> Self {
        let entries = report.findings.iter().zip(report.fingerprints()).map(|(finding, fingerprint)| {
            let path = crate::report::slashes(&finding.location.path);
            let entry = Entry { path, rule: finding.rule.to_string(), fingerprint: fingerprint.clone() };
            (fingerprint, entry)
        });
        Self { path: path.to_owned(), source: Source::new(shown, ""), entries: entries.collect() }
    }

    /// Forget the entries that the baseline of a revision does not have, so that none can be added since.
    ///
    /// # Errors
    /// When the revision has no such baseline.
    pub fn no_larger_than(&mut self, revision: &Revision, root: &Path) -> Result<(), Error> {
        let inside = self.path.strip_prefix(root).map_err(|_| {
            Error::Usage(format!("{}: the baseline lies outside of the repository", self.path.display()))
        })?;
        let earlier = Self::read(&revision.root().join(inside), inside)?;
        self.entries.retain(|fingerprint, _| earlier.entries.contains_key(fingerprint));
        Ok(())
    }

    /// How many findings it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drop the entries that are found no more, and write it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn shrink(&mut self, report: &Report<'_>, reach: Reach<'_>) -> Result<(), Error> {
        if fault!("baseline-grows") {
            self.entries.extend(Self::of(report, &self.path, self.source.path()).entries);
        }
        let found: BTreeSet<String> = report.fingerprints().into_iter().collect();
        self.entries.retain(|fingerprint, entry| found.contains(fingerprint) || !reach.covers(entry));
        let text = self.text();
        atomic::write(&self.path, text.as_bytes()).map_err(Error::file(&self.path))?;
        self.source = Source::new(self.source.path(), text);
        Ok(())
    }

    /// Take its entries out of a report; put an error in for each that is found no more. Returns how many findings
    /// were taken out.
    pub fn apply(&self, report: &mut Report<'_>, reach: Reach<'_>) -> usize {
        let found: BTreeSet<String> = report.fingerprints().into_iter().collect();
        let stale = self
            .entries
            .values()
            .filter(|entry| !found.contains(&entry.fingerprint) && reach.covers(entry))
            .filter(|_| !fault!("baseline-keeps-what-is-repaired"))
            .map(|entry| self.stale(entry));
        let stale: Vec<Diagnostic> = stale.collect();
        let removed = remove(report, |fingerprint| self.entries.contains_key(fingerprint));
        if !stale.is_empty() {
            report.findings.extend(stale);
            let source = Source::new(self.source.path(), self.source.text());
            report.others.insert(self.source.path().to_owned(), source);
        }
        removed
    }

    fn stale(&self, entry: &Entry) -> Diagnostic {
        let at = self.source.text().find(&entry.fingerprint).unwrap_or_default();
        let location = self.source.location(Span::new(at, at + entry.fingerprint.len()));
        let message = format!("`{}` of {} is found no more", entry.rule, entry.path);
        let mut finding = Diagnostic::new("stale-baseline", Severity::Error, location, message);
        finding.help("shorten the file with `--update-baseline`");
        finding
    }

    /// One line per entry, sorted, so that branches that shorten it merge.
    fn text(&self) -> String {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort();
        let lines: Vec<String> = entries
            .into_iter()
            .map(|entry| serde_json::json!(entry).to_string())
            .map(|line| format!("\n    {line}"))
            .collect();
        format!("{{\n  \"baseline\": {FORM},\n  \"findings\": [{}\n  ]\n}}\n", lines.join(","))
    }
}

fn entries(source: &Source) -> Result<BTreeMap<String, Entry>, Error> {
    let wrong = |what: String| Error::Usage(format!("{}: is no baseline: {what}", source.path().display()));
    let form: Form = serde_json::from_str(source.text()).map_err(|error| wrong(error.to_string()))?;
    if form.baseline != FORM {
        return Err(wrong(format!("its form is {}, this pv reads {FORM}", form.baseline)));
    }
    Ok(form.findings.into_iter().map(|entry| (entry.fingerprint.clone(), entry)).collect())
}
