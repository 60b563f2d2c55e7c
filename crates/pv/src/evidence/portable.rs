//! What a record says in words, without the places of the machine that it was made on: a record is read elsewhere,
//! where they say nothing, and somebody's folders are nobody's business.

use contract::evidence::{Outcome, Record};

/// Shortens every absolute path in a record's words to the name that it ends with.
pub(crate) fn portable(record: &mut Record) {
    match &mut record.outcome {
        Outcome::Passed => {}
        Outcome::Failed { message: words, .. }
        | Outcome::Skipped { reason: words }
        | Outcome::Error { message: words } => *words = named(words),
    }
    if let Some(note) = record.measure.as_mut().and_then(|measure| measure.note.as_mut()) {
        *note = named(note);
    }
}

/// A text with the last name of every absolute path in its place. A path starts where no word, address or relative
/// path is under way, so `https://host/page`, `src/lib.rs` and `tokens/s` stay; an address of a file is its path.
fn named(text: &str) -> String {
    let under_way = |before: char| before.is_alphanumeric() || "/.:_-~)]}<>".contains(before);
    let of_path = |c: char| c.is_alphanumeric() || "/._-+@~%=#".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('/') {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from.find(|c| !of_path(c)).unwrap_or(from.len());
        let (token, after) = from.split_at(end);
        let path = token.trim_end_matches(['.', '/']);
        match path.rsplit_once('/') {
            Some((_, name)) if path.starts_with("///") && out.ends_with("file:") => {
                out.truncate(out.len() - "file:".len());
                out.push_str(name);
                out.push_str(&token[path.len()..]);
            }
            Some((_, name)) if !out.ends_with(under_way) => {
                out.push_str(name);
                out.push_str(&token[path.len()..]);
            }
            _ => out.push_str(token),
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_path_becomes_the_name_it_ends_with() {
        for (text, expected) in [
            ("apr: /tmp/.tmpU6Mf7P/model.gguf: truncated at byte 0", "apr: model.gguf: truncated at byte 0"),
            ("/tmp/x/t: 45 tensors", "t: 45 tensors"),
            ("not in '/home/a b/c', \"/usr/lib/x.so.1\", (/opt/y)", "not in 'a b/c', \"x.so.1\", (y)"),
            ("it lies in /tmp/a/out.", "it lies in out."),
            ("--out=/tmp/z/q", "--out=q"),
            ("{\"file:///tmp/.tmpQ/contracts/a-v1.yaml\": []}", "{\"a-v1.yaml\": []}"),
            ("folder /tmp/z/ is there", "folder z/ is there"),
            ("/data/modèle/über.gguf: read", "über.gguf: read"),
        ] {
            assert_eq!(named(text), expected);
        }
    }

    #[test]
    fn what_is_no_absolute_path_stays() {
        for text in [
            "",
            "12 tokens/s, 3 / 4, and/or",
            "see https://example.org/a/b and crates/pv/src/lib.rs:3:1",
            "./target/pv and ../shared/x",
            "nothing after a /",
        ] {
            assert_eq!(named(text), text);
        }
    }
}
