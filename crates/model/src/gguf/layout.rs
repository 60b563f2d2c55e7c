//! Where everything goes in a file that is yet to be written: the header's bytes and each tensor's range.
//!
//! The weights are left to the caller, who may write them in any order and in parallel. What this lays out is what
//! [`File::parse`](super::File::parse) accepts.

use super::value::{Array, Metadata, Value};
use super::{Error, MAGIC, Raw, Tensor, VERSIONS, alignment, index};
use crate::quant::Format;

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Its lengths, contiguous axis first.
    pub dims: Vec<usize>,
    /// Its format.
    pub format: Format,
}

/// A file's plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The bytes before the data section, padding included.
    pub header: Vec<u8>,
    /// The tensors with their ranges in the file, in the order of the specifications.
    pub tensors: Vec<Tensor>,
    /// Length of the whole file, padding of the last tensor included.
    pub len: usize,
}

impl Layout {
    /// Lays out a file of the newest version.
    ///
    /// # Errors
    /// What [`File::parse`](super::File::parse) would refuse: bad shapes, a name twice, an alignment that is none.
    pub fn new(metadata: &Metadata, specs: &[Spec]) -> Result<Self, Error> {
        let align = u64::from(alignment(metadata)?);
        let mut header = Vec::new();
        header.extend(MAGIC);
        header.extend(VERSIONS[VERSIONS.len() - 1].to_le_bytes());
        header.extend((specs.len() as u64).to_le_bytes());
        header.extend((metadata.iter().len() as u64).to_le_bytes());
        for (key, value) in metadata.iter() {
            text(&mut header, key);
            header.extend((value.kind() as u32).to_le_bytes());
            write(&mut header, value);
        }
        // The offsets depend on the lengths of the tensors alone.
        let mut offset = 0_u64;
        let mut raw = Vec::with_capacity(specs.len());
        for spec in specs {
            let dims: Vec<u64> = spec.dims.iter().map(|&d| d as u64).collect();
            if !(1..=4).contains(&dims.len()) {
                return Err(Error::Axes { tensor: spec.name.clone(), found: dims.len() as u32 });
            }
            text(&mut header, &spec.name);
            header.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|d| header.extend(d.to_le_bytes()));
            header.extend(spec.format.row().id.to_le_bytes());
            header.extend(offset.to_le_bytes());
            let tensor = Raw { name: spec.name.clone(), dims, format: spec.format, offset };
            let placed = tensor.place(0, align, usize::MAX)?;
            offset = (placed.bytes.end as u64).next_multiple_of(align);
            raw.push(placed);
        }
        index(&raw)?;
        header.resize(header.len().next_multiple_of(align as usize), 0);
        let start = header.len();
        let tensors = raw
            .into_iter()
            .map(|t| Tensor { bytes: t.bytes.start + start..t.bytes.end + start, ..t })
            .collect();
        Ok(Self { header, tensors, len: start + offset as usize })
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(v) => out.extend(v.to_le_bytes()),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push((*v).into()),
        Value::String(v) => text(out, v),
        Value::Array(v) => array(out, v),
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
    }
}

fn array(out: &mut Vec<u8>, array: &Array) {
    out.extend((array.kind() as u32).to_le_bytes());
    out.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::U8(v) => out.extend(v),
        Array::I8(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::U16(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I16(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::U32(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I32(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::F32(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::Bool(v) => v.iter().for_each(|&x| out.push(x.into())),
        Array::String(v) => v.iter().for_each(|x| text(out, x)),
        Array::Array(v) => v.iter().for_each(|x| self::array(out, x)),
        Array::U64(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I64(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::F64(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
    }
}
