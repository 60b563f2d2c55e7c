//! The GGUF container: metadata and the places of tensors, read from a slice of bytes.
//!
//! A file is parsed once and completely; what comes out holds together: names are unique, every tensor has whole blocks
//! and lies inside the file, on its alignment, apart from the others. No length field is believed before it was compared
//! with the bytes that are left, so a hostile file costs memory in proportion to its own size and never a panic.
//! This module knows no model: which keys and tensors there should be is for others to say.

mod cursor;
mod error;
mod layout;
mod value;

pub(crate) use error::Quoted;
pub use error::{Error, KeyError};
pub use layout::{Layout, Spec};
pub use value::{Array, Decode, Metadata, Type, Value};

use crate::quant::Format;
use cursor::{Cursor, What};
use fault::fault;
use std::collections::HashMap;
use std::ops::Range;

/// The four bytes a file starts with.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The versions that are read. Version 1 had 32-bit lengths and died out; the versions above differ in byte order only.
pub const VERSIONS: [u32; 2] = [2, 3];
/// The alignment of tensors when the file does not name one.
pub const DEFAULT_ALIGNMENT: u32 = 32;
/// The metadata key that names another.
pub const ALIGNMENT_KEY: &str = "general.alignment";

/// The contents of a GGUF file, apart from the weights themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// The version field: 2 or 3.
    pub version: u32,
    /// Every tensor starts at a multiple of this from the start of the data.
    pub alignment: u32,
    /// Where the data section starts.
    pub data_start: usize,
    /// The metadata, in the file's order.
    pub metadata: Metadata,
    /// The tensors, in the file's order.
    pub tensors: Vec<Tensor>,
    by_name: HashMap<String, usize>,
}

/// A tensor's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, unique in the file.
    pub name: String,
    /// Its lengths, contiguous axis first, as the file has them: 1 to 4 of them, none 0.
    pub dims: Vec<usize>,
    /// Its format.
    pub format: Format,
    /// Where its bytes lie in the file.
    pub bytes: Range<usize>,
}

impl Tensor {
    /// Length of the contiguous axis.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.dims[0]
    }
    /// Length of the second axis; 1 for a vector.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.dims.get(1).copied().unwrap_or(1)
    }
    /// How many matrices: the product of the remaining axes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.dims.iter().skip(2).product()
    }
    /// How many weights.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.dims.iter().product()
    }
}

impl File {
    /// Reads the header, the metadata and the tensor descriptions of a whole file.
    ///
    /// # Errors
    /// The first thing that does not hold together, with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        let magic = cursor.array::<4>(What::Header)?;
        if magic != MAGIC {
            return Err(Error::Magic { found: magic });
        }
        let version = cursor.u32(What::Header)?;
        if !VERSIONS.contains(&version) && !fault!("gguf-version-ignored") {
            return Err(match VERSIONS.contains(&version.swap_bytes()) {
                true => Error::BigEndian,
                false => Error::Version { found: version },
            });
        }
        // The least a tensor description takes: name length, axis count, one axis, type, offset. The least a metadata
        // entry takes: key length, type, one byte.
        let tensor_count = cursor.count(What::TensorCount, 8 + 4 + 8 + 4 + 8)?;
        let key_count = cursor.count(What::KeyCount, 8 + 4 + 1)?;
        let metadata = Metadata::parse(&mut cursor, key_count)?;
        let alignment = alignment(&metadata)?;
        // Grows as descriptions are read; room for a number that the file merely names would be the file's to choose.
        let mut raw = if fault!("gguf-trust-count") { Vec::with_capacity(1 << 20) } else { Vec::new() };
        for index in 0..tensor_count {
            raw.push(Raw::parse(&mut cursor, index)?);
        }
        let align = u64::from(alignment);
        let data_start = (cursor.at() as u64).next_multiple_of(align);
        let tensors = raw
            .into_iter()
            .map(|t| t.place(data_start, align, bytes.len()))
            .collect::<Result<Vec<_>, _>>()?;
        let by_name = index(&tensors)?;
        apart(&tensors)?;
        // Without tensors a file may end before its data section would start.
        let data_start = data_start.min(bytes.len() as u64) as usize;
        Ok(Self { version, alignment, data_start, metadata, tensors, by_name })
    }

    /// The tensor of that name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.by_name.get(name).map(|&i| &self.tensors[i])
    }
}

