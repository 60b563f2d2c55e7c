//! A store of evidence: a folder with one immutable file per record, under its contract, falsifier and host class.
//!
//! A record's file is named by its start and the first digits of its digest and is never edited, so branches and
//! hosts merge without conflict and an edit shows as a name that no longer fits. A signed record is its DSSE
//! envelope; a retraction is a file of its own. The store knows nothing of claims and trees: whether a record
//! still counts is computed elsewhere.

use super::dsse::Envelope;
use crate::atomic::{self, HALF_WRITTEN};
use contract::evidence::{RecordError, Statement, file_stem};
use contract::hash::Digest;
use contract::id::{ContractId, FalsifierId};
use contract::status::facts::RecordFacts;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// The committed store, relative to the root.
pub const COMMITTED: &str = "evidence";
/// The store of this work tree, relative to the root; git ignores it.
pub const LOCAL: &str = "target/pv/evidence";

const PLAIN: &str = ".json";
const SIGNED: &str = ".dsse.json";
const RETRACTED: &str = ".retracted.json";

/// A folder of records.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    /// The folder's path in reports.
    shown: String,
}

/// One record of a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The file, relative to the root.
    pub file: String,
    /// The SHA-256 of the statement's bytes, which is the record's identity whether it is signed or not.
    pub digest: Digest,
    /// The record.
    pub statement: Statement,
    /// The envelope, when it is signed.
    pub envelope: Option<Envelope>,
    /// Why it no longer counts.
    pub retracted: Option<Retraction>,
}

/// A record taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retraction {
    /// The version of this form: 1.
    pub schema: u32,
    /// The digest of the record's statement.
    pub retracts: String,
    /// Why.
    pub reason: String,
    /// When, `2026-11-20T10:15:02Z`.
    pub at: String,
}

/// A file of a store that is no record, or not the one its place says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Defect {
    /// The file, relative to the root.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a store could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record has no bytes.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No record has the digest, or several start so.
    #[error("{found} records have a digest that starts with `{digest}`")]
    Digest {
        /// What was asked for.
        digest: String,
        /// How many there are.
        found: usize,
    },
}

impl StoreError {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

impl Stored {
    /// What of the record bears on a status but for who signed it, and the envelope that says so.
    #[must_use]
    pub fn facts(self) -> (RecordFacts, Option<Envelope>) {
        (RecordFacts::of(self.statement, self.file, None), self.envelope)
    }
}

/// What a store holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// The records, sorted by file.
    pub records: Vec<Stored>,
    /// The files that are none.
    pub defects: Vec<Defect>,
}

impl Store {
    /// The committed store of a root.
    #[must_use]
    pub fn committed(root: &Path) -> Self {
        Self::below(root, COMMITTED)
    }

    /// The store of a root's work tree.
    #[must_use]
    pub fn local(root: &Path) -> Self {
        Self::below(root, LOCAL)
    }

    /// The store in a folder below a root.
    #[must_use]
    pub fn below(root: &Path, dir: &str) -> Self {
        Self { dir: root.join(dir), shown: dir.to_owned() }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything in the store. A store whose folder does not exist is empty.
    ///
    /// # Errors
    /// When a folder cannot be listed; a file that cannot be read or is no record is a [`Defect`].
    pub fn read(&self) -> Result<Contents, StoreError> {
        let mut contents = Contents::default();
        let read = |file: &PathBuf| {
            let bytes = self.bytes(file)?;
            let content = Digest::of(&bytes);
            self.read_bytes(file, bytes, content)
        };
        let read: Vec<Result<Read, Defect>> = self.files()?.par_iter().map(read).collect();
        let mut retractions = BTreeMap::new();
        for read in read {
            match read {
                Ok(Read::Record(stored)) => contents.records.push(*stored),
                Ok(Read::Retraction(retraction)) => {
                    retractions.insert(retraction.retracts.clone(), retraction);
                }
                Err(defect) => contents.defects.push(defect),
            }
        }
        for record in &mut contents.records {
            record.retracted = retractions.get(&record.digest.hex()).cloned();
        }
        Ok(contents)
    }

    /// Every file, sorted, relative to the store.
    fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = Vec::new();
        let mut open = vec![PathBuf::new()];
        while let Some(folder) = open.pop() {
            let entries = self.entries(&folder)?;
            files.extend(entries.files.iter().map(|name| folder.join(name)));
            open.extend(entries.folders.iter().map(|name| folder.join(name)));
        }
        files.sort_unstable();
        Ok(files)
    }

