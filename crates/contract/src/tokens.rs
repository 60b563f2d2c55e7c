//! Token hashes: the identity of Rust source that comments and formatting do not change.
//!
//! Two streams have one hash exactly when they hold the same tokens, by kind and text, after the things that a
//! formatter or a comment changes are taken away: spacing (`x.0.1` and `x.0 .1` are lexed differently), doc
//! attributes, commas before a closer, braces round the lone expression of a match arm or closure, and the
//! semicolon after a `return`, `break` or `continue` that ends a block. The macro computes the hash from what the compiler hands
//! it and the command line computes it from files, so nothing here depends on how either prints a stream.

use crate::evidence::sha256_hex;
use fault::fault;
use proc_macro2::{Delimiter, Group, LexError, Spacing, TokenStream, TokenTree};
use quote::ToTokens as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::iter::Peekable;

/// The token hash of a test function, `sha256:<64 hex>`: its signature and its body, without outer attributes
/// (the compiler has resolved some of those when a macro sees the function) and visibility.
#[must_use]
pub fn of_function(function: &syn::ItemFn) -> String {
    let mut tokens = function.sig.to_token_stream();
    function.block.to_tokens(&mut tokens);
    of_stream(tokens)
}

/// The token hash of a source file, `sha256:<64 hex>`.
///
/// # Errors
/// When the text is no sequence of Rust tokens.
pub fn of_file(text: &str) -> Result<String, LexError> {
    Ok(SourceFile::parse(text)?.hash())
}

/// A source file as tokens and, where they are a file and not an included expression, as what syn makes of them.
pub struct SourceFile {
    /// Its tokens.
    pub tokens: TokenStream,
    /// The file that they are.
    pub file: Option<syn::File>,
}

impl SourceFile {
    /// Reads a text once for everything that is asked of it.
    ///
    /// # Errors
    /// When the text is no sequence of Rust tokens.
    pub fn parse(text: &str) -> Result<Self, LexError> {
        // The byte order mark and the interpreter line are no tokens. Its end is kept: lines count from the first one.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let shebang = text.starts_with("#!") && !text[2..].trim_start().starts_with('[');
        let text = if shebang { text.find('\n').map_or("", |end| &text[end..]) } else { text };
        let tokens: TokenStream = text.parse()?;
        Ok(Self { file: syn::parse2(tokens.clone()).ok(), tokens })
    }

    /// The token hash of the whole.
    #[must_use]
    pub fn hash(&self) -> String {
        of_stream(self.tokens.clone())
    }

    /// The parts. What a macro makes stays in the rest; tokens that are no file are all rest.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        let Some(mut file) = self.file else {
            return Parts { rest: of_stream(self.tokens), falsifiers: BTreeMap::new() };
        };
        let mut falsifiers = BTreeMap::new();
        take_tests(&mut file.items, &mut falsifiers);
        Parts { rest: of_stream(file.into_token_stream()), falsifiers }
    }
}

/// A source file taken apart into its tests and the rest.
///
/// A test function is called by nobody but the harness, so editing one says nothing about another: what a test
/// rests on is itself and everything in its target that is no test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The token hash of the file without its test functions.
    pub rest: String,
    /// Per falsifier id, the token hashes of the functions that carry it, attributes included, in their order.
    pub falsifiers: BTreeMap<String, Vec<String>>,
}

/// Attributes, by the last segment of their path, that make a function a test.
pub const TEST_ATTRIBUTES: &[&str] =
    &["test", "falsifier", "rstest", "test_case", "test_matrix", "quickcheck"];

fn take_tests(items: &mut Vec<syn::Item>, falsifiers: &mut BTreeMap<String, Vec<String>>) {
    items.retain_mut(|item| match item {
        syn::Item::Mod(module) => {
            if let Some((_, items)) = &mut module.content {
                take_tests(items, falsifiers);
            }
            true
        }
        syn::Item::Fn(function) => {
            let is = |attribute: &syn::Attribute, names: &[&str]| {
                attribute
                    .path()
                    .segments
                    .last()
                    .is_some_and(|last| names.iter().any(|name| last.ident == name))
            };
            let ids = function.attrs.iter().filter(|attribute| is(attribute, &["falsifier"]));
            let ids: Vec<String> =
                ids.filter_map(|a| a.parse_args::<syn::LitStr>().ok()).map(|id| id.value()).collect();
            for id in ids {
                falsifiers.entry(id).or_default().push(of_stream(function.to_token_stream()));
            }
            !function.attrs.iter().any(|attribute| is(attribute, TEST_ATTRIBUTES))
        }
        _ => true,
    });
}

