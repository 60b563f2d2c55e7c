//! The manifest of a recording: everything about it but the tensors' elements.

use super::stats::Stats;
use super::store::Format;
use crate::stage::{self, Site};
use serde::{Deserialize, Serialize};

/// Its file name; it is written last.
pub const MANIFEST: &str = "manifest.json";
/// The version of its layout.
pub const SCHEMA: u32 = 2;

/// What was recorded, of what, how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Program and version that wrote it.
    pub tool: String,
    /// The model.
    pub model: ModelId,
    /// The device: `cpu`, `cuda`.
    pub backend: String,
    /// The precision: `exact`, `fast`.
    pub precision: String,
    /// Tokens computed: the prompt, then what was decoded.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt.
    pub prompt_tokens: usize,
    /// Positions of the tensors' first axis: first and past the last.
    pub positions: [usize; 2],
    /// Layers of stages that have one: first and past the last.
    pub layers: [usize; 2],
    /// The stages, in the order in which they happen.
    pub stages: Vec<String>,
    /// How the tensors are stored; none when only their statistics were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What was forced or overwritten while it ran; a recording of an undisturbed pass has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interventions: Vec<String>,
    /// The tensors, in the order in which they happen.
    pub tensors: Vec<Entry>,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelId {
    /// Its file's name, without folders.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its contents.
    pub digest: Digest,
    /// `general.architecture`.
    pub architecture: String,
    /// Layers that were run; all of the file's or a prefix of them.
    pub layers: usize,
    /// Experts chosen for a position; 1 for a dense model.
    pub chosen: usize,
}

/// A BLAKE3 digest, `blake3:<64 hex>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The digest of some bytes, by all threads of the machine.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("blake3:{}", blake3::Hasher::new().update_rayon(bytes).finalize().to_hex()))
    }
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `layers.<N>.<stage>` or `<stage>`.
    pub key: String,
    /// Whether the pass made it or it was computed again.
    pub class: Class,
    /// Its lengths, positions first.
    pub shape: Vec<usize>,
    /// `F32` or `I32`.
    pub dtype: Dtype,
    /// The file that holds it, relative to the manifest; none when only its statistics were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The tensor that names the expert of each `[position, rank]`, for stages of experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<String>,
    /// The [`Checksum`](super::Checksum) of its little-endian elements.
    pub hash: String,
    /// Its statistics.
    pub stats: Stats,
}

impl Entry {
    /// The place in the pass; `None` for a name that this version does not know.
    #[must_use]
    pub fn site(&self) -> Option<Site> {
        self.key.parse().ok()
    }
}

/// How a tensor came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The pass made it.
    Made,
    /// Computed again from values of the pass.
    Derived,
}

impl From<stage::Class> for Class {
    fn from(class: stage::Class) -> Self {
        match class {
            stage::Class::Made => Self::Made,
            stage::Class::Derived => Self::Derived,
        }
    }
}

/// The type of a tensor's elements, little-endian, 4 bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dtype {
    /// IEEE single.
    F32,
    /// Signed, for expert ids.
    I32,
}

impl Manifest {
    /// The tensor of that key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.tensors.iter().find(|t| t.key == key)
    }
}
