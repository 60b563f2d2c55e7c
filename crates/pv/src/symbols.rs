//! What a Rust source file defines, read by syn: no comment, string or call counts.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::path::Path;
use syn::{ImplItem, Item, TraitItem};

/// The names that a source file defines, with the path inside the file where they are nested.
#[derive(Debug, Default)]
pub struct Symbols {
    names: BTreeSet<String>,
}

impl Symbols {
    /// The symbols of a file.
    ///
    /// # Errors
    /// That it cannot be read, or is no Rust, in words that follow its name.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
        if path.extension().is_none_or(|extension| extension != "rs") {
            return Err("is no Rust source".to_owned());
        }
        let file = syn::parse_file(&text).map_err(|error| format!("is no Rust: {error}"))?;
        let mut symbols = Self::default();
        symbols.items("", &file.items);
        Ok(symbols)
    }

    /// Whether the file defines a name: an item, or a method with or without its type.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    fn add(&mut self, prefix: &str, name: impl ToString) -> String {
        let name = format!("{prefix}{}", name.to_string());
        self.names.insert(name.clone());
        name
    }

    fn items(&mut self, prefix: &str, items: &[Item]) {
        for item in items {
            match item {
                Item::Const(item) => drop(self.add(prefix, &item.ident)),
                Item::Fn(item) => drop(self.add(prefix, &item.sig.ident)),
                Item::Static(item) => drop(self.add(prefix, &item.ident)),
                Item::Struct(item) => drop(self.add(prefix, &item.ident)),
                Item::Type(item) => drop(self.add(prefix, &item.ident)),
                Item::Union(item) => drop(self.add(prefix, &item.ident)),
                Item::TraitAlias(item) => drop(self.add(prefix, &item.ident)),
                Item::Enum(item) => {
                    let name = self.add(prefix, &item.ident);
                    for variant in &item.variants {
                        self.add(&format!("{name}::"), &variant.ident);
                    }
                }
                Item::Macro(item) => {
                    if let Some(name) = &item.ident {
                        self.add(prefix, name);
                    }
                    self.declared(prefix, item.mac.tokens.clone());
                }
                Item::Mod(item) => {
                    let name = self.add(prefix, &item.ident);
                    if let Some((_, items)) = &item.content {
                        self.items(&format!("{name}::"), items);
                    }
                }
                Item::Trait(item) => {
                    let name = self.add(prefix, &item.ident);
                    for member in &item.items {
                        let member = match member {
                            TraitItem::Fn(member) => &member.sig.ident,
                            TraitItem::Const(member) => &member.ident,
                            TraitItem::Type(member) => &member.ident,
                            _ => continue,
                        };
                        self.member(prefix, &name, member);
                    }
                }
                Item::Impl(item) => {
                    let syn::Type::Path(of) = &*item.self_ty else { continue };
                    let Some(of) = of.path.segments.last().map(|segment| &segment.ident) else { continue };
                    let name = format!("{prefix}{of}");
                    for member in &item.items {
                        let member = match member {
                            ImplItem::Fn(member) => &member.sig.ident,
                            ImplItem::Const(member) => &member.ident,
                            ImplItem::Type(member) => &member.ident,
                            _ => continue,
                        };
                        self.member(prefix, &name, member);
                    }
                }
                _ => {}
            }
        }
    }

    /// The items that stand in the tokens of a macro, called or defined: a keyword of an item and a name.
    fn declared(&mut self, prefix: &str, tokens: TokenStream) {
        const KEYWORDS: &[&str] =
            &["const", "static", "fn", "struct", "enum", "type", "trait", "union", "mod"];
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for pair in tokens.windows(2) {
            if let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = pair
                && KEYWORDS.contains(&&*keyword.to_string())
            {
                self.add(prefix, name);
            }
        }
        for token in tokens {
            if let TokenTree::Group(group) = token {
                self.declared(prefix, group.stream());
            }
        }
    }

    fn member(&mut self, prefix: &str, owner: &str, name: &syn::Ident) {
        self.add(&format!("{owner}::"), name);
        self.add(prefix, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_methods_and_nested_names_count_and_mentions_do_not() {
        let file = syn::parse_file(
            "pub fn route() { called(); } struct S<T>(T); impl<T> S<T> { fn weigh(&self) {} const K: u8 = 1; }\
             enum E { A } trait T { fn t(&self); } mod m { pub fn inner() {} } macro_rules! mac { () => { pub const MADE: u8 = 1; } } table! { fn rows() {} }\
             // fn comment() {}\nconst TEXT: &str = \"fn text() {}\";",
        )
        .expect("Rust");
        let mut symbols = Symbols::default();
        symbols.items("", &file.items);
        for name in [
            "route", "S", "S::weigh", "weigh", "S::K", "E::A", "T::t", "m::inner", "mac", "MADE", "rows",
            "TEXT",
        ] {
            assert!(symbols.contains(name), "{name}");
        }
        for name in ["called", "comment", "text", "inner", "E::B", "S::t"] {
            assert!(!symbols.contains(name), "{name}");
        }
    }
}