/// The token hash of a stream, `sha256:<64 hex>`.
#[must_use]
pub fn of_stream(tokens: TokenStream) -> String {
    let mut out = Vec::new();
    sequence(&flat(tokens), &mut out);
    format!("sha256:{}", sha256_hex(&out))
}

/// The kinds of tokens as the hash sees them. A token is its kind, its text, and a zero byte, which no text holds.
mod kind {
    pub(super) const IDENT: u8 = b'i';
    pub(super) const LITERAL: u8 = b'l';
    pub(super) const PUNCT: u8 = b'p';
    pub(super) const OPEN: u8 = b'o';
    pub(super) const CLOSE: u8 = b'c';
}

fn token(kind: u8, text: &str, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// The trees of one level, with the invisible groups that macro expansion leaves dissolved and doc attributes gone.
fn flat(tokens: TokenStream) -> Vec<TokenTree> {
    fn add(tokens: TokenStream, trees: &mut Vec<TokenTree>) {
        for tree in tokens {
            match tree {
                TokenTree::Group(group) if group.delimiter() == Delimiter::None => add(group.stream(), trees),
                tree => trees.push(tree),
            }
        }
    }
    let mut trees = Vec::new();
    add(tokens, &mut trees);
    let mut kept = Vec::with_capacity(trees.len());
    let mut rest = trees.into_iter().peekable();
    while let Some(tree) = rest.next() {
        if !is_punct(&tree, '#') || !skip_doc(&mut rest, &mut kept, &tree) {
            kept.push(tree);
        }
    }
    kept
}

/// After a `#`: takes `[doc ...]` or `![doc ...]` away and says so. Puts the `#` and a `!` that belong to another
/// attribute into `kept`.
fn skip_doc(
    rest: &mut Peekable<std::vec::IntoIter<TokenTree>>,
    kept: &mut Vec<TokenTree>,
    hash: &TokenTree,
) -> bool {
    let bang = rest.next_if(|tree| is_punct(tree, '!'));
    if rest.next_if(is_doc).is_some() {
        return true;
    }
    if let Some(bang) = bang {
        kept.extend([hash.clone(), bang]);
        return true;
    }
    false
}

fn is_doc(tree: &TokenTree) -> bool {
    let TokenTree::Group(group) = tree else { return false };
    group.delimiter() == Delimiter::Bracket
        && !fault!("tokens-count-comments")
        && matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(word)) if word == "doc")
}

fn is_punct(tree: &TokenTree, c: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == c)
}

fn sequence(trees: &[TokenTree], out: &mut Vec<u8>) {
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Ident(word) => token(kind::IDENT, &word.to_string(), out),
            TokenTree::Literal(literal) => match fields(trees, at, &literal.to_string()) {
                Some((first, second)) => {
                    token(kind::LITERAL, first, out);
                    token(kind::PUNCT, ".", out);
                    token(kind::LITERAL, second, out);
                }
                None => token(kind::LITERAL, &literal.to_string(), out),
            },
            TokenTree::Punct(punct) if punct.as_char() == ',' && is_trailing(trees, at) => {}
            TokenTree::Punct(punct) => token(kind::PUNCT, punct.as_char().encode_utf8(&mut [0; 4]), out),
            TokenTree::Group(inner) => group(trees, at, inner, out),
        }
    }
}

/// The two field names in the literal `0.1` of `x.0.1`; `None` for a number, also for the end of a range.
fn fields<'a>(trees: &[TokenTree], at: usize, literal: &'a str) -> Option<(&'a str, &'a str)> {
    let dot = |back: usize| at >= back && is_punct(&trees[at - back], '.');
    if dot(1) && !dot(2) { literal.split_once('.') } else { None }
}

/// Whether the comma at `at` stands before a closer, `>` included. The comma of a 1-tuple is kept by [`group`].
fn is_trailing(trees: &[TokenTree], at: usize) -> bool {
    !fault!("tokens-count-trailing-commas") && trees.get(at + 1).is_none_or(|next| is_punct(next, '>'))
}