    /// The names in a folder by its path relative to the store. Half-written files of a killed process are no files
    /// of it; a store whose folder does not exist is empty.
    pub(super) fn entries(&self, folder: &Path) -> Result<Entries, StoreError> {
        let path = self.dir.join(folder);
        let mut entries = Entries { folders: Vec::new(), files: Vec::new() };
        let listed = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path == self.dir => return Ok(entries),
            listed => listed.map_err(StoreError::file(&path))?,
        };
        for entry in listed {
            let entry = entry.map_err(StoreError::file(&path))?;
            let name = entry.file_name();
            // A link is a file: what counts is the content it leads to.
            if entry.file_type().map_err(StoreError::file(&path))?.is_dir() {
                entries.folders.push(name);
            } else if !name.to_string_lossy().starts_with(HALF_WRITTEN) && name != ".gitkeep" {
                entries.files.push(name);
            }
        }
        entries.folders.sort_unstable();
        entries.files.sort_unstable();
        Ok(entries)
    }

    /// A path relative to the store as reports show it.
    pub(super) fn shown(&self, file: &Path) -> String {
        let parts: Vec<_> = file.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        if parts.is_empty() { self.shown.clone() } else { format!("{}/{}", self.shown, parts.join("/")) }
    }

    /// The bytes of a file by its path relative to the store.
    pub(super) fn bytes(&self, file: &Path) -> Result<Vec<u8>, Defect> {
        let defect = |error: io::Error| Defect { file: self.shown(file), reason: error.to_string() };
        std::fs::read(self.dir.join(file)).map_err(defect)
    }

    /// What the bytes of a file say, `content` being their digest.
    pub(super) fn read_bytes(&self, file: &Path, bytes: Vec<u8>, content: Digest) -> Result<Read, Defect> {
        let shown = self.shown(file);
        let defect = |reason: String| Defect { file: shown.clone(), reason };
        let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name.ends_with(RETRACTED) {
            let retraction: Retraction =
                serde_json::from_slice(&bytes).map_err(|e| defect(format!("not a retraction: {e}")))?;
            return Ok(Read::Retraction(retraction));
        }
        let (bytes, digest, envelope) = if name.ends_with(SIGNED) {
            let envelope = Envelope::from_bytes(&bytes).map_err(|e| defect(e.to_string()))?;
            let payload = envelope.payload().map_err(|e| defect(e.to_string()))?;
            let digest = Digest::of(&payload);
            (payload, digest, Some(envelope))
        } else {
            (bytes, content, None)
        };
        let statement = Statement::from_bytes(&bytes).map_err(|e| defect(e.to_string()))?;
        let end = if envelope.is_some() { SIGNED } else { PLAIN };
        let (folder, expected) = place(&statement, &digest, end);
        if name != expected {
            return Err(defect(format!(
                "its content belongs in {expected}: it was edited after it was written"
            )));
        }
        if file.parent() != Some(folder.as_path()) {
            return Err(defect(format!("its content belongs in {}", folder.display())));
        }
        Ok(Read::Record(Box::new(Stored { file: shown, digest, statement, envelope, retracted: None })))
    }

    /// Writes a record, whole or not at all, and says where. A record that is there already is left alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&self, statement: &Statement, envelope: Option<&Envelope>) -> Result<PathBuf, StoreError> {
        let bytes = statement.to_bytes()?;
        let end = if envelope.is_some() { SIGNED } else { PLAIN };
        let (folder, name) = place(statement, &Digest::of(&bytes), end);
        let path = self.dir.join(folder).join(name);
        if path.exists() {
            return Ok(path);
        }
        let content = envelope.map_or(bytes, Envelope::to_bytes);
        atomic::write(&path, &content).map_err(StoreError::file(&path))?;
        Ok(path)
    }

    /// The record whose digest starts so.
    ///
    /// # Errors
    /// When there is none or several, or the store cannot be listed.
    pub fn find(&self, digest: &str) -> Result<Stored, StoreError> {
        let wanted = digest.strip_prefix("sha256:").unwrap_or(digest).to_lowercase();
        let mut found: Vec<Stored> = self
            .read()?
            .records
            .into_iter()
            .filter(|record| record.digest.hex().starts_with(&wanted))
            .collect();
        let count = found.len();
        match (found.pop(), count) {
            (Some(record), 1) if !wanted.is_empty() => Ok(record),
            _ => Err(StoreError::Digest { digest: digest.to_owned(), found: count }),
        }
    }

    /// Takes a record back. The record stays; a file beside it says that it no longer counts.
    ///
    /// # Errors
    /// When there is no one record of the digest, or the retraction cannot be written.
    pub fn retract(&self, digest: &str, reason: &str, at: &str) -> Result<Stored, StoreError> {
        let record = self.find(digest)?;
        let retraction = Retraction {
            schema: 1,
            retracts: record.digest.hex(),
            reason: reason.to_owned(),
            at: at.to_owned(),
        };
        let bytes = serde_json::to_vec(&retraction).map_err(RecordError::from)?;
        let (folder, name) = place(&record.statement, &record.digest, RETRACTED);
        let path = self.dir.join(folder).join(name);
        atomic::write(&path, &bytes).map_err(StoreError::file(&path))?;
        Ok(record)
    }

    /// Puts a signed record in the place of the same record unsigned.
    ///
    /// # Errors
    /// When the envelope cannot be written or the plain file not removed.
    pub fn sign(&self, record: &Stored, envelope: &Envelope) -> Result<PathBuf, StoreError> {
        let signed = self.add(&record.statement, Some(envelope))?;
        if record.envelope.is_none() {
            let (folder, name) = place(&record.statement, &record.digest, PLAIN);
            let plain = self.dir.join(folder).join(name);
            std::fs::remove_file(&plain).map_err(StoreError::file(&plain))?;
        }
        Ok(signed)
    }
}

