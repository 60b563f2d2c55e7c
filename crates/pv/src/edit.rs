//! Edits of a text by byte ranges, so that everything outside of them stays as it is, comments and spacing too.

use contract::diagnostic::Edit;

/// The text with the edits made, and how many were. Of edits that overlap the first one is made; the others wait for
/// another round.
#[must_use]
pub fn apply<'e>(text: &str, edits: impl IntoIterator<Item = &'e Edit>) -> (String, usize) {
    let mut edits: Vec<&Edit> = edits.into_iter().collect();
    edits.sort_by_key(|edit| (edit.span, edit.text.as_str()));
    edits.dedup();
    let (mut out, mut at, mut made) = (String::with_capacity(text.len()), 0, 0);
    for edit in edits {
        let range = edit.span.range();
        let (Some(before), true) = (text.get(at..range.start), text.get(range.clone()).is_some()) else {
            continue;
        };
        out.push_str(before);
        out.push_str(&edit.text);
        at = range.end;
        made += 1;
    }
    out.push_str(&text[at..]);
    (out, made)
}

/// Where the line that holds an offset ends, its line break included.
#[must_use]
pub fn line_end(text: &str, offset: usize) -> usize {
    text[offset..].find('\n').map_or(text.len(), |i| offset + i + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::diagnostic::Span;

    fn edit(start: usize, end: usize, text: &str) -> Edit {
        Edit { span: Span::new(start, end), text: text.to_owned() }
    }

    #[test]
    fn edits_leave_the_rest_alone() {
        let edits = [edit(4, 5, "X"), edit(0, 1, "first"), edit(9, 9, "!")];
        assert_eq!(apply("a b c d e", &edits), ("first b X d e!".to_owned(), 3));
    }

    #[test]
    fn overlaps_and_what_is_no_place_of_the_text_wait() {
        let edits = [edit(0, 3, "x"), edit(2, 4, "y"), edit(0, 3, "x"), edit(90, 91, "z"), edit(5, 6, "w")];
        assert_eq!(apply("abcdéf", &edits), ("xdéf".to_owned(), 1));
    }
}
