//! What the macro promises of a binary: its markers describe the sources, by hashes that formatting keeps.

use contract::hash;
use contract::marker::{self, Marker};
use contract::root::Root;
use contract::tokens;
use falsify::{Claim, falsifier};
use proc_macro2::{TokenStream, TokenTree};
use std::path::{Path, PathBuf};
use std::process::Command;
use syn::visit::Visit;

/// The functions of a file that carry a falsifier's attribute, by the line of the attribute.
#[derive(Default)]
struct Attributed(Vec<(usize, syn::ItemFn)>);

impl<'ast> Visit<'ast> for Attributed {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let attribute = function.attrs.iter().find(|attribute| attribute.path().is_ident("falsifier"));
        if let Some(attribute) = attribute {
            self.0.push((attribute.pound_token.span.start().line, function.clone()));
        }
        syn::visit::visit_item_fn(self, function);
    }
}

/// What is wrong with a marker of this binary.
fn defect(marker: &Marker, root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join(&marker.file)).ok()?;
    let mut attributed = Attributed::default();
    attributed.visit_file(&syn::parse_file(&text).ok()?);
    let line = usize::try_from(marker.line).ok()?;
    let found = attributed.0.iter().find(|(at, _)| *at == line);
    let body = found.map(|(_, function)| (function.sig.ident.to_string(), tokens::of_function(function)));
    let claim = Root::at(root).falsifier(marker.id.as_str()).ok().map(|found| hash::claim(found.falsifier()));
    let claim = claim.and_then(Result::ok).map(|digest| digest.to_string());
    // Generated tests lie beside the folder of the others.
    let file = Path::new(&marker.file);
    let module =
        file.strip_prefix("tests/it").or_else(|_| file.strip_prefix("tests")).ok()?.with_extension("");
    let module = format!("it::{}", module.display().to_string().replace('/', "::"));
    if marker.module != module {
        return Some(format!("{} is in {module}, not {}", marker.file, marker.module));
    }
    if claim.as_ref() != Some(&marker.claim) {
        return Some(format!(
            "{} was compiled with claim {}, the contract has {claim:?}",
            marker.id, marker.claim
        ));
    }
    match body {
        // A test made by a macro stands at the macro's call, where there is no function.
        None => {
            (marker.function != "made_by_a_macro").then(|| format!("no falsifier at {}:{line}", marker.file))
        }
        Some((name, _)) if name != marker.function => Some(format!("{name} is called {}", marker.function)),
        Some((name, hash)) if hash != marker.body => {
            Some(format!("the body of {name} has {hash}, not {}", marker.body))
        }
        Some(_) => None,
    }
}

#[falsifier("FALSIFY-MACRO-002")]
fn markers_fit_their_sources(claim: &mut Claim) {
    let root = falsify::root().expect("the root");
    let binary = std::fs::read(std::env::current_exe().expect("this executable")).expect("its bytes");
    let mut markers = marker::scan(&binary);
    // Another crate linked into this one could bring its own; the child of the recorder has a made-up one.
    markers.retain(|marker| marker.module.starts_with("it::") && marker.id.as_str() != "HARNESS-CHILD");
    claim.check(&format!("{} markers are found", markers.len()), markers.len() > 10);
    let defects: Vec<String> = markers.iter().filter_map(|marker| defect(marker, &root)).collect();
    let number = u32::try_from(defects.len()).expect("few markers");
    claim.on(defects.first().cloned().unwrap_or_default()).measure("count", f64::from(number), "");
}

/// The Rust files of the workspace's crates.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The text in another format. The order of imports is content, so the formatter must leave it.
fn formatted(text: &str, dir: &Path, options: &str) -> String {
    let file = dir.join("file.rs");
    std::fs::write(&file, text).expect("a file");
    let rustfmt = Command::new("rustfmt")
        .args([
            "--edition",
            "2024",
            "--config",
            "reorder_imports=false,reorder_modules=false,skip_children=true",
        ])
        .args(["--config", options])
        .arg(&file)
        .output()
        .expect("rustfmt, which the toolchain of this workspace has");
    assert!(rustfmt.status.success(), "{}", String::from_utf8_lossy(&rustfmt.stderr));
    std::fs::read_to_string(&file).expect("the file")
}

/// Whether a literal of several lines could hold what looks like a comment.
fn has_long_literal(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => has_long_literal(group.stream()),
        TokenTree::Literal(literal) => literal.to_string().contains('\n'),
        TokenTree::Ident(_) | TokenTree::Punct(_) => false,
    })
}

/// The text without the lines that are comments alone, doc comments included; unchanged where they could be text.
fn without_comments(text: &str) -> String {
    if has_long_literal(text.parse().expect("Rust")) {
        return text.to_owned();
    }
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

#[falsifier("FALSIFY-MACRO-003")]
fn formatting_keeps_the_hash(claim: &mut Claim) {
    let root = falsify::root().expect("the root");
    let dir = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for crate_dir in ["crates/contract/src", "crates/falsify/src", "crates/pv/src", "tests/it"] {
        sources(&root.join(crate_dir), &mut files);
    }
    files.sort();
    let mut changed = [0_u32; 3];
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a file");
        let before = tokens::of_file(&text).expect("tokens");
        let narrow = formatted(&text, dir.path(), "max_width=60");
        let wide = formatted(&text, dir.path(), "max_width=160,use_small_heuristics=Max");
        for (at, text) in [narrow, wide, without_comments(&text)].iter().enumerate() {
            changed[at] += u32::from(tokens::of_file(text).expect("tokens") != before);
        }
    }
    assert!(files.len() > 30, "{} files: looking in the wrong place", files.len());
    for (change, number) in ["narrow", "wide", "comments"].into_iter().zip(changed) {
        claim.at("change", change).measure("count", f64::from(number), "");
    }
}
