//! The seam to the YAML library: what [`crate::yaml`] needs of a parser, and the one that provides it.

use crate::diagnostic::Span;
use granit_parser as granit;
use std::borrow::Cow;

/// One step through a document, in the terms of the tree builder.
pub(super) enum Event<'t> {
    /// A document starts.
    Document,
    /// A comment, `#` included.
    Comment,
    /// A scalar. `tag` is the name of a core schema tag, or any other tag as it is written.
    Scalar { text: Cow<'t, str>, plain: bool, tag: Option<Cow<'t, str>>, anchor: usize },
    /// A list starts. An anchor of 0 is none.
    List { anchor: usize },
    /// A mapping starts; keys and values alternate.
    Map { anchor: usize },
    /// The innermost list or mapping ends.
    End,
    /// The value of an anchor stands here again.
    Alias { anchor: usize },
}

/// Text that is no YAML.
pub(super) struct SyntaxError {
    /// The offset in the file.
    pub(super) at: usize,
    pub(super) message: String,
    /// The text is nested deeper than is read, which is no error of syntax.
    pub(super) nesting: bool,
}

/// A source of events, each with its bytes in the file.
pub(super) trait Events<'t> {
    fn next_event(&mut self) -> Option<Result<(Event<'t>, Span), SyntaxError>>;
}

/// Events that are all known.
impl<'t> Events<'t> for std::vec::IntoIter<(Event<'t>, Span)> {
    fn next_event(&mut self) -> Option<Result<(Event<'t>, Span), SyntaxError>> {
        self.next().map(Ok)
    }
}

/// The events of a text that starts at offset `base` of its file, of any YAML.
pub(super) fn of(text: &str, base: usize) -> impl Events<'_> {
    // The scanner runs ahead of the events, so it needs the limits too. Comments are bounded by the file's size.
    let options = granit::options! {
        flow_nesting_limit: super::MAX_DEPTH,
        block_nesting_limit: super::MAX_DEPTH,
        max_buffered_comment_events: super::MAX_NODES,
    };
    Granit { parser: granit::Parser::new_from_str_with_options(text, options), base }
}

struct Granit<'t> {
    parser: granit::Parser<'t, granit::StrInput<'t>>,
    base: usize,
}

impl Granit<'_> {
    fn offset(&self, marker: &granit::Marker) -> usize {
        self.base + marker.byte_offset().unwrap_or_default()
    }
}

impl<'t> Events<'t> for Granit<'t> {
    fn next_event(&mut self) -> Option<Result<(Event<'t>, Span), SyntaxError>> {
        loop {
            let (event, span) = match self.parser.next()? {
                Ok(next) => next,
                Err(error) => {
                    let at = self.offset(error.marker());
                    let nesting = matches!(error.kind(), granit::ErrorKind::RecursionLimitExceeded);
                    return Some(Err(SyntaxError { at, message: error.info(), nesting }));
                }
            };
            let event = match event {
                granit::Event::DocumentStart(..) => Event::Document,
                granit::Event::Comment(..) => Event::Comment,
                granit::Event::Scalar(text, style, anchor, tag) => Event::Scalar {
                    text,
                    plain: style == granit::ScalarStyle::Plain,
                    tag: tag.map(|tag| tag_name(&tag)),
                    anchor,
                },
                granit::Event::SequenceStart(_, anchor, _) => Event::List { anchor },
                granit::Event::MappingStart(_, anchor, _) => Event::Map { anchor },
                granit::Event::SequenceEnd | granit::Event::MappingEnd => Event::End,
                granit::Event::Alias(anchor) => Event::Alias { anchor },
                // Stream and document ends carry nothing; the remaining kinds are off by default.
                _ => continue,
            };
            let span = Span::new(self.offset(&span.start), self.offset(&span.end));
            return Some(Ok((event, span)));
        }
    }
}

fn tag_name(tag: &granit::Tag) -> Cow<'static, str> {
    tag.core_suffix().map_or_else(|| tag.to_string(), str::to_owned).into()
}
