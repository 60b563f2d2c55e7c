//! The files of a tree that git does not ignore, and their digests, each computed once per content.

use crate::binding::scan::file::FileItems;
use crate::evidence::source::DERIVED;
use crate::stamp::Stamp;
use contract::evidence::sha256_hex;
use contract::tokens::{Parts, SourceFile};
use proc_macro2::{TokenStream, TokenTree};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Where digests are kept, relative to the root.
const CACHE: &str = "target/pv/content.json";
/// The version of that file; another one is as good as none.
const SCHEMA: u32 = 2;

/// A file that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FilesError {
    /// The file, relative to the root.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// The files of a tree, by path relative to the root.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    listed: BTreeSet<String>,
    known: BTreeMap<String, Known>,
    changed: bool,
}

/// What is known of a file's content.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    /// Whether the stamp was held against the file since the files were listed: each file is looked at once.
    #[serde(skip)]
    seen: bool,
    /// The SHA-256 of its bytes.
    bytes: String,
    /// For Rust: its token hash, its parts, and the files that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rust: Option<Rust>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rust {
    tokens: String,
    parts: Parts,
    items: FileItems,
    /// The literal arguments of `include_str!` and `include_bytes!`.
    included: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Cache {
    schema: u32,
    pv: String,
    files: BTreeMap<String, Known>,
}

impl Files {
    /// The files below a root.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn list(root: &Path) -> Result<Self, FilesError> {
        let walk = ignore::WalkBuilder::new(root)
            .hidden(false)
            .require_git(false)
            .parents(false)
            .filter_entry(|entry| {
                let top = entry.depth() == 1;
                let name = entry.file_name().to_string_lossy();
                name != ".git" && !(top && (name == "target" || DERIVED.contains(&name.as_ref())))
            })
            .build();
        let mut listed = BTreeSet::new();
        for entry in walk {
            let entry = entry.map_err(|e| FilesError { path: ".".to_owned(), reason: e.to_string() })?;
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
                listed.insert(path.to_string_lossy().replace('\\', "/"));
            }
        }
        let known = load(root).unwrap_or_default();
        Ok(Self { root: root.to_owned(), listed, known, changed: false })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every file.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(String::as_str)
    }

    /// Whether there is such a file.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        self.listed.contains(path)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// When it cannot be read or is no text.
    pub fn text(&self, path: &str) -> Result<String, FilesError> {
        std::fs::read_to_string(self.root.join(path)).map_err(fail(path))
    }

    /// The digest of a file's content: of its tokens for Rust, of its bytes for anything else.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn digest(&mut self, path: &str) -> Result<String, FilesError> {
        let known = self.know(path)?;
        Ok(known.rust.as_ref().map_or_else(|| format!("sha256:{}", known.bytes), |rust| rust.tokens.clone()))
    }

    /// The tests of a Rust file and the rest. A file that is no Rust is all rest.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn parts(&mut self, path: &str) -> Result<Cow<'_, Parts>, FilesError> {
        let known = self.know(path)?;
        let all = || Parts { rest: format!("sha256:{}", known.bytes), falsifiers: BTreeMap::new() };
        Ok(known.rust.as_ref().map_or_else(|| Cow::Owned(all()), |rust| Cow::Borrowed(&rust.parts)))
    }

    /// A source file and every file that its modules and includes lead to. `root_module` says whether it is the
    /// root of a crate, whose modules lie beside it. A module whose file is not there leads nowhere: the compiler
    /// says so, or a `cfg` leaves it out.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn module_tree(&mut self, source: &str, root_module: bool) -> Result<BTreeSet<String>, FilesError> {
        let mut found = BTreeSet::new();
        let mut pending = vec![(source.to_owned(), children(source, root_module))];
        while let Some((file, folder)) = pending.pop() {
            if !self.exists(&file) || !found.insert(file.clone()) {
                continue;
            }
            let Some(rust) = self.know(&file)?.rust.clone() else { continue };
            let own = parent(&file);
            for module in &rust.items.modules {
                let inside = module.inside.split("::").filter(|part| !part.is_empty()).map(unraw);
                let base = inside.fold(folder.clone(), |base, part| join(&base, part));
                match &module.path {
                    Some(named) => {
                        let base = if module.inside.is_empty() { &own } else { &base };
                        let file = join(base, named);
                        let folder = parent(&file);
                        pending.push((file, folder));
                    }
                    None => {
                        let folder = join(&base, unraw(&module.name));
                        let flat = format!("{folder}.rs");
                        let file = if self.exists(&flat) { flat } else { join(&folder, "mod.rs") };
                        pending.push((file, folder));
                    }
                }
            }
            let includes = rust.items.includes.iter().map(|include| &include.name);
            for name in includes.chain(&rust.included) {
                let file = join(&own, name);
                let folder = parent(&file);
                pending.push((file, folder));
            }
        }
        Ok(found)
    }

    /// Whether the file is on the disk; git may ignore it and the compiler still read it.
    fn exists(&self, path: &str) -> bool {
        self.listed.contains(path) || self.root.join(path).is_file()
    }

    fn know(&mut self, path: &str) -> Result<&Known, FilesError> {
        if !self.known.get(path).is_some_and(|known| known.seen) {
            let full = self.root.join(path);
            let stamp = Stamp::of(&full).map_err(fail(path))?;
            if !self.known.get(path).is_some_and(|known| known.stamp == stamp) {
                let bytes = std::fs::read(&full).map_err(fail(path))?;
                let digest = sha256_hex(&bytes);
                let known = match self.known.remove(path).filter(|known| known.bytes == digest) {
                    Some(known) => Known { stamp, ..known },
                    None => {
                        let rust = path.ends_with(".rs").then(|| rust(&bytes)).flatten();
                        Known { stamp, seen: false, bytes: digest, rust }
                    }
                };
                self.known.insert(path.to_owned(), known);
                self.changed = true;
            }
            if let Some(known) = self.known.get_mut(path) {
                known.seen = true;
            }
        }
        // It was there or was just inserted.
        self.known.get(path).ok_or_else(|| FilesError { path: path.to_owned(), reason: "unknown".to_owned() })
    }

    /// Writes what is known of the files, whole or not at all.
    ///
    /// # Errors
    /// When target/pv cannot be written.
    pub fn store(&self) -> Result<(), FilesError> {
        if !self.changed {
            return Ok(());
        }
        let files = self.known.iter().filter(|(path, _)| self.exists(path));
        let files = files.map(|(path, known)| (path.clone(), known.clone())).collect();
        let cache = Cache { schema: SCHEMA, pv: env!("CARGO_PKG_VERSION").to_owned(), files };
        let bytes = serde_json::to_vec(&cache).map_err(io::Error::from).map_err(fail(CACHE))?;
        crate::atomic::write(&self.root.join(CACHE), &bytes).map_err(fail(CACHE))
    }
}

