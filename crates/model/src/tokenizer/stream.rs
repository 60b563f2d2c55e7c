//! Text as it comes, token by token: a character whose bytes are spread over tokens appears when it is whole.

use fault::fault;

/// The bytes of a text that were not yet shown.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    held: Vec<u8>,
}

impl Stream {
    /// Takes the bytes of a token and gives the text that is now certain. Bytes that can belong to no character become
    /// U+FFFD, as in [`String::from_utf8_lossy`] of the whole.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend(bytes);
        let held = if fault!("stream-cuts-characters") { 0 } else { unfinished(&self.held) };
        let whole = self.held.len() - held;
        let text = String::from_utf8_lossy(&self.held[..whole]).into_owned();
        self.held.drain(..whole);
        text
    }

    /// Ends the text: what is held can no longer become whole.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// How many bytes at the end are the start of a character that could still be completed: 0 to 3.
fn unfinished(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    (from..bytes.len())
        .find(|&i| matches!(str::from_utf8(&bytes[i..]), Err(e) if e.valid_up_to() == 0 && e.error_len().is_none()))
        .map_or(0, |i| bytes.len() - i)
}

#[cfg(test)]
mod tests {
    use super::Stream;

    /// Every way to cut a text into tokens gives the text of the whole.
    fn check(bytes: &[u8]) {
        let whole = String::from_utf8_lossy(bytes);
        for cuts in 0..1_u32 << (bytes.len() - 1) {
            let (mut stream, mut text, mut token) = (Stream::default(), String::new(), Vec::new());
            for (i, &byte) in bytes.iter().enumerate() {
                token.push(byte);
                if cuts >> i & 1 == 1 {
                    text += &stream.push(&token);
                    token.clear();
                }
            }
            text += &stream.push(&token);
            text += &stream.finish();
            assert_eq!(text, whole, "{bytes:?} cut at {cuts:b}");
        }
    }

    #[test]
    fn characters_across_tokens_come_out_whole() {
        check("aé€😀z".as_bytes());
        check("😀😀".as_bytes());
    }

    #[test]
    fn bytes_that_are_no_text_come_out_as_in_the_whole() {
        check(b"a\xffb\x80");
        check(b"\xf0\x9f\x98a\xe2\x82");
        check(b"\xed\xa0\x80\xc0\xaf\xf5");
        check(b"\xf0\x9f\xf0\x9f\x98\x80");
    }

    #[test]
    fn whole_characters_are_not_held_back() {
        let mut stream = Stream::default();
        assert_eq!(stream.push("héllo".as_bytes()), "héllo");
        assert_eq!(stream.push(&"😀".as_bytes()[..2]), "");
        assert_eq!(stream.push(&"😀".as_bytes()[2..]), "😀");
        assert_eq!(stream.push(b"\xff"), "\u{fffd}");
    }
}
