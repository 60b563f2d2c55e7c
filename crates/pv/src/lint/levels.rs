//! What findings weigh in a repository: the severities of pv.toml, for the whole of it and for parts.

use super::{RULES, Rule};
use crate::context::Repository;
use crate::error::Error;
use contract::diagnostic::{Diagnostic, Severity};
use contract::settings::{Level, Lint, LintScope, Problem, RuleSeverity};
use contract::source::Source;
use contract::suggest::nearest;
use contract::walk::Dialect;
use std::path::Path;

/// The severities in force.
#[derive(Debug, Clone, Copy)]
pub struct Levels<'s> {
    lint: Option<&'s Lint>,
}

impl<'s> Levels<'s> {
    /// Every rule as its table row says.
    pub const DEFAULT: Self = Self { lint: None };

    /// The severities of pv.toml.
    ///
    /// # Errors
    /// When it names rules that do not exist or cannot be adjusted; each with its place.
    pub fn new(repository: &'s Repository) -> Result<Self, Error> {
        let Repository { settings, text, .. } = repository;
        let path = repository.settings_path();
        let scoped = settings.lint.scopes.iter().flat_map(|scope| &scope.severity);
        let named = settings.lint.severity.iter().chain(scoped);
        let source = Source::new(&path, text.as_str());
        let problems: Vec<Problem> = named.filter_map(|named| unknown(named, &source)).collect();
        if problems.is_empty() {
            Ok(Self { lint: Some(&settings.lint) })
        } else {
            Err(Error::Settings { path, problems })
        }
    }

    /// The finding with the severity it has in its place; none when its rule is off there.
    #[must_use]
    pub fn apply(self, mut finding: Diagnostic, dialect: Dialect) -> Option<Diagnostic> {
        let fixed = || Rule::named(&finding.rule).is_some_and(|rule| !rule.is_adjustable());
        if dialect == Dialect::Schema1 && fixed() {
            return Some(finding);
        }
        match self.level(&finding.rule, &finding.location.path) {
            None => {}
            Some(Level::Off) => return None,
            Some(Level::Note) => finding.severity = Severity::Note,
            Some(Level::Warning) => finding.severity = Severity::Warning,
            Some(Level::Error) => finding.severity = Severity::Error,
        }
        Some(finding)
    }

    fn level(self, rule: &str, path: &Path) -> Option<Level> {
        let lint = self.lint.filter(|lint| !lint.severity.is_empty() || !lint.scopes.is_empty())?;
        let path = path.to_string_lossy();
        let matches = |scope: &&LintScope| scope.paths.iter().any(|glob| glob.matches(&path));
        let scoped = lint.scopes.iter().rev().filter(matches).map(|scope| &scope.severity);
        scoped
            .chain([&lint.severity])
            .find_map(|table| table.iter().find(|row| row.rule == rule).map(|row| row.level))
    }
}

fn unknown(named: &RuleSeverity, source: &Source) -> Option<Problem> {
    if Rule::named(&named.rule).is_some() {
        return None;
    }
    let span = contract::diagnostic::Span::new(named.span.start, named.span.end);
    let start = source.position(span.start);
    let near = nearest(&named.rule, RULES.iter().map(|rule| rule.id));
    Some(Problem {
        message: format!("there is no rule `{}`", named.rule),
        help: near.map(|near| format!("did you mean `{near}`?")),
        span: named.span.clone(),
        line: start.line as usize,
        column: start.column as usize,
    })
}