/// A tensor description as it stands in the file, its offset still relative to the data section.
struct Raw {
    name: String,
    dims: Vec<u64>,
    format: Format,
    offset: u64,
}

impl Raw {
    fn parse(cursor: &mut Cursor<'_>, index: u64) -> Result<Self, Error> {
        let name = cursor.string(What::TensorName(index))?;
        let what = What::Tensor(&name);
        let axes = cursor.u32(what)?;
        if !(1..=4).contains(&axes) {
            return Err(Error::Axes { tensor: name, found: axes });
        }
        let dims = (0..axes).map(|_| cursor.u64(what)).collect::<Result<Vec<_>, _>>()?;
        let id = cursor.u32(what)?;
        let offset = cursor.u64(what)?;
        let Some(format) = Format::from_id(id) else {
            return Err(Error::Format { tensor: name, id });
        };
        Ok(Self { name, dims, format, offset })
    }

    /// Checks shape, format, offset and file length against each other.
    fn place(self, data_start: u64, align: u64, file_len: usize) -> Result<Tensor, Error> {
        let Self { name, dims, format, offset } = self;
        if dims.contains(&0) {
            return Err(Error::Empty { tensor: name, dims });
        }
        let sizes = dims.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>();
        let product = |s: &[usize]| s.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        let wrapped = |s: &[usize]| s.iter().copied().reduce(usize::wrapping_mul);
        let weights =
            sizes.as_deref().and_then(|s| if fault!("gguf-size-wraps") { wrapped(s) } else { product(s) });
        let (Some(sizes), Some(weights)) = (sizes, weights) else {
            return Err(Error::TooLarge { tensor: name, dims });
        };
        let cols = sizes[0];
        if !cols.is_multiple_of(format.row().block) {
            return Err(Error::Blocks { tensor: name, format, cols });
        }
        let Some(len) = format.row_bytes(cols).and_then(|row| row.checked_mul(weights / cols)) else {
            return Err(Error::TooLarge { tensor: name, dims });
        };
        if !offset.is_multiple_of(align) {
            return Err(Error::Misaligned { tensor: name, offset, alignment: align });
        }
        let start = data_start.checked_add(offset).and_then(|s| usize::try_from(s).ok());
        let range = start.and_then(|s| Some(s..s.checked_add(len)?));
        match range {
            Some(range) if range.end <= file_len || fault!("gguf-skip-bounds") => {
                Ok(Tensor { name, dims: sizes, format, bytes: range })
            }
            _ => {
                Err(Error::PastEnd { tensor: name, start: data_start.saturating_add(offset), len, file_len })
            }
        }
    }
}

/// The alignment that the metadata names, or the default.
fn alignment(metadata: &Metadata) -> Result<u32, Error> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(_) if fault!("gguf-alignment-ignored") => Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(a)) if a.is_power_of_two() => Ok(*a),
        Some(other) => Err(Error::Alignment { found: other.to_string() }),
    }
}

/// The place of each name; no name occurs twice.
fn index(tensors: &[Tensor]) -> Result<HashMap<String, usize>, Error> {
    let mut by_name = HashMap::with_capacity(tensors.len());
    for (i, tensor) in tensors.iter().enumerate() {
        if by_name.insert(tensor.name.clone(), i).is_some() && !fault!("gguf-duplicates-kept") {
            return Err(Error::DuplicateTensor { tensor: tensor.name.clone() });
        }
    }
    Ok(by_name)
}

/// No two tensors share bytes.
fn apart(tensors: &[Tensor]) -> Result<(), Error> {
    let mut order: Vec<&Tensor> = tensors.iter().collect();
    order.sort_by_key(|t| t.bytes.start);
    match order.windows(2).find(|w| w[1].bytes.start < w[0].bytes.end) {
        Some(w) => Err(Error::Overlap { first: w[0].name.clone(), second: w[1].name.clone() }),
        None => Ok(()),
    }
}
