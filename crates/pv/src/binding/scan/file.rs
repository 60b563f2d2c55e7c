//! One source file by syn: its functions, the files that its modules are in, and what it includes. It opens no
//! other file.

use super::vacuity;
use crate::binding::{ClaimUse, Vacuity};
use contract::tokens::TEST_ATTRIBUTES;
use serde::{Deserialize, Serialize};
use syn::{Attribute, Expr, ExprLit, Item, Lit, Meta};

/// What one file declares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileItems {
    /// Its free functions that are tests or take no argument.
    pub functions: Vec<FileFn>,
    /// Its `mod x;`.
    pub modules: Vec<FileMod>,
    /// Its `include!("x.rs")` among items.
    pub includes: Vec<Include>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFn {
    /// Its path from the file's own module.
    pub path: String,
    /// The line of its name, from 1.
    pub line: u32,
    /// It carries an attribute that makes it a test.
    pub test: bool,
    /// Why its text can show nothing false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vacuity: Option<Vacuity>,
    /// What a test does with its claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<ClaimUse>,
}

/// A module in another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMod {
    /// The inline modules around it, joined by `::`.
    pub inside: String,
    /// Its name.
    pub name: String,
    /// The file that `#[path]` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// An included file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Include {
    /// The inline modules around it, joined by `::`.
    pub inside: String,
    /// The file, relative to the including one.
    pub name: String,
}

impl FileItems {
    /// Parse a file's text.
    ///
    /// # Errors
    /// What syn does not understand.
    pub fn parse(text: &str) -> syn::Result<Self> {
        syn::parse_file(text).map(|file| Self::of(&file))
    }

    /// What a parsed file declares.
    #[must_use]
    pub fn of(file: &syn::File) -> Self {
        let mut items = Self::default();
        items.gather(&file.items, "");
        items
    }

    fn gather(&mut self, items: &[Item], inside: &str) {
        for item in items {
            match item {
                Item::Fn(function) => {
                    let test = function.attrs.iter().any(|a| TEST_ATTRIBUTES.contains(&last(a).as_str()));
                    if test || function.sig.inputs.is_empty() {
                        let (vacuity, uses) = test.then(|| vacuity::of(function)).unzip();
                        self.functions.push(FileFn {
                            path: super::join(inside, &function.sig.ident.to_string()),
                            line: line(function.sig.ident.span()),
                            test,
                            vacuity: vacuity.flatten(),
                            uses,
                        });
                    }
                }
                Item::Mod(module) => {
                    let name = module.ident.to_string();
                    match &module.content {
                        Some((_, items)) => self.gather(items, &super::join(inside, &name)),
                        None => {
                            let path = module.attrs.iter().find_map(path_attribute);
                            self.modules.push(FileMod { inside: inside.to_owned(), name, path });
                        }
                    }
                }
                Item::Macro(call) if call.mac.path.is_ident("include") => {
                    if let Ok(name) = call.mac.parse_body::<syn::LitStr>() {
                        self.includes.push(Include { inside: inside.to_owned(), name: name.value() });
                    }
                }
                _ => {}
            }
        }
    }
}

/// The last segment of an attribute's path.
fn last(attribute: &Attribute) -> String {
    attribute.path().segments.last().map(|s| s.ident.to_string()).unwrap_or_default()
}

/// The text of `#[path = "..."]`.
fn path_attribute(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// The line of a span, from 1.
pub(super) fn line(span: proc_macro2::Span) -> u32 {
    u32::try_from(span.start().line).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_modules_and_includes_are_found_where_they_stand() {
        let items = FileItems::parse(
            r##"
            /* #[test] fn commented() {} */
            const TEXT: &str = r#"#[test] fn quoted() {}"#;
            #[test] fn one_line() { assert!(true); }
            mod inner {
                #[path = "elsewhere.rs"] mod named;
                pub(super) fn helper() {}
                #[tokio::test]
                async fn asynchronous() {}
                fn takes(_: u8) {}
            }
            mod outer;
            include!("more.rs");
            "##,
        )
        .expect("the text parses");
        let found: Vec<_> = items.functions.iter().map(|f| (f.path.as_str(), f.line, f.test)).collect();
        assert_eq!(
            found,
            [("one_line", 4, true), ("inner::helper", 7, false), ("inner::asynchronous", 9, true)]
        );
        assert_eq!(items.modules[0].path.as_deref(), Some("elsewhere.rs"));
        assert_eq!(items.modules[0].inside, "inner");
        assert_eq!(items.modules[1].name, "outer");
        assert_eq!(items.includes[0].name, "more.rs");
        assert!(FileItems::parse("fn (").is_err());
    }
}
