//! A small valid file with every type of value and every format of weight.

use model::gguf::{Array, Layout, Metadata, Spec, Value};
use model::quant::{FORMATS, Format};

/// Metadata and tensors of the sample.
pub(crate) fn sample() -> (Metadata, Vec<Spec>) {
    let mut m = Metadata::default();
    m.set("general.architecture", Value::String("sample".into()));
    m.set("general.alignment", Value::U32(64));
    m.set("u8", Value::U8(u8::MAX));
    m.set("i8", Value::I8(i8::MIN));
    m.set("u16", Value::U16(u16::MAX));
    m.set("i16", Value::I16(i16::MIN));
    m.set("i32", Value::I32(i32::MIN));
    m.set("f32", Value::F32(f32::MIN_POSITIVE));
    m.set("bool", Value::Bool(true));
    m.set("u64", Value::U64(u64::MAX));
    m.set("i64", Value::I64(i64::MIN));
    m.set("f64", Value::F64(f64::INFINITY));
    let nested = Array::Array(vec![Array::U8(vec![1, 2]), Array::String(vec![String::new(), "é".into()])]);
    for (name, array) in [
        ("u8", Array::U8(vec![0, 1])),
        ("i8", Array::I8(vec![-1])),
        ("u16", Array::U16(vec![3])),
        ("i16", Array::I16(vec![-3])),
        ("u32", Array::U32(vec![4])),
        ("i32", Array::I32(vec![-4])),
        ("f32", Array::F32(vec![0.5])),
        ("bool", Array::Bool(vec![true, false])),
        ("string", Array::String(vec!["a".into(), "\n".into()])),
        ("array", nested),
        ("u64", Array::U64(vec![5])),
        ("i64", Array::I64(vec![-5])),
        ("f64", Array::F64(vec![0.25])),
        ("empty", Array::F32(vec![])),
    ] {
        m.set(format!("array.{name}"), Value::Array(array));
    }
    let mut specs: Vec<Spec> = FORMATS
        .iter()
        .map(|row| Spec { name: format!("t.{}", row.name), dims: vec![256], format: row.format })
        .collect();
    specs.push(Spec { name: "experts".into(), dims: vec![32, 3, 2, 5], format: Format::Q8_0 });
    (m, specs)
}

/// The bytes of a file, its weights all 0xA5.
pub(crate) fn file(metadata: &Metadata, specs: &[Spec]) -> Vec<u8> {
    let layout = Layout::new(metadata, specs).unwrap();
    let mut bytes = layout.header;
    bytes.resize(layout.len, 0xA5);
    bytes
}

/// Numbers that are the same on every run: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `n`; the bias is of no account for damage.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) % n as u64) as usize
    }
}
