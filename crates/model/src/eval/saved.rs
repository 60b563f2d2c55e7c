//! Logits of every position of a text in one safetensors file: `tokens`, U32 `[n]`, and `logits`, F32 `[n, vocab]`. Its
//! metadata says `window`, the tokens of a window, which logits depend on.

use crate::Error;
use crate::mapped::Mapped;
use crate::trace::free_bytes;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What saved logits are of, as the file's metadata; all but `window` is there for people.
pub type About = BTreeMap<String, String>;

const TOKENS: &str = "tokens";
const LOGITS: &str = "logits";
const WINDOW: &str = "window";

fn refused(path: &Path, what: impl Into<String>) -> Error {
    Error::Logits { path: path.to_owned(), what: what.into() }
}

/// A file being written under another name beside its own. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    target: PathBuf,
    file: BufWriter<NamedTempFile>,
    /// Bytes of logits that are still to come.
    left: u64,
}

impl Writer {
    /// Starts the file of `tokens` with a vocabulary of `vocab`. One that is there is replaced with `force` alone.
    ///
    /// # Errors
    /// When it may not be written, or does not fit on the disk.
    pub fn create(
        target: &Path,
        force: bool,
        tokens: &[u32],
        vocab: usize,
        window: usize,
        about: &About,
    ) -> Result<Self, Error> {
        if target.exists() && !force {
            return Err(refused(target, "is there already, --force replaces it"));
        }
        let io = |source| Error::Io { path: target.to_owned(), source };
        let (named, left) = (4 * tokens.len() as u64, 4 * (tokens.len() * vocab) as u64);
        if let Some(free) = free_bytes(target).filter(|free| *free < left) {
            return Err(refused(target, format!("takes {left} bytes, the disk has {free}")));
        }
        let mut about = about.clone();
        about.insert(WINDOW.to_owned(), window.to_string());
        let place = |dtype: &str, shape: &[usize], bytes: Range<u64>| serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [bytes.start, bytes.end]});
        let header = serde_json::json!({
            "__metadata__": about,
            TOKENS: place("U32", &[tokens.len()], 0..named),
            LOGITS: place("F32", &[tokens.len(), vocab], named..named + left),
        });
        let mut header = header.to_string().into_bytes();
        // The format pads with spaces; 8 bytes align the elements.
        header.resize(header.len().next_multiple_of(8), b' ');
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || {
            let mut file = BufWriter::new(NamedTempFile::new_in(folder)?);
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(&header)?;
            for token in tokens {
                file.write_all(&token.to_le_bytes())?;
            }
            Ok(file)
        };
        Ok(Self { target: target.to_owned(), file: write().map_err(io)?, left })
    }

    /// Appends rows of logits.
    ///
    /// # Errors
    /// What the system reports.
    pub fn append(&mut self, logits: &[f32]) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.target.clone(), source };
        for logit in logits {
            self.file.write_all(&logit.to_le_bytes()).map_err(io)?;
        }
        self.left = self.left.saturating_sub(4 * logits.len() as u64);
        Ok(())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When rows are missing, or what the system reports.
    pub fn finish(self) -> Result<(), Error> {
        let Self { target, file, left } = self;
        if left > 0 {
            return Err(refused(&target, format!("{left} bytes of logits are missing")));
        }
        let io = |source| Error::Io { path: target.clone(), source };
        let file = file.into_inner().map_err(|e| io(e.into_error()))?;
        permit(file.as_file()).map_err(io)?;
        file.persist(&target).map_err(|e| io(e.error))?;
        Ok(())
    }
}

/// Temporary files are private; this one becomes an ordinary one.
fn permit(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

/// Logits that were saved, mapped.
#[derive(Debug)]
pub struct Saved {
    map: Mapped,
    tokens: Vec<u32>,
    logits: Range<usize>,
    vocab: usize,
    window: usize,
}

impl Saved {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, or is none of saved logits.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let map = Mapped::open(path)?;
        let refuse = |what: String| refused(path, what);
        let read = |e| refuse(format!("is no safetensors file: {e}"));
        let (_, header) = SafeTensors::read_metadata(&map).map_err(read)?;
        let tensors = SafeTensors::deserialize(&map).map_err(read)?;
        let get = |name: &str, dtype: Dtype, axes: usize| {
            let tensor = tensors.tensor(name);
            let tensor = tensor
                .map_err(|_| refuse(format!("holds no tensor '{name}', expected {TOKENS} and {LOGITS}")))?;
            if tensor.dtype() != dtype || tensor.shape().len() != axes {
                let (found, shape) = (tensor.dtype(), tensor.shape());
                return Err(refuse(format!(
                    "'{name}' is {found:?} {shape:?}, expected {dtype:?} of {axes} axes"
                )));
            }
            Ok(tensor)
        };
        let (ids, logits) = (get(TOKENS, Dtype::U32, 1)?, get(LOGITS, Dtype::F32, 2)?);
        let tokens: Vec<u32> = ids.data().as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        let (n, vocab) = (logits.shape()[0], logits.shape()[1]);
        if n != tokens.len() || n == 0 || vocab == 0 {
            let found = tokens.len();
            return Err(refuse(format!(
                "has {found} tokens and logits {:?}, expected [tokens, vocabulary]",
                [n, vocab]
            )));
        }
        let about = header.metadata().as_ref();
        let window = about.and_then(|m| m.get(WINDOW));
        let Some(window) = window.and_then(|w| w.parse().ok()).filter(|w| *w > 0) else {
            let found = window.map_or("none".to_owned(), |w| format!("'{w}'"));
            return Err(refuse(format!("metadata '{WINDOW}': {found}, expected the tokens of a window")));
        };
        let start = logits.data().as_ptr() as usize - map.as_ptr() as usize;
        let logits = start..start + logits.data().len();
        Ok(Self { tokens, logits, vocab, window, map })
    }

    /// The text.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Tokens of a window.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window
    }

    /// Whether it is of a model with such a vocabulary.
    ///
    /// # Errors
    /// When it is not.
    pub fn fits(&self, vocab: usize) -> Result<(), Error> {
        if self.vocab == vocab {
            return Ok(());
        }
        let found = self.vocab;
        Err(refused(
            self.map.path(),
            format!("has logits of {found} tokens, the model's vocabulary is {vocab}"),
        ))
    }

    /// The logits after one token of the text, `[vocab]`, in place of what `row` holds.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn row(&self, at: usize, row: &mut Vec<f32>) -> Result<(), Error> {
        let bytes = 4 * self.vocab;
        let logits = self.map.get(self.logits.clone()).unwrap_or_default();
        let Some(found) = at.checked_mul(bytes).and_then(|start| logits.get(start..start + bytes)) else {
            let tokens = self.tokens.len();
            return Err(refused(self.map.path(), format!("has {tokens} tokens, none at {at}")));
        };
        row.clear();
        row.extend(found.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        Ok(())
    }
}