fn group(trees: &[TokenTree], at: usize, inner: &Group, out: &mut Vec<u8>) {
    let (open, close) = match inner.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::Brace | Delimiter::None => ("{", "}"),
    };
    let mut content = flat(inner.stream());
    let braced = inner.delimiter() == Delimiter::Brace;
    if braced && ends_with_jump(inner, &content) {
        content.pop();
    }
    let arm = braced && is_arm(trees, at);
    if braced && (arm || is_closure_body(trees, at)) && is_lone_expression(inner) {
        sequence(&content, out);
    } else {
        token(kind::OPEN, open, out);
        sequence(&content, out);
        if inner.delimiter() == Delimiter::Parenthesis && is_one_tuple(trees, at, &content) {
            token(kind::PUNCT, ",", out);
        }
        token(kind::CLOSE, close, out);
    }
    // A comma after a braced match arm is optional: it is always written, as after an arm without braces.
    let separated = trees.get(at + 1).is_none_or(|next| is_punct(next, ',') || is_punct(next, ';'));
    if arm && !separated {
        token(kind::PUNCT, ",", out);
    }
}

/// Whether the group at `at` is the body of a match arm.
fn is_arm(trees: &[TokenTree], at: usize) -> bool {
    at >= 2
        && is_punct(&trees[at - 1], '>')
        && matches!(&trees[at - 2], TokenTree::Punct(p) if p.as_char() == '=' && p.spacing() == Spacing::Joint)
}

/// Whether the group at `at` is the whole body of a closure. `a | { b }` is none, and neither is a body that an
/// operator follows: without its braces either would parse as something else.
fn is_closure_body(trees: &[TokenTree], at: usize) -> bool {
    let ends = trees.get(at + 1).is_none_or(|next| is_punct(next, ',') || is_punct(next, ';'));
    if !ends || at == 0 || !is_punct(&trees[at - 1], '|') {
        return false;
    }
    let empty = at >= 2
        && matches!(&trees[at - 2], TokenTree::Punct(p) if p.as_char() == '|' && p.spacing() == Spacing::Joint);
    let open =
        if empty { Some(at - 2) } else { (0..at - 1).rev().find(|before| is_punct(&trees[*before], '|')) };
    open.is_some_and(|open| open == 0 || !is_operand(&trees[open - 1]))
}

/// Whether an expression can end with the tree, so that what follows it is a binary operator or a call.
fn is_operand(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Literal(_) | TokenTree::Group(_) => true,
        TokenTree::Punct(punct) => matches!(punct.as_char(), '?' | '>' | '!'),
        TokenTree::Ident(word) => !matches!(
            word.to_string().as_str(),
            "as" | "async"
                | "break"
                | "else"
                | "if"
                | "in"
                | "let"
                | "match"
                | "move"
                | "mut"
                | "return"
                | "while"
        ),
    }
}

/// Whether the group at `at` is `(x,)` where `(x)` would be another thing: no call, pattern or macro.
fn is_one_tuple(trees: &[TokenTree], at: usize, content: &[TokenTree]) -> bool {
    let commas = content.iter().filter(|tree| is_punct(tree, ',')).count();
    let called = at > 0 && is_operand(&trees[at - 1]);
    commas == 1 && content.len() > 1 && content.last().is_some_and(|tree| is_punct(tree, ',')) && !called
}

/// Whether the braces hold a block that ends with `return x;`, `break;` or `continue;`.
fn ends_with_jump(group: &Group, content: &[TokenTree]) -> bool {
    // Most blocks are told apart without being parsed.
    let jumps = |tree: &TokenTree| matches!(tree, TokenTree::Ident(word) if is_jump_word(&word.to_string()));
    if !content.last().is_some_and(|tree| is_punct(tree, ';')) || !content.iter().any(jumps) {
        return false;
    }
    let tree = TokenTree::Group(group.clone());
    let Ok(block) = syn::parse2::<syn::Block>(tree.into()) else { return false };
    matches!(block.stmts.last(), Some(syn::Stmt::Expr(expression, Some(_))) if is_jump(expression))
}

fn is_jump_word(word: &str) -> bool {
    matches!(word, "return" | "break" | "continue")
}

fn is_jump(expression: &syn::Expr) -> bool {
    matches!(expression, syn::Expr::Return(_) | syn::Expr::Break(_) | syn::Expr::Continue(_))
}

/// Whether the braces hold one expression and nothing else.
fn is_lone_expression(group: &Group) -> bool {
    let tree = TokenTree::Group(group.clone());
    let Ok(block) = syn::parse2::<syn::Block>(tree.into()) else { return false };
    match block.stmts.as_slice() {
        [syn::Stmt::Expr(expression, semicolon)] => semicolon.is_none() || is_jump(expression),
        [syn::Stmt::Macro(call)] => call.semi_token.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
