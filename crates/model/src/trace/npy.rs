//! One NumPy file for each tensor: version 1.0 of the format, C order.

use super::Error;
use super::manifest::{Dtype, Entry};
use super::plan::Planned;
use super::store::{Files, Reader, Values, Writer, bytes_of, file_of};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// Headers are padded so that the elements start at a multiple of this.
const ALIGN: usize = 64;

fn header(dtype: Dtype, shape: &[usize]) -> Vec<u8> {
    let descr = match dtype {
        Dtype::F32 => "<f4",
        Dtype::I32 => "<i4",
    };
    let lengths: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({lengths}), }}");
    let used = MAGIC.len() + 2 + text.len() + 1;
    let padding = used.next_multiple_of(ALIGN) - used;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(((text.len() + padding + 1) as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len() + padding, b' ');
    bytes.push(b'\n');
    bytes
}

/// Writes headers; elements are appended to files opened again each time, because there may be more files than a process
/// may hold open.
pub(super) fn create(folder: &Path, tensors: &[Planned]) -> Result<Box<dyn Writer>, Error> {
    let mut paths = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let name = format!("{}.npy", tensor.site);
        let path = folder.join(&name);
        let write = || File::create(&path)?.write_all(&header(tensor.dtype, &tensor.shape));
        write().map_err(Error::io(&path))?;
        paths.push((path, name));
    }
    Ok(Box::new(Npy { paths }))
}

struct Npy {
    paths: Vec<(PathBuf, String)>,
}

impl Writer for Npy {
    fn append(&mut self, index: usize, values: Values<'_>) -> Result<(), Error> {
        let (path, _) = &self.paths[index];
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
    // The manifest states type and shape; a file that says otherwise is not the one it was made for.
    let header = header(entry.dtype, &entry.shape);
    let Some(elements) = bytes.strip_prefix(&header[..]) else {
        let (dtype, shape) = (entry.dtype, &entry.shape);
        return Err(Error::corrupt(&path, format!("does not start with the header of {dtype:?} {shape:?}")));
    };
    let expected = bytes_of(entry);
    if Some(elements.len()) != expected {
        let (found, expected) = (elements.len(), expected.unwrap_or(usize::MAX));
        return Err(Error::corrupt(&path, format!("holds {found} bytes of elements, expected {expected}")));
    }
    Ok(elements.to_vec())
}
