//! Files that lie: each is refused, with a message that names what is wrong.

/// A file and what its refusal says.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) says: &'static str,
}

/// A file under construction, field by field.
#[derive(Clone)]
struct Draft(Vec<u8>);

impl Draft {
    /// Magic, version 3 and the two counts.
    fn new(tensors: u64, keys: u64) -> Self {
        Self(b"GGUF\x03\0\0\0".to_vec()).u64(tensors).u64(keys)
    }
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    fn u32(self, v: u32) -> Self {
        self.bytes(&v.to_le_bytes())
    }
    fn u64(self, v: u64) -> Self {
        self.bytes(&v.to_le_bytes())
    }
    fn text(self, v: &str) -> Self {
        self.u64(v.len() as u64).bytes(v.as_bytes())
    }
    fn key(self, name: &str, kind: u32) -> Self {
        self.text(name).u32(kind)
    }
    fn tensor(self, name: &str, dims: &[u64], format: u32, offset: u64) -> Self {
        let named = self.text(name).u32(dims.len() as u32);
        dims.iter().fold(named, |d, &n| d.u64(n)).u32(format).u64(offset)
    }
    /// Fills up to the data section and adds `n` bytes of it.
    fn data(mut self, n: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(32) + n, 0);
        self
    }
}

const F32: u32 = 0;
const Q4_K: u32 = 12;
const U8: u32 = 0;
const U32: u32 = 4;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Every case.
pub(crate) fn hostile() -> Vec<Case> {
    let header = |magic: &[u8], version: u32| Draft(magic.to_vec()).u32(version).u64(0).u64(0).data(64);
    let one = |dims: &[u64], format, offset| Draft::new(1, 0).tensor("w", dims, format, offset).data(64);
    let nested = |depth: usize| {
        let key = Draft::new(0, 1).key("k", ARRAY);
        (0..depth).fold(key, |d, _| d.u32(ARRAY).u64(1)).u32(U8).u64(1).bytes(&[0]).data(64)
    };
    let mut cases: Vec<(&str, Draft, &str)> = vec![
        ("empty", Draft(vec![]), "truncated at byte 0: the header needs 4 more bytes, the file has 0 left"),
        ("magic alone", Draft(b"GGUF".to_vec()), "truncated at byte 4: the header"),
        ("wrong magic", header(b"GGML", 3), "not a GGUF file"),
        ("text", Draft(b"version https://git-lfs".to_vec()), "not a GGUF file"),
        ("version 0", header(b"GGUF", 0), "GGUF version 0 is not supported, expected one of [2, 3]"),
        ("version 1", header(b"GGUF", 1), "GGUF version 1 is not supported, expected one of [2, 3]"),
        ("version 4", header(b"GGUF", 4), "GGUF version 4 is not supported"),
        ("big endian", header(b"GGUF", 3_u32.swap_bytes()), "big-endian"),
        ("tensor count", Draft::new(u64::MAX, 0).data(64), "the tensor count announces 18446744073709551615"),
        ("tensor count, modest", Draft::new(1 << 24, 0).data(64), "the tensor count announces 16777216"),
        ("key count", Draft::new(0, u64::MAX / 13).data(64), "the metadata count announces"),
        ("key length", Draft::new(0, 1).u64(u64::MAX).data(64), "metadata key 0 needs 18446744073709551615"),
        ("key length, wrapping", Draft::new(0, 1).u64(u64::MAX - 31).data(64), "metadata key 0 needs"),
        (
            "key not text",
            Draft::new(0, 1).u64(2).bytes(&[b'a', 0xFF]).data(64),
            "key 0 is not UTF-8 at byte 33",
        ),
        ("value type", Draft::new(0, 1).key("k", 13).data(64), "'k' has unknown value type 13"),
        (
            "string length",
            Draft::new(0, 1).key("k", STRING).u64(1 << 40).data(64),
            "the value of metadata key 'k'",
        ),
        ("string not text", Draft::new(0, 1).key("k", STRING).u64(1).bytes(&[0x80]).data(64), "is not UTF-8"),
        ("truth value", Draft::new(0, 1).key("k", BOOL).bytes(&[2]).data(64), "'k' is a bool of value 2"),
        ("array type", Draft::new(0, 1).key("k", ARRAY).u32(99).u64(0).data(64), "unknown value type 99"),
        ("array length", Draft::new(0, 1).key("k", ARRAY).u32(U8).u64(u64::MAX).data(64), "announces 184467"),
        (
            "array of text",
            Draft::new(0, 1).key("k", ARRAY).u32(STRING).u64(99).data(64),
            "announces 99 entries",
        ),
        (
            "array length, wrapping",
            Draft::new(0, 1).key("k", ARRAY).u32(U32).u64(1 << 62).data(64),
            "announces",
        ),
        ("nested arrays", nested(4), "'k' nests arrays deeper than 4"),
        ("nested arrays, many", nested(10_000), "'k' nests arrays deeper than 4"),
        (
            "key twice",
            Draft::new(0, 2).key("k", U8).bytes(&[0]).key("k", U8).bytes(&[0]).data(64),
            "metadata key 'k' occurs twice",
        ),
        (
            "alignment 0",
            Draft::new(0, 1).key("general.alignment", U32).u32(0).data(64),
            "'general.alignment' is u32 0, expected a u32 that is a power of two",
        ),
        (
            "alignment of text",
            Draft::new(0, 1).key("general.alignment", STRING).text("32").data(64),
            "'general.alignment' is string '32'",
        ),
        (
            "alignment, huge",
            Draft::new(1, 1).key("general.alignment", U32).u32(1 << 31).tensor("w", &[1], F32, 0).data(64),
            "tensor 'w' needs 4 bytes from byte 2147483648",
        ),
        ("tensor name", Draft::new(1, 0).u64(1 << 50).data(64), "the name of tensor 0 needs"),
        ("no axes", one(&[], F32, 0), "tensor 'w' has 0 axes, expected 1 to 4"),
        ("five axes", one(&[1, 1, 1, 1, 1], F32, 0), "tensor 'w' has 5 axes"),
        ("axis count", Draft::new(1, 0).text("w").u32(u32::MAX).data(64), "tensor 'w' has 4294967295 axes"),
        ("empty axis", one(&[4, 0], F32, 0), "tensor 'w' of shape [4, 0] has an axis of length 0"),
        ("size wraps", one(&[1 << 32, 1 << 32], F32, 0), "is larger than the address space"),
        ("size wraps to fit", one(&[1 << 62, 4, 4], F32, 0), "is larger than the address space"),
        ("bytes wrap", one(&[1 << 62], F32, 0), "is larger than the address space"),
        ("half a block", one(&[128], Q4_K, 0), "rows of 128 weights, expected a multiple of 256 for Q4_K"),
        ("unknown type", one(&[4], 4, 0), "tensor 'w' has type 4, expected one of F32 F16 Q4_0"),
        ("named type", one(&[4], 16, 0), "tensor 'w' has type 16 (IQ2_XXS), expected one of"),
        ("off alignment", one(&[4], F32, 4), "tensor 'w' has offset 4, expected a multiple of 32"),
        (
            "past the end",
            one(&[17], F32, 0),
            "tensor 'w' needs 68 bytes from byte 64, the file has 128 bytes",
        ),
        ("far past the end", one(&[1], F32, 1 << 40), "tensor 'w' needs 4 bytes from byte"),
        ("offset wraps", one(&[1], F32, u64::MAX - 31), "tensor 'w' needs 4 bytes"),
        (
            "overlap",
            Draft::new(2, 0).tensor("a", &[16], F32, 0).tensor("b", &[8], F32, 32).data(64),
            "tensors 'a' and 'b' overlap",
        ),
        (
            "tensor twice",
            Draft::new(2, 0).tensor("a", &[8], F32, 0).tensor("a", &[8], F32, 32).data(64),
            "tensor 'a' occurs twice",
        ),
        (
            "name of control characters",
            Draft::new(1, 0).tensor("\u{1b}[2J\n", &[4], 99, 0).data(64),
            r"tensor '\u{1b}[2J\n' has type 99",
        ),
    ];
    let long = "x".repeat(100_000);
    cases.push(("long name", Draft::new(1, 0).tensor(&long, &[4], 99, 0).data(64), "xxx...' has type 99"));
    cases.into_iter().map(|(name, draft, says)| Case { name, bytes: draft.0, says }).collect()
}
