//! The architecture's invariants, as far as sources can show them: who may name whom, where `unsafe` may stand,
//! which crates depend on which, and that no source file is out of reach of the compiler.

use falsify::{Claim, falsifier};
use fault::fault;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::Visit;

/// Modules of the engine that may name a backend. Everything else reaches one through the trait.
const NAMES_BACKENDS: &[&str] = &["cli", "session", "cpu", "cuda", "lib"];
/// Fences: the only modules with `unsafe`.
const FENCES: &[&str] = &[
    "crates/model/src/mapped",
    "crates/model/src/cpu/simd",
    "crates/model/src/cpu/pool",
    "crates/model/src/cuda",
];
/// Modules that stand alone, and what they may use of their own crate.
const ALONE: &[(&str, &[&str])] =
    &[("gguf", &["gguf", "quant", "error"]), ("quant", &["quant", "error"]), ("stage", &["stage", "config"])];
/// Ways of naming a copy instead of giving the original a parameter.
const COPY_SUFFIXES: &[&str] =
    &["_v2", "_v3", "_new", "_old", "_traced", "_with_plan", "_with_router", "_cuda", "_impl2"];
/// Workspace crates and the workspace crates each may depend on outside its tests.
const DEPENDS: &[(&str, &[&str])] = &[
    ("contract", &["fault"]),
    ("fault", &[]),
    ("falsify-macros", &["contract"]),
    ("falsify", &["contract", "falsify-macros", "fault"]),
    ("pv", &["contract", "fault"]),
    ("model", &["fault"]),
];

/// The workspace root: the nearest folder upwards that holds `pv.toml`.
fn root() -> PathBuf {
    let start = std::env::current_dir().expect("a current directory");
    start.ancestors().find(|d| d.join("pv.toml").is_file()).expect("a folder with pv.toml upwards").to_owned()
}

/// Every Rust file under the crates' `src`, by its path relative to the root.
fn sources(root: &Path) -> BTreeMap<String, syn::File> {
    fn walk(dir: &Path, root: &Path, out: &mut BTreeMap<String, syn::File>) {
        for entry in std::fs::read_dir(dir).expect("a readable folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, root, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a readable file");
                let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
                out.insert(name, syn::parse_file(&text).expect("a file that compiles parses"));
            }
        }
    }
    let mut out = BTreeMap::new();
    for krate in std::fs::read_dir(root.join("crates")).expect("crates/").flatten() {
        if krate.path().join("src").is_dir() {
            walk(&krate.path().join("src"), root, &mut out);
        }
    }
    assert!(out.len() > 20, "found {} sources: looking in the wrong place", out.len());
    for (planted, path, text) in violations() {
        if planted {
            out.insert(path.to_owned(), syn::parse_file(text).expect("a planted violation parses"));
        }
    }
    out
}

/// One source for each invariant that breaks it: what the scan has to find when its fault is armed.
fn violations() -> [(bool, &'static str, &'static str); 5] {
    [
        (fault!("arch-forward-names-cuda"), "crates/model/src/forward.rs", "use crate::cuda::Cuda;"),
        (
            fault!("arch-gguf-knows-weights"),
            "crates/model/src/gguf/layout.rs",
            "use crate::weights::Weights;",
        ),
        (fault!("arch-unsafe-outside"), "crates/pv/src/exit.rs", "fn f() { unsafe {} }"),
        (fault!("arch-traced-copy"), "crates/model/src/forward.rs", "fn forward_traced() {}"),
        (fault!("arch-lost-file"), "crates/model/src/lost.rs", "fn nobody_calls() {}"),
    ]
}

/// What one file says.
#[derive(Default)]
struct Facts {
    /// First segments after `crate::`, and `cudarc` wherever it stands.
    uses: BTreeSet<String>,
    unsafes: usize,
    functions: Vec<String>,
}

