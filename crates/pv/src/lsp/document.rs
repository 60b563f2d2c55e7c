//! What stands at a place of a text: an id in a contract, an id in an attribute of a test, or the key whose value
//! is being written. The last is read from the text alone, because while one types it is rarely YAML.

use crate::literals::literals;
use contract::diagnostic::Span;
use contract::outline::{Item, Link, Outline};

/// A name at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// What it is the name of.
    pub(super) item: Item,
    /// The name.
    pub(super) text: String,
    /// Where it stands.
    pub(super) span: Span,
    /// Whether it is defined here, rather than mentioned.
    pub(super) definition: bool,
}

/// The name at an offset of a contract.
pub(super) fn in_contract(outline: &Outline, offset: usize) -> Option<Name> {
    let at = u32::try_from(offset).ok()?;
    let holds = |span: &Span| span.start <= at && at <= span.end;
    let defined = outline.definitions.iter().find(|definition| holds(&definition.span));
    if let Some(found) = defined {
        let text = found.name.to_string();
        return Some(Name { item: found.item, text, span: found.span, definition: true });
    }
    let found = outline.references.iter().find(|reference| holds(&reference.span))?;
    let text = found.name.to_string();
    Some(Name { item: refers_to(found.link)?, text, span: found.span, definition: false })
}

/// What a reference is the name of, where that is defined in a contract.
fn refers_to(link: Link) -> Option<Item> {
    match link {
        Link::DependsOn => Some(Item::Contract),
        Link::After => Some(Item::Stage),
        Link::Accepts | Link::Check => Some(Item::Falsifier),
        Link::Obligation | Link::Proves => Some(Item::Obligation),
        Link::AppliesTo => Some(Item::Equation),
        Link::Artifact | Link::Data | Link::Subject | Link::Pin | Link::Proof => None,
        Link::Host | Link::Need | Link::Fault => None,
    }
}

/// The falsifier that an attribute at an offset of a Rust source names.
pub(super) fn in_source(text: &str, offset: usize) -> Option<Name> {
    let at = u32::try_from(offset).ok()?;
    let (text, span) =
        literals(text, "falsifier").into_iter().find(|(_, span)| span.start <= at && at <= span.end)?;
    Some(Name { item: Item::Falsifier, text, span, definition: false })
}

/// The key whose value stands at an offset, and what of the value is written already.
pub(super) fn key_at(text: &str, offset: usize) -> Option<(String, Span)> {
    let before = text.get(..offset)?;
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = &before[line_start..];
    let of_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '>' | '=');
    let begun = line.len() - line.trim_end_matches(of_word).len();
    // `key:x` is no key and value, `key: x` is.
    let word = Span::new(offset - begun, offset);
    let head = line[..line.len() - begun].trim_end().trim_end_matches(['"', '\'']);
    if let Some(key) = last_key(head) {
        return Some((key, word));
    }
    // An item of a list: its key stands above, less indented or at the same depth.
    let item = head.trim_start();
    let indent = head.len() - item.len();
    if item != "-" {
        return None;
    }
    let blank = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let above = before[..line_start].lines().rev().filter(|line| !blank(line));
    for line in above {
        let depth = line.len() - line.trim_start().len();
        let content = line.trim_start();
        if depth < indent || (depth == indent && !content.starts_with('-')) {
            return Some((last_key(content.trim_end())?, word));
        }
    }
    None
}

/// The key that the end of a line is the value of: the last `key:` outside of closed brackets.
fn last_key(head: &str) -> Option<String> {
    let mut closed = 0_usize;
    let bytes = head.as_bytes();
    let mut at = bytes.len();
    while at > 0 {
        at -= 1;
        match bytes[at] {
            b']' | b'}' => closed += 1,
            b'[' | b'{' => closed = closed.saturating_sub(1),
            b',' if closed == 0 && !inside_list(&head[..at]) => return None,
            b':' if closed == 0
                && bytes.get(at + 1).is_none_or(|next| next.is_ascii_whitespace() || *next == b'[') =>
            {
                let key =
                    head[..at].rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).next()?;
                return (!key.is_empty()).then(|| key.to_owned());
            }
            _ => {}
        }
    }
    None
}

/// Whether the innermost open bracket is that of a list.
fn inside_list(head: &str) -> bool {
    let mut open = Vec::new();
    for c in head.chars() {
        match c {
            '[' | '{' => open.push(c),
            ']' | '}' => drop(open.pop()),
            _ => {}
        }
    }
    open.last() == Some(&'[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_value_is_found_in_half_written_text() {
        for (text, expected) in [
            ("  claim: {metric: |", Some(("metric", ""))),
            ("  claim: {metric: max|", Some(("metric", "max"))),
            ("    metric: b|", Some(("metric", "b"))),
            ("  obligations: [OBL-A, OB|", Some(("obligations", "OB"))),
            ("- {id: M-1, after: [|", Some(("after", ""))),
            ("- {id: M-1, after: [M-0], accepts: [FALSIFY-|", Some(("accepts", "FALSIFY-"))),
            ("  accepts:\n  - FALSIFY-A\n  - F|", Some(("accepts", "F"))),
            ("  accepts:\n    - FALSIFY-A\n    - |", Some(("accepts", ""))),
            ("metadata:\n  depends_on:\n  # a comment: of no matter\n  - m|", Some(("depends_on", "m"))),
            ("  kind: \"ker|", Some(("kind", "ker"))),
            ("  claim: {metric: bitwise, ov|", None),
            ("  met|", None),
        ] {
            let offset = text.find('|').expect("a place");
            let text = text.replace('|', "");
            let found = key_at(&text, offset);
            let found = found.as_ref().map(|(key, word)| (key.as_str(), &text[word.range()]));
            assert_eq!(found, expected, "{text}");
        }
    }
}
