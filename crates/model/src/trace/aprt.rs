//! One APRT file for each tensor: `APRT`, the layer, the number of elements, then f32, all little-endian.
//!
//! The header has no shape, no type and no name; those stand in the manifest. Files lie at `layer-<N>/<stage>.bin` and
//! `<stage>.bin`.

use super::Error;
use super::manifest::{Dtype, Entry};
use super::plan::Planned;
use super::store::{Files, Reader, Values, Writer, bytes_of, file_of};
use crate::stage::Site;
use fault::fault;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 4] = b"APRT";
/// The layer of tensors that belong to none.
const WHOLE_MODEL: u32 = u32::MAX;
const HEADER: usize = 12;

fn layer(site: Site) -> u32 {
    let whole = if fault!("aprt-whole-model-as-layer-0") { 0 } else { WHOLE_MODEL };
    site.layer.map_or(whole, |l| l as u32)
}

pub(super) fn create(folder: &Path, tensors: &[Planned]) -> Result<Box<dyn Writer>, Error> {
    let mut paths = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let Site { layer: of, stage } = tensor.site;
        let name = match of {
            Some(layer) => format!("layer-{layer}/{stage}.bin"),
            None => format!("{stage}.bin"),
        };
        let path = folder.join(&name);
        let count = u32::try_from(tensor.bytes() / 4)
            .map_err(|_| Error::corrupt(&path, "has more elements than the format can count"))?;
        let write = || {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let mut file = File::create(&path)?;
            file.write_all(MAGIC)?;
            file.write_all(&layer(tensor.site).to_le_bytes())?;
            file.write_all(&count.to_le_bytes())
        };
        write().map_err(Error::io(&path))?;
        paths.push((path, name));
    }
    Ok(Box::new(Aprt { paths }))
}

struct Aprt {
    paths: Vec<(PathBuf, String)>,
}

impl Writer for Aprt {
    fn append(&mut self, index: usize, values: Values<'_>) -> Result<(), Error> {
        let (path, _) = &self.paths[index];
        let numbers: Vec<f32>;
        let values = match values {
            Values::F32(_) => values,
            // The format knows f32 only; expert ids are small enough to be exact.
            Values::I32(ids) => {
                numbers = ids.iter().map(|&id| id as f32).collect();
                Values::F32(&numbers)
            }
        };
        let write = || OpenOptions::new().append(true).open(path)?.write_all(values.bytes());
        write().map_err(Error::io(path))
    }

    fn file(&self, index: usize) -> String {
        self.paths[index].1.clone()
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) fn open(folder: &Path) -> Arc<dyn Reader> {
    Arc::new(Files { folder: folder.to_owned(), read })
}

fn read(folder: &Path, entry: &Entry) -> Result<Vec<u8>, Error> {
    let path = file_of(folder, entry)?;
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    let file = parse(&bytes).map_err(|what| Error::corrupt(&path, what))?;
    let expected = bytes_of(entry);
    if Some(file.elements.len()) != expected {
        let (found, expected) = (file.elements.len() / 4, expected.unwrap_or(usize::MAX) / 4);
        return Err(Error::corrupt(&path, format!("holds {found} elements, expected {expected}")));
    }
    let of = entry.site().map(layer);
    if of.is_some_and(|of| of != file.layer) {
        let what = format!("is of layer {}, expected that of '{}'", file.layer, entry.key);
        return Err(Error::corrupt(&path, what));
    }
    Ok(match entry.dtype {
        Dtype::F32 => file.elements.to_vec(),
        Dtype::I32 => {
            let numbers = file.elements.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            numbers.flat_map(|v| (v as i32).to_le_bytes()).collect()
        }
    })
}

/// The elements of a file's bytes.
///
/// # Errors
/// What is wrong with them.
pub fn aprt_values(bytes: &[u8]) -> Result<Vec<f32>, String> {
    Ok(parse(bytes)?.elements.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// A file taken apart.
struct Parsed<'a> {
    layer: u32,
    /// f32, little-endian.
    elements: &'a [u8],
}

fn parse(bytes: &[u8]) -> Result<Parsed<'_>, String> {
    let Some((header, elements)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(format!("has {} bytes, expected a header of {HEADER}", bytes.len()));
    };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if !header.starts_with(MAGIC) {
        return Err(format!("starts with {:02x?}, expected {MAGIC:02x?} (\"APRT\")", &header[..4]));
    }
    let count = word(8) as usize;
    if elements.len() != count * 4 {
        return Err(format!("announces {count} elements, holds {} bytes of them", elements.len()));
    }
    Ok(Parsed { layer: word(4), elements })
}
