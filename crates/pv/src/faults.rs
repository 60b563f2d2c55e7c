//! The planted faults of a repository: every `fault!("name")` in its sources, by token, so that comments, strings
//! and documentation do not count.

use crate::literals::literals;
use contract::diagnostic::Span;
use contract::source::Source;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

/// Where a fault is planted first.
#[derive(Debug)]
pub struct Site {
    /// The source file.
    pub source: Source,
    /// The bytes of its name.
    pub span: Span,
    /// Whether it stands in product code, below a `src` folder, rather than in a test of a test.
    pub product: bool,
}

/// The faults planted in Rust sources. A name may be planted in several places; the first one in product code is
/// kept.
#[must_use]
pub fn planted(root: &Path, tree: &[String]) -> BTreeMap<String, Site> {
    let files: Vec<&String> = crate::workspace::rust_sources(tree).collect();
    let found: Vec<(String, Site)> =
        files.into_par_iter().flat_map_iter(|path| in_file(root, path)).collect();
    let mut faults = BTreeMap::new();
    for (name, site) in found {
        match faults.entry(name) {
            Entry::Vacant(slot) => drop(slot.insert(site)),
            Entry::Occupied(mut first) if site.product && !first.get().product => drop(first.insert(site)),
            Entry::Occupied(_) => {}
        }
    }
    faults
}

fn in_file(root: &Path, path: &str) -> Vec<(String, Site)> {
    let Ok(text) = std::fs::read_to_string(root.join(path)) else { return Vec::new() };
    if !text.contains("fault!") {
        return Vec::new();
    }
    let product = path.starts_with("src/") || path.contains("/src/");
    let site = |(name, span)| (name, Site { source: Source::new(path, text.as_str()), span, product });
    literals(&text, "fault").into_iter().map(site).collect()
}
