//! The alphabet of byte-level BPE: a printable character for each byte, so that vocabularies are text. The table is that of
//! GPT-2.

/// Bytes that stand for themselves.
const fn printable(byte: u8) -> bool {
    matches!(byte, 33..=126 | 161..=172 | 174..=255)
}

/// The character of each byte: itself if it is printable Latin-1, else the next free one from U+0100 on.
const LETTERS: [char; 256] = {
    let mut letters = ['\0'; 256];
    let mut next = 256;
    let mut byte = 0;
    while byte < 256 {
        letters[byte] = if printable(byte as u8) {
            byte as u8 as char
        } else {
            next += 1;
            match char::from_u32(next - 1) {
                Some(c) => c,
                None => char::REPLACEMENT_CHARACTER,
            }
        };
        byte += 1;
    }
    letters
};

/// The character that stands for a byte.
#[must_use]
pub fn letter(byte: u8) -> char {
    LETTERS[usize::from(byte)]
}

/// The byte that a character stands for; `None` outside the alphabet.
#[must_use]
pub fn byte(letter: char) -> Option<u8> {
    match u8::try_from(letter) {
        Ok(byte) => printable(byte).then_some(byte),
        // The others are few and ascending.
        Err(_) => LETTERS.iter().position(|&l| l == letter).map(|i| i as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::{byte, letter};

    #[test]
    fn letters_are_those_of_gpt_2() {
        let cases = [
            (b' ', 'Ġ'),
            (b'\n', 'Ċ'),
            (0, 'Ā'),
            (b'!', '!'),
            (127, 'ġ'),
            (173, 'Ń'),
            (255, 'ÿ'),
            (160, 'ł'),
        ];
        for (byte, char) in cases {
            assert_eq!(letter(byte), char, "{byte}");
        }
    }

    #[test]
    fn every_byte_has_its_own_letter() {
        for b in 0..=255 {
            assert_eq!(byte(letter(b)), Some(b));
        }
        assert_eq!([' ', '\u{ad}', 'ń', '€'].map(byte), [None; 4]);
    }
}
