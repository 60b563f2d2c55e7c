//! One safetensors file for all tensors, written while they are made: every length is known beforehand, so the header
//! comes first and each tensor has its place.

use super::Error;
use super::manifest::{Dtype, Entry};
use super::plan::Planned;
use super::store::{Values, Writer, bytes_of, file_of};
use fault::fault;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "trace.safetensors";
/// Headers longer than this are no headers of ours.
const LONGEST: u64 = 1 << 28;

#[derive(Serialize, Deserialize)]
struct Place {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

pub(super) fn create(folder: &Path, tensors: &[Planned]) -> Result<Box<dyn Writer>, Error> {
    let path = folder.join(FILE);
    let io = Error::io(&path);
    let mut places = serde_json::Map::new();
    let mut next = Vec::with_capacity(tensors.len());
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.bytes();
        let place = Place { dtype: tensor.dtype, shape: tensor.shape.clone(), data_offsets: [offset, end] };
        let place = serde_json::to_value(place).map_err(|e| Error::corrupt(&path, e))?;
        places.insert(tensor.site.to_string(), place);
        next.push(offset);
        offset = end;
    }
    let mut header = serde_json::to_vec(&places).map_err(|e| Error::corrupt(&path, e))?;
    // The format pads with spaces; 8 bytes align the elements.
    header.resize(header.len().next_multiple_of(8), b' ');
    let start = 8 + header.len() as u64;
    let write = || -> std::io::Result<File> {
        let mut file = File::create(&path)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        file.set_len(start + offset)?;
        Ok(file)
    };
    let file = write().map_err(io)?;
    for place in &mut next {
        *place += start;
    }
    Ok(Box::new(Safetensors { path, file, at: start, next }))
}

struct Safetensors {
    path: PathBuf,
    file: File,
    /// Where the file stands.
    at: u64,
    /// Where the next elements of each tensor go.
    next: Vec<u64>,
}

impl Writer for Safetensors {
    fn append(&mut self, index: usize, values: Values<'_>) -> Result<(), Error> {
        let bytes = values.bytes();
        let place = self.next[index];
        let mut write = || {
            if self.at != place {
                self.file.seek(SeekFrom::Start(place))?;
            }
            self.file.write_all(bytes)
        };
        write().map_err(Error::io(&self.path))?;
        // Positions of later passes would overwrite those of earlier ones.
        self.next[index] += if fault!("trace-decode-overwrites") { 0 } else { bytes.len() as u64 };
        self.at = place + bytes.len() as u64;
        Ok(())
    }

    fn file(&self, _: usize) -> String {
        FILE.to_owned()
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) fn read(folder: &Path, entry: &Entry) -> Result<Vec<u8>, Error> {
    let path = file_of(folder, entry)?;
    let mut file = File::open(&path).map_err(Error::io(&path))?;
    let corrupt = |what: String| Error::corrupt(&path, what);
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(Error::io(&path))?;
    let length = u64::from_le_bytes(length);
    let size = file.metadata().map_err(Error::io(&path))?.len();
    if length > LONGEST || length > size.saturating_sub(8) {
        return Err(corrupt(format!("announces a header of {length} bytes, the file has {size}")));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(Error::io(&path))?;
    let mut places: HashMap<String, serde_json::Value> =
        serde_json::from_slice(&header).map_err(|e| corrupt(format!("header: {e}")))?;
    let Some(place) = places.remove(&entry.key) else {
        return Err(corrupt(format!("holds no tensor '{}'", entry.key)));
    };
    let place: Place =
        serde_json::from_value(place).map_err(|e| corrupt(format!("header, '{}': {e}", entry.key)))?;
    let [start, end] = place.data_offsets;
    let bytes = end.checked_sub(start).filter(|_| end <= size - 8 - length);
    if place.shape != entry.shape || place.dtype != entry.dtype || bytes != bytes_of(entry).map(|n| n as u64)
    {
        let (found, expected) = (place.shape, &entry.shape);
        return Err(corrupt(format!(
            "'{}' is {:?} {found:?} at bytes {start}..{end}, expected {:?} {expected:?} inside the file",
            entry.key, place.dtype, entry.dtype
        )));
    }
    file.seek(SeekFrom::Start(8 + length + start)).map_err(Error::io(&path))?;
    let mut bytes = vec![0; (end - start) as usize];
    file.read_exact(&mut bytes).map_err(Error::io(&path))?;
    Ok(bytes)
}
