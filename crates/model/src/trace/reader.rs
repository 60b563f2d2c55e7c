//! An opened recording.

use super::checksum::Checksum;
use super::manifest::{Dtype, Entry, MANIFEST, Manifest, SCHEMA};
use super::store::Reader;
use super::{Error, similar};
use crate::stage::{Site, Stage};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A recording on disk, its manifest read and checked.
#[derive(Debug, Clone)]
pub struct Trace {
    path: PathBuf,
    manifest: Manifest,
    /// None when only statistics were kept.
    reader: Option<Arc<dyn Reader>>,
}

impl Trace {
    /// Opens a recording's folder.
    ///
    /// # Errors
    /// When there is no manifest, or it does not hold together.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = path.join(MANIFEST);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && path.is_dir() => {
                return Err(Error::NoManifest { path: path.to_owned() });
            }
            Err(e) => return Err(Error::io(file)(e)),
        };
        let corrupt = |what: String| Error::corrupt(&file, what);
        // The version first: another one's fields are not ours to judge.
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| corrupt(e.to_string()))?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(n) if n == u64::from(SCHEMA) => {}
            Some(n) => return Err(corrupt(format!("has schema {n}, expected {SCHEMA}"))),
            None => return Err(corrupt(format!("has no schema, expected {SCHEMA}"))),
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(|e| corrupt(e.to_string()))?;
        let [first, end] = manifest.positions;
        if first > end || end > manifest.tokens.len() || manifest.prompt_tokens > manifest.tokens.len() {
            let (prompt, n) = (manifest.prompt_tokens, manifest.tokens.len());
            return Err(corrupt(format!(
                "has positions {first}..{end} and a prompt of {prompt}, expected parts of its {n} tokens"
            )));
        }
        let positions = end - first;
        if let Some(entry) = manifest.tensors.iter().find(|t| t.shape.first() != Some(&positions)) {
            let (key, shape) = (&entry.key, &entry.shape);
            return Err(corrupt(format!("'{key}' has shape {shape:?}, expected {positions} positions")));
        }
        let reader = manifest.format.map(|format| format.open(path));
        Ok(Self { path: path.to_owned(), manifest, reader })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The entry of a key.
    ///
    /// # Errors
    /// When there is none.
    pub fn entry(&self, key: &str) -> Result<&Entry, Error> {
        self.manifest.entry(key).ok_or_else(|| Error::NoTensor {
            path: self.path.clone(),
            key: key.to_owned(),
            similar: similar(key, self.manifest.tensors.iter().map(|t| t.key.as_str())).map(str::to_owned),
        })
    }

    /// A tensor's elements, expert ids as numbers.
    ///
    /// # Errors
    /// When there is none of that key, only its statistics were kept, or its file does not hold together.
    pub fn values(&self, key: &str) -> Result<Vec<f32>, Error> {
        let entry = self.entry(key)?;
        let bytes = self.bytes(entry)?;
        let words = bytes.as_chunks::<4>().0.iter();
        Ok(match entry.dtype {
            Dtype::F32 => words.map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::I32 => words.map(|b| i32::from_le_bytes(*b) as f32).collect(),
        })
    }

    /// The experts chosen in a layer, `[positions, chosen]`.
    ///
    /// # Errors
    /// As [`Trace::values`]; negative ids.
    pub fn experts(&self, layer: usize) -> Result<Vec<u32>, Error> {
        let key = Site { layer: Some(layer), stage: Stage::MoeRouterIndices }.to_string();
        let entry = self.entry(&key)?;
        let bytes = self.bytes(entry)?;
        let ids = bytes.as_chunks::<4>().0.iter().map(|b| u32::try_from(i32::from_le_bytes(*b)));
        ids.collect::<Result<_, _>>()
            .map_err(|_| Error::corrupt(&self.path, format!("'{key}' holds a negative expert")))
    }

    fn bytes(&self, entry: &Entry) -> Result<Cow<'_, [u8]>, Error> {
        match &self.reader {
            Some(reader) => reader.read(entry),
            None => {
                let what = format!("only the statistics of '{}' were kept", entry.key);
                Err(Error::corrupt(&self.path, what))
            }
        }
    }

    /// Reads every tensor and compares it with the digest in the manifest.
    ///
    /// # Errors
    /// The first that differs or cannot be read.
    pub fn verify(&self) -> Result<(), Error> {
        for entry in &self.manifest.tensors {
            let hash = Checksum::of(&self.bytes(entry)?);
            if hash != entry.hash {
                let (key, expected) = (&entry.key, &entry.hash);
                let what = format!("'{key}' has digest {hash}, expected {expected}");
                return Err(Error::corrupt(&self.path, what));
            }
        }
        Ok(())
    }
}
