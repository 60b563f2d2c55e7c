//! One contract file read to the end: text, tree, dialect, findings, and the typed form if there is one.

use crate::diagnostic::{Diagnostic, Severity};
use crate::legacy;
use crate::lower::lower;
use crate::schema::Contract;
use crate::shape;
use crate::source::{Source, Unreadable};
use crate::walk::{Dialect, walk};
use crate::yaml::{self, Data, Findings, Tree};
use std::path::Path;

/// A contract file as far as it could be read.
#[derive(Debug)]
pub struct Loaded {
    /// Its text.
    pub source: Source,
    /// Its values with their places: the side table from a JSON pointer to a span. Missing when the text is no
    /// YAML.
    pub tree: Option<Tree>,
    /// The language it is written in.
    pub dialect: Dialect,
    /// The typed form: there for every file of schema 1 without a structural error.
    pub contract: Option<Contract>,
    /// Everything wrong with its structure.
    pub findings: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether a finding is at error level.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The stem of the file's name, which is the contract's id.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.source.path().file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }
}

/// Read one file. `shown` is the path that findings carry. What is wrong with the file is in the findings; a file
/// that cannot be read at all has one finding and no tree.
#[must_use]
pub fn load(file: &Path, shown: &Path) -> Loaded {
    judge(Source::read(file, shown))
}

/// Read what was decoded, or keep the one finding of what could not be.
#[must_use]
pub fn judge(decoded: Result<Source, Unreadable>) -> Loaded {
    match decoded {
        Ok(source) => read(source),
        Err(refused) => Loaded {
            source: refused.source,
            tree: None,
            dialect: Dialect::Schema1,
            contract: None,
            findings: vec![*refused.finding],
        },
    }
}

/// Read a text.
#[must_use]
pub fn read(source: Source) -> Loaded {
    let mut findings = Findings::new(&source);
    let tree = yaml::parse(&source, &mut findings);
    let mut dialect = Dialect::Schema1;
    let mut contract = None;
    if let Some(tree) = &tree {
        (dialect, contract) = structure(tree, &mut findings);
    }
    let findings = findings.finish();
    Loaded { source, tree, dialect, contract, findings }
}

fn structure(tree: &Tree, findings: &mut Findings<'_>) -> (Dialect, Option<Contract>) {
    let root = &tree.root;
    let Some(schema) = root.entry("schema") else {
        if matches!(root.data, Data::Map(_)) {
            legacy::walk(root, findings);
            return (Dialect::Legacy, None);
        }
        walk(root, &shape::CONTRACT, Dialect::Schema1, findings);
        return (Dialect::Schema1, None);
    };
    walk(root, &shape::CONTRACT, Dialect::Schema1, findings);
    misnamed(tree, findings);
    if findings.has_errors() {
        return (Dialect::Schema1, None);
    }
    match lower(root, &shape::CONTRACT) {
        Ok(contract) => (Dialect::Schema1, Some(contract)),
        Err(error) => {
            findings.error("internal-error", schema.key.span, error.to_string());
            (Dialect::Schema1, None)
        }
    }
}

/// A contract is found by its file name, so its id is the stem of it.
fn misnamed(tree: &Tree, findings: &mut Findings<'_>) {
    let stem = findings.source().path().file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let Some(id) = tree.at("/metadata/id") else { return };
    if let Some(text) = id.text().filter(|text| *text != stem) {
        let message = format!("the contract calls itself `{text}` and its file `{stem}`");
        findings
            .error("misnamed-contract", id.span, message)
            .help(format!("rename the file to {text}.yaml, or write `id: {stem}`"));
    }
}