fn load(root: &Path) -> Option<BTreeMap<String, Known>> {
    let bytes = std::fs::read(root.join(CACHE)).ok()?;
    let cache: Cache = serde_json::from_slice(&bytes).ok()?;
    (cache.schema == SCHEMA && cache.pv == env!("CARGO_PKG_VERSION")).then_some(cache.files)
}

/// What a Rust file holds; `None` when it is no sequence of tokens, and its bytes count.
fn rust(bytes: &[u8]) -> Option<Rust> {
    let source = SourceFile::parse(std::str::from_utf8(bytes).ok()?).ok()?;
    let items = source.file.as_ref().map(FileItems::of).unwrap_or_default();
    let mut included = Vec::new();
    find_included(source.tokens.clone(), &mut included);
    Some(Rust { tokens: source.hash(), items, included, parts: source.into_parts() })
}

/// The literal arguments of `include_str!` and `include_bytes!`, wherever they stand.
fn find_included(tokens: TokenStream, found: &mut Vec<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        let TokenTree::Group(group) = tree else { continue };
        let is_called = at >= 2
            && matches!(&trees[at - 2], TokenTree::Ident(name) if name == "include_str" || name == "include_bytes")
            && matches!(&trees[at - 1], TokenTree::Punct(bang) if bang.as_char() == '!');
        let name = is_called.then(|| syn::parse2::<syn::LitStr>(group.stream()).ok()).flatten();
        match name {
            Some(name) => found.push(name.value()),
            None => find_included(group.stream(), found),
        }
    }
}

/// The folder where the modules of a file lie.
fn children(file: &str, root_module: bool) -> String {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let name = stem.rsplit('/').next().unwrap_or(stem);
    if root_module || matches!(name, "mod" | "lib" | "main") { parent(file) } else { stem.to_owned() }
}

fn parent(path: &str) -> String {
    path.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned())
}

/// A path below a folder, without `.` and `..`, by text alone.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn unraw(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

fn fail(path: &str) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    move |error| FilesError { path, reason: error.to_string() }
}