impl Facts {
    fn of(file: &syn::File) -> Self {
        let mut facts = Self::default();
        facts.visit_file(file);
        facts
    }
    fn tree(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        match tree {
            syn::UseTree::Path(p) => {
                let mut prefix = prefix.to_vec();
                prefix.push(p.ident.to_string());
                self.tree(&p.tree, &prefix);
            }
            syn::UseTree::Group(g) => g.items.iter().for_each(|t| self.tree(t, prefix)),
            syn::UseTree::Name(n) => self.segments(prefix.iter().cloned().chain([n.ident.to_string()])),
            syn::UseTree::Rename(n) => self.segments(prefix.iter().cloned().chain([n.ident.to_string()])),
            syn::UseTree::Glob(_) => self.segments(prefix.iter().cloned()),
        }
    }
    fn segments(&mut self, segments: impl Iterator<Item = String>) {
        let segments: Vec<String> = segments.collect();
        match segments.first().map(String::as_str) {
            Some("crate") => self.uses.extend(segments.get(1).cloned()),
            Some("cudarc") => {
                self.uses.insert("cudarc".to_owned());
            }
            _ => {}
        }
    }
}

impl<'a> Visit<'a> for Facts {
    fn visit_path(&mut self, path: &'a syn::Path) {
        self.segments(path.segments.iter().map(|s| s.ident.to_string()));
        syn::visit::visit_path(self, path);
    }
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }
    fn visit_expr_unsafe(&mut self, block: &'a syn::ExprUnsafe) {
        self.unsafes += 1;
        syn::visit::visit_expr_unsafe(self, block);
    }
    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        self.unsafes += usize::from(item.unsafety.is_some());
        syn::visit::visit_item_impl(self, item);
    }
    fn visit_signature(&mut self, signature: &'a syn::Signature) {
        self.unsafes += usize::from(matches!(signature.safety, syn::Safety::Unsafe(_)));
        self.functions.push(signature.ident.to_string());
        syn::visit::visit_signature(self, signature);
    }
}

/// The top module of the engine that a file belongs to: `crates/model/src/cpu/matmul.rs` is in `cpu`.
fn module(path: &str) -> Option<&str> {
    path.strip_prefix("crates/model/src/")?.split(['/', '.']).next()
}

#[falsifier("FALSIFY-ARCH-BACKENDS-001")]
fn only_the_session_names_backends(claim: &mut Claim) {
    for (path, file) in sources(&root()) {
        if module(&path).is_none_or(|m| NAMES_BACKENDS.contains(&m) || m == "bin") {
            continue;
        }
        let uses = Facts::of(&file).uses;
        let named = ["cpu", "cuda", "cudarc"].iter().filter(|b| uses.contains(**b)).count();
        claim.on(&path).measure("count", named as f64, "");
    }
}

#[falsifier("FALSIFY-ARCH-ALONE-001")]
fn files_and_formats_stand_alone(claim: &mut Claim) {
    for (path, file) in sources(&root()) {
        let Some((name, allowed)) = ALONE.iter().find(|(m, _)| module(&path) == Some(m)) else { continue };
        let foreign: Vec<_> =
            Facts::of(&file).uses.into_iter().filter(|used| !allowed.contains(&used.as_str())).collect();
        claim.at("module", *name).on(format!("{path} {foreign:?}")).measure(
            "count",
            foreign.len() as f64,
            "",
        );
    }
}

#[falsifier("FALSIFY-ARCH-UNSAFE-001")]
fn unsafe_stands_in_the_fences(claim: &mut Claim) {
    let mut inside = 0;
    for (path, file) in sources(&root()) {
        let count = Facts::of(&file).unsafes;
        if FENCES.iter().any(|f| path.starts_with(f)) {
            inside += count;
        } else {
            claim.at("place", "outside").on(path).check("has no unsafe", count == 0);
        }
    }
    // A scan that finds no unsafe code where there is some would hold for any tree.
    claim.at("place", "inside").check("the fences hold what the scan looks for", inside > 0);
}

