//! One safetensors file for all tensors, written while they are made: every length is known beforehand, so the header
//! comes first and each tensor has its place.

use super::Error;
use super::manifest::{Dtype, Entry};
use super::plan::Planned;
use super::store::{Reader, Values, Writer, bytes_of, file_of};
use crate::mapped::Mapped;
use fault::fault;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

const FILE: &str = "trace.safetensors";
/// Headers longer than this are no headers of ours.
const LONGEST: u64 = 1 << 28;
/// Large files have their tensors start at multiples of this as far as their sizes allow: the system then takes many pages
/// at once, in half the time.
const BLOCK: u64 = 1 << 16;

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
    let mut next = vec![0; tensors.len()];
    let mut offset = 0;
    // Those of whole blocks come first, so that the others move none of them.
    let mut order: Vec<_> = tensors.iter().enumerate().collect();
    order.sort_by_key(|(_, t)| Reverse(t.bytes().trailing_zeros().min(BLOCK.trailing_zeros())));
    for (i, tensor) in order {
        let end = offset + tensor.bytes();
        let place = Place { dtype: tensor.dtype, shape: tensor.shape.clone(), data_offsets: [offset, end] };
        let place = serde_json::to_value(place).map_err(|e| Error::corrupt(&path, e))?;
        places.insert(tensor.site.to_string(), place);
        next[i] = offset;
        offset = end;
    }
    let mut header = serde_json::to_vec(&places).map_err(|e| Error::corrupt(&path, e))?;
    // The format pads with spaces; 8 bytes align the elements.
    let align = if offset < 16 * BLOCK { 8 } else { BLOCK as usize };
    header.resize((8 + header.len()).next_multiple_of(align) - 8, b' ');
    let start = 8 + header.len() as u64;
    let write = || -> std::io::Result<File> {
        let mut file = File::create(&path)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        reserve(&file, start + offset)?;
        Ok(file)
    };
    let file = write().map_err(io)?;
    for place in &mut next {
        *place += start;
    }
    Ok(Box::new(Safetensors { path, file, at: start, next }))
}

/// Takes the room on the disk before any work: too little of it is known at once, and the writes are a third quicker.
fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Not every file system can.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(bytes),
        other => Ok(other?),
    }
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

pub(super) fn open(folder: &Path) -> Arc<dyn Reader> {
    Arc::new(Reading { folder: folder.to_owned(), opened: OnceLock::new() })
}

/// The file, mapped and its header read when the first tensor is asked for.
#[derive(Debug)]
struct Reading {
    folder: PathBuf,
    opened: OnceLock<Opened>,
}

#[derive(Debug)]
struct Opened {
    map: Mapped,
    /// Where the elements start.
    start: usize,
    places: HashMap<String, serde_json::Value>,
}

impl Opened {
    fn new(path: &Path) -> Result<Self, Error> {
        let map = Mapped::open(path).map_err(|error| match error {
            crate::Error::Io { path, source } => Error::Io { path, source },
            other => Error::corrupt(path, other),
        })?;
        let corrupt = |what: String| Error::corrupt(path, what);
        let size = map.len() as u64;
        let Some((length, rest)) = map.split_first_chunk::<8>() else {
            return Err(corrupt(format!("has {size} bytes, expected a length of 8")));
        };
        let length = u64::from_le_bytes(*length);
        if length > LONGEST || length > rest.len() as u64 {
            return Err(corrupt(format!("announces a header of {length} bytes, the file has {size}")));
        }
        let start = 8 + length as usize;
        let places = serde_json::from_slice(&map[8..start]).map_err(|e| corrupt(format!("header: {e}")))?;
        Ok(Self { map, start, places })
    }
}

impl Reader for Reading {
    fn read(&self, entry: &Entry) -> Result<Cow<'_, [u8]>, Error> {
        let path = file_of(&self.folder, entry)?;
        let corrupt = |what: String| Error::corrupt(&path, what);
        let opened = match self.opened.get() {
            Some(opened) => opened,
            None => {
                let opened = Opened::new(&path)?;
                self.opened.get_or_init(|| opened)
            }
        };
        let Some(place) = opened.places.get(&entry.key) else {
            return Err(corrupt(format!("holds no tensor '{}'", entry.key)));
        };
        let place =
            Place::deserialize(place).map_err(|e| corrupt(format!("header, '{}': {e}", entry.key)))?;
        let [start, end] = place.data_offsets;
        let data = &opened.map[opened.start..];
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok()).map(|(s, e)| s..e);
        let bytes = range.and_then(|r| data.get(r)).filter(|b| Some(b.len()) == bytes_of(entry));
        match bytes {
            Some(bytes) if place.shape == entry.shape && place.dtype == entry.dtype => {
                Ok(Cow::Borrowed(bytes))
            }
            _ => {
                let (found, expected) = (place.shape, &entry.shape);
                Err(corrupt(format!(
                    "'{}' is {:?} {found:?} at bytes {start}..{end}, expected {:?} {expected:?} inside the file",
                    entry.key, place.dtype, entry.dtype
                )))
            }
        }
    }
}
