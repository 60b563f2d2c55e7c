//! The inventory kept under target/pv, so that commands which never compile know the last compiled binding, and
//! so that unchanged executables and sources are read once. A snapshot counts only while every source file and
//! manifest has the content it was taken with.

use super::build::Flavour;
use super::inventory::Inventory;
use super::scan::file::FileItems;
use super::scan::relative;
use crate::evidence::store;
use crate::stamp::Stamp;
use contract::evidence::sha256_hex;
use fault::fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The version of the snapshot's form; another one is as good as none.
const SCHEMA: u32 = 3;

/// The name of the snapshot's file in the folder of its flavour.
const NAME: &str = "binding.json";

fn path(root: &Path, flavour: Flavour) -> PathBuf {
    root.join(flavour.folder()).join(NAME)
}

/// An inventory with the sources it was taken from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    schema: u32,
    /// The version of pv that took it.
    pv: String,
    /// What was compiled.
    pub inventory: Inventory,
    /// The sources and manifests of the workspace.
    pub files: Files,
}

/// The sources and manifests of a workspace, by path relative to the root.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files {
    files: BTreeMap<String, File>,
    /// Something here is not on the disk yet.
    #[serde(skip)]
    dirty: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    stamp: Stamp,
    digest: String,
    /// What it declares; left out until it is asked for, and for what is no Rust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<FileItems>,
}

impl Snapshot {
    /// A snapshot of now.
    #[must_use]
    pub fn new(inventory: Inventory, files: Files) -> Self {
        Self { schema: SCHEMA, pv: env!("CARGO_PKG_VERSION").to_owned(), inventory, files }
    }

    /// The snapshot of a root, if there is one that this version of pv wrote. Whether it still counts is for
    /// [`Files::refresh`] to say.
    #[must_use]
    pub fn load(root: &Path, flavour: Flavour) -> Option<Self> {
        let bytes = std::fs::read(path(root, flavour)).ok()?;
        let snapshot: Self = serde_json::from_slice(&bytes).ok()?;
        (snapshot.schema == SCHEMA && snapshot.pv == env!("CARGO_PKG_VERSION")).then_some(snapshot)
    }

    /// Write it, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store(&self, root: &Path, flavour: Flavour) -> io::Result<()> {
        let path = path(root, flavour);
        let folder = path.parent().unwrap_or(root);
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(io::BufWriter::new(&mut file), self)?;
        file.flush()?;
        file.persist(path)?;
        Ok(())
    }
}

impl Files {
    /// Bring the list up to date with the disk, reading only what its stamp says has changed. Returns whether
    /// any content is different from before.
    ///
    /// # Errors
    /// When a folder or file cannot be read.
    pub fn refresh(&mut self, root: &Path) -> io::Result<bool> {
        let mut changed = false;
        let mut current = BTreeMap::new();
        for path in sources(root)? {
            let name = relative(root, &path);
            let stamp = Stamp::of(&path)?;
            let file = match self.files.remove(&name) {
                Some(known) if known.stamp == stamp => known,
                known => {
                    self.dirty = true;
                    let digest = sha256_hex(&std::fs::read(&path)?);
                    match known {
                        Some(known) if known.digest == digest => File { stamp, ..known },
                        _ => {
                            changed = true;
                            File { stamp, digest, items: None }
                        }
                    }
                }
            };
            current.insert(name, file);
        }
        // What the walk leaves out and a target includes all the same; or what is gone.
        for (name, file) in std::mem::take(&mut self.files) {
            let path = root.join(&name);
            match (Stamp::of(&path), std::fs::read(&path)) {
                (Ok(stamp), _) if stamp == file.stamp => {
                    current.insert(name, file);
                }
                (Ok(stamp), Ok(bytes)) if sha256_hex(&bytes) == file.digest => {
                    self.dirty = true;
                    current.insert(name, File { stamp, ..file });
                }
                _ => {
                    self.dirty = true;
                    changed = true;
                }
            }
        }
        self.files = current;
        Ok(changed && !fault!("binding-trusts-an-old-snapshot"))
    }

    /// Whether there is anything that a stored snapshot does not hold yet.
    #[must_use]
    pub const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// What a source file declares, parsed once per content. `None` when it cannot be read or parsed.
    pub fn items(&mut self, root: &Path, path: &Path) -> Option<&FileItems> {
        let name = relative(root, path);
        if !self.files.contains_key(&name) {
            // A file that the walk leaves out, ignored by git or outside the root, is still part of its target.
            let bytes = std::fs::read(path).ok()?;
            let file = File { stamp: Stamp::of(path).ok()?, digest: sha256_hex(&bytes), items: None };
            self.files.insert(name.clone(), file);
            self.dirty = true;
        }
        let file = self.files.get_mut(&name)?;
        if file.items.is_none() {
            self.dirty = true;
            // What syn does not understand declares nothing here; rustc has said why.
            let text = std::fs::read_to_string(path).ok()?;
            file.items = Some(FileItems::parse(&text).unwrap_or_default());
        }
        file.items.as_ref()
    }
}

/// Every source file and manifest below the root that git does not ignore.
fn sources(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    // Hidden files are left out but for cargo's own configuration, which decides what is compiled.
    let walk = ignore::WalkBuilder::new(root)
        .require_git(false)
        .parents(false)
        // The store holds records alone, and very many of them.
        .filter_entry(|entry| {
            entry.depth() != 1 || (entry.file_name() != "target" && entry.file_name() != store::COMMITTED)
        })
        .build();
    for entry in walk {
        let entry = entry.map_err(io::Error::other)?;
        let name = entry.file_name().to_string_lossy();
        let counts = name.ends_with(".rs") || matches!(name.as_ref(), "Cargo.toml" | "Cargo.lock");
        if counts && entry.file_type().is_some_and(|kind| kind.is_file()) {
            found.push(entry.into_path());
        }
    }
    let configuration = root.join(".cargo/config.toml");
    if configuration.is_file() {
        found.push(configuration);
    }
    Ok(found)
}