impl Store {
    /// Removes a record's file.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn remove(&self, record: &Stored) -> Result<(), StoreError> {
        let relative = record.file.strip_prefix(&self.shown).unwrap_or(&record.file).trim_start_matches('/');
        let path = self.dir.join(relative);
        std::fs::remove_file(&path).map_err(StoreError::file(&path))
    }
}

/// The names in a folder of a store, sorted.
pub(super) struct Entries {
    pub(super) folders: Vec<OsString>,
    pub(super) files: Vec<OsString>,
}

/// A file of a store, read.
pub(super) enum Read {
    /// A record.
    Record(Box<Stored>),
    /// The retraction of one.
    Retraction(Retraction),
}

/// The folder of a record relative to the store, and the name of its file.
fn place(statement: &Statement, digest: &Digest, end: &str) -> (PathBuf, String) {
    let record = &statement.predicate.pv_evidence;
    let folder = folder(&record.contract, &record.falsifier, &record.host.class);
    (folder, format!("{}{end}", file_stem(&record.started, digest)))
}

/// The folder of a falsifier's records on one host class, relative to the store.
#[must_use]
pub fn folder(contract: &ContractId, falsifier: &FalsifierId, class: &str) -> PathBuf {
    // A class is a key of pv.toml and could hold a separator.
    let class: String =
        class.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    [contract.as_str(), falsifier.as_str(), &class].iter().collect()
}