#[falsifier("FALSIFY-ARCH-COPIES-001")]
fn no_function_is_named_as_a_copy(claim: &mut Claim) {
    for (path, file) in sources(&root()) {
        let copies: Vec<_> = Facts::of(&file)
            .functions
            .into_iter()
            .filter(|name| COPY_SUFFIXES.iter().any(|s| name.ends_with(s)))
            .collect();
        claim.on(format!("{path} {copies:?}")).measure("count", copies.len() as f64, "");
    }
}

#[falsifier("FALSIFY-ARCH-REACH-001")]
fn every_source_is_reachable(claim: &mut Claim) {
    let sources = sources(&root());
    let reached = reached(&sources);
    for path in sources.keys() {
        claim.on(path).measure("count", f64::from(u8::from(!reached.contains(path))), "");
    }
}

/// The sources that some `mod` leads to from a crate's root.
fn reached(sources: &BTreeMap<String, syn::File>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let is_root =
        |p: &str| p.ends_with("src/lib.rs") || p.ends_with("src/main.rs") || p.contains("/src/bin/");
    let mut todo: Vec<(String, PathBuf)> = sources
        .keys()
        .filter(|p| is_root(p))
        .map(|p| (p.clone(), Path::new(p).parent().expect("a folder").to_owned()))
        .collect();
    while let Some((path, dir)) = todo.pop() {
        if !reached.insert(path.clone()) {
            continue;
        }
        let mut pending: Vec<(&[syn::Item], PathBuf)> = vec![(&sources[&path].items, dir)];
        while let Some((items, dir)) = pending.pop() {
            for item in items {
                let names: Vec<String> = match item {
                    syn::Item::Mod(m) => {
                        let name = m.ident.to_string();
                        if let Some((_, inner)) = &m.content {
                            pending.push((inner, dir.join(&name)));
                            continue;
                        }
                        vec![name]
                    }
                    // A part that other crates include, too: it lies beside the file that includes it.
                    syn::Item::Macro(m) if m.mac.path.is_ident("include") => {
                        if let Ok(part) = m.mac.parse_body::<syn::LitStr>() {
                            let beside = Path::new(&path).with_file_name(part.value());
                            reached.insert(beside.to_string_lossy().into_owned());
                        }
                        continue;
                    }
                    // A table of modules: `table! { a, b, }` declares each of them.
                    syn::Item::Macro(m) if m.ident.is_none() => {
                        m.mac.tokens.to_string().split([',', ' ', '\n']).map(str::to_owned).collect()
                    }
                    _ => continue,
                };
                for name in names {
                    for file in [dir.join(format!("{name}.rs")), dir.join(&name).join("mod.rs")] {
                        let key = file.to_string_lossy().into_owned();
                        if sources.contains_key(&key) {
                            todo.push((key, dir.join(&name)));
                        }
                    }
                }
            }
        }
    }
    reached
}

#[falsifier("FALSIFY-ARCH-CRATES-001")]
fn crates_depend_in_one_direction(claim: &mut Claim) {
    let root = root();
    for entry in std::fs::read_dir(root.join("crates")).expect("crates/").flatten() {
        let text = std::fs::read_to_string(entry.path().join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        let name = manifest["package"]["name"].as_str().expect("a name");
        let row = DEPENDS.iter().find(|(n, _)| *n == name);
        let mut used: Vec<&str> = match manifest.get("dependencies").and_then(|d| d.as_table()) {
            Some(table) => table.keys().map(String::as_str).collect(),
            None => Vec::new(),
        };
        if name == "contract" && fault!("arch-contract-depends-on-pv") {
            used.push("pv");
        }
        let foreign: Vec<_> = used
            .into_iter()
            .filter(|used| DEPENDS.iter().any(|(n, _)| n == used))
            .filter(|used| row.is_none_or(|(_, allowed)| !allowed.contains(used)))
            .collect();
        claim.at("crate", name).check(
            &format!("{name} has a row and depends on nothing else: {foreign:?}"),
            row.is_some() && foreign.is_empty(),
        );
    }
}
