//! The functions that carry a falsifier's attribute, as the sources hold them, and the files round them.

use super::page::{Html, html};
use crate::literals::literals;
use crate::workspace::rust_sources;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use syn::spanned::Spanned as _;
use syn::{Attribute, Item, Meta};

/// The text of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The file, relative to the root.
    pub file: String,
    /// The line of its first attribute or comment, from 1.
    pub line: usize,
    /// Its whole lines.
    pub text: String,
}

/// The tests in the sources of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// Those of each falsifier, by id.
    pub of: BTreeMap<String, Vec<Excerpt>>,
    /// The text of every file that holds one, by path.
    pub files: BTreeMap<String, String>,
}

/// The tests of every falsifier in the sources of a tree.
#[must_use]
pub fn tests(root: &Path, tree: &[String]) -> Tests {
    let files: Vec<&String> = rust_sources(tree).collect();
    let read: Vec<_> = files
        .into_par_iter()
        .map(|file| {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            let found = in_file(file, &text);
            (file, text, found)
        })
        .filter(|(_, _, found)| !found.is_empty())
        .collect();
    let mut tests = Tests::default();
    for (file, text, found) in read {
        tests.files.insert(file.clone(), text);
        for (id, excerpt) in found {
            tests.of.entry(id).or_default().push(excerpt);
        }
    }
    tests
}

/// The page of a source file.
pub(super) fn path(file: &str) -> String {
    format!("source/{file}.html")
}

/// A whole file, each line a place that a link can lead to.
pub(super) fn content(file: &str, text: &str) -> Html {
    let mut out = Html::default();
    html!(out, "<h1><code>{}</code></h1>\n", file);
    html!(out, "<pre class=\"source\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><code>", file);
    for (at, line) in text.lines().enumerate() {
        html!(out, "<span id=\"L{}\">{}</span>\n", at + 1, line);
    }
    html!(out, "</code></pre>\n");
    out
}

fn in_file(file: &str, text: &str) -> Vec<(String, Excerpt)> {
    let mut found = Vec::new();
    if text.contains("falsifier")
        && !literals(text, "falsifier").is_empty()
        && let Ok(parsed) = syn::parse_file(text)
    {
        gather(&parsed.items, file, text, &mut found);
    }
    found
}

fn gather(items: &[Item], file: &str, text: &str, found: &mut Vec<(String, Excerpt)>) {
    for item in items {
        match item {
            Item::Fn(function) => {
                for id in function.attrs.iter().filter_map(named) {
                    let first = function.attrs.first().map_or_else(|| function.span(), Attribute::span);
                    let (start, end) = (first.start().line, function.block.span().end().line);
                    let lines =
                        text.lines().skip(start.saturating_sub(1)).take((end + 1).saturating_sub(start));
                    let text = lines.collect::<Vec<_>>().join("\n");
                    found.push((id, Excerpt { file: file.to_owned(), line: start, text }));
                }
            }
            Item::Mod(module) => {
                if let Some((_, items)) = &module.content {
                    gather(items, file, text, found);
                }
            }
            _ => {}
        }
    }
}

/// The id that an attribute `#[falsifier("ID")]` names.
fn named(attribute: &Attribute) -> Option<String> {
    let Meta::List(list) = &attribute.meta else { return None };
    if list.path.segments.last()?.ident != "falsifier" {
        return None;
    }
    let first = list.tokens.clone().into_iter().next()?;
    Some(syn::parse_str::<syn::LitStr>(&first.to_string()).ok()?.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_shown_from_its_first_attribute_to_its_last_line() {
        let text = "fn other() {}\nmod m {\n    /// Doc.\n    #[falsifier(\"F-1\")]\n    fn t(c: &mut C) {\n        c.go();\n    }\n}\n\
                    // #[falsifier(\"F-2\")]\nfn u() {}\n";
        let found = in_file("a.rs", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "F-1");
        assert_eq!(found[0].1.line, 3);
        assert!(
            found[0].1.text.starts_with("    /// Doc.\n") && found[0].1.text.ends_with("\n    }"),
            "{found:?}"
        );
    }
}
