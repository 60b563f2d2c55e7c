//! What tensors are known by: equal bits have equal checksums, and a file that was damaged has another.

use std::hash::Hasher as _;
use twox_hash::XxHash3_64;

/// The 64 bits of XXH3 over bytes that may come in pieces. Recording must cost less than computing, and a checksum that
/// nobody can forge costs more than the rest of it.
#[derive(Clone)]
pub struct Checksum(XxHash3_64);

impl Default for Checksum {
    fn default() -> Self {
        Self(XxHash3_64::new())
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.finish())
    }
}

impl Checksum {
    /// The checksum of some bytes: 16 hex digits.
    #[must_use]
    pub fn of(bytes: &[u8]) -> String {
        format!("{:016x}", XxHash3_64::oneshot(bytes))
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The checksum of everything taken in: 16 hex digits.
    #[must_use]
    pub fn finish(&self) -> String {
        format!("{:016x}", self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_count() {
        let bytes: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
        // The published value of the empty input.
        assert_eq!(Checksum::of(&[]), "2d06800538d394c2");
        for cut in [0, 1, 239, 256, 1023, 19_999] {
            let (a, b) = bytes.split_at(cut);
            let mut sum = Checksum::default();
            sum.update(a);
            sum.update(b);
            assert_eq!(sum.finish(), Checksum::of(&bytes), "cut at {cut}");
        }
        assert_ne!(Checksum::of(&bytes[1..]), Checksum::of(&bytes));
    }
}
