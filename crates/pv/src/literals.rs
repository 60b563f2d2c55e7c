//! Names in the tokens of Rust sources: the first text that a macro or attribute of some name is given. Comments,
//! texts and documentation do not count.

use contract::diagnostic::Span;
use proc_macro2::{TokenStream, TokenTree};

/// The text and its bytes in every `name!("text")`, `#[name("text")]` and `name("text")` of a source, also inside of
/// other macros. What is no Rust has none.
#[must_use]
pub fn literals(text: &str, name: &str) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    if text.contains(name)
        && let Ok(tokens) = text.parse::<TokenStream>()
    {
        collect(tokens, name, &mut found);
    }
    found
}

fn collect(tokens: TokenStream, name: &str, found: &mut Vec<(String, Span)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Ident(ident) = token else { continue };
        if ident != name {
            continue;
        }
        let bang = |token: &&TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!');
        let next = at + 1 + usize::from(tokens.get(at + 1).filter(bang).is_some());
        let Some(TokenTree::Group(group)) = tokens.get(next) else { continue };
        let Some(TokenTree::Literal(literal)) = group.stream().into_iter().next() else { continue };
        if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
            let bytes = literal.span().byte_range();
            found.push((text.value(), Span::new(bytes.start, bytes.end)));
        }
    }
    for token in tokens {
        if let TokenTree::Group(group) = token {
            collect(group.stream(), name, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_and_attributes_count() {
        let text = "//! fault!(\"doc\")\nfn f() { if fault!(\"real\") { g!(fault!(\"nested\")) } }\n\
                    // fault!(\"comment\")\nconst S: &str = \"fault!(\\\"text\\\")\";\nmacro_rules! fault { () => {} }\n\
                    #[fault(\"attribute\")] fn g() {}";
        let names: Vec<String> = literals(text, "fault").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["real", "nested", "attribute"]);
        for (name, span) in literals(text, "fault") {
            assert_eq!(text[span.range()], format!("\"{name}\""));
        }
    }
}
