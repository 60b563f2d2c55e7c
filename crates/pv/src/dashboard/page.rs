//! The frame of a page, and the one way in which text becomes HTML.

use std::fmt::{self, Display, Write as _};

/// Text as HTML: what could be markup in an element or a quoted attribute is escaped.
pub(super) struct Text<'a, T: ?Sized>(pub(super) &'a T);

impl<T: Display + ?Sized> Display for Text<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl fmt::Write for Escape<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                // Most of a text goes through as it is, in stretches.
                let mut from = 0;
                for (at, escaped) in escapes(text) {
                    self.0.write_str(&text[from..at])?;
                    self.0.write_str(escaped)?;
                    from = at + text[at..].chars().next().map_or(1, char::len_utf8);
                }
                self.0.write_str(&text[from..])
            }
        }
        write!(Escape(f), "{}", self.0)
    }
}

/// Where a text has characters that are written otherwise, and how.
fn escapes(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter_map(|(at, byte)| {
        let escaped = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            b'\n' | b'\t' => return None,
            // No browser takes control characters in any form.
            0..=0x1f | 0x7f => "\u{fffd}",
            0xc2 if bytes.get(at + 1).is_some_and(|next| *next < 0xa0) => "\u{fffd}",
            _ => return None,
        };
        Some((at, escaped))
    })
}

/// A piece of HTML.
#[derive(Debug, Clone, Default)]
pub(super) struct Html(String);

impl Html {
    /// Add what [`html`] made of a format and its values.
    pub(super) fn put(&mut self, arguments: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(arguments);
    }

    /// Add another piece.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }
}

/// Adds markup to an [`Html`]: the format is markup, every value is text and is escaped.
macro_rules! html {
    ($out:expr, $format:literal $(, $value:expr)* $(,)?) => {
        $out.put(format_args!($format $(, $crate::dashboard::page::Text(&$value))*))
    };
}
pub(super) use html;

/// The pages that every page leads to: file, and name.
pub(super) const PLACES: &[(&str, &str)] = &[
    ("index.html", "Overview"),
    ("faults.html", "Faults"),
    ("hosts.html", "Hosts"),
    ("graph.html", "Dependencies"),
];

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What stands around the content of a page.
pub(super) struct Frame<'a> {
    /// The file of the page, relative to the folder of the site.
    pub(super) path: &'a str,
    /// Its title.
    pub(super) title: &'a str,
    /// The line at its end.
    pub(super) foot: &'a str,
}

impl Frame<'_> {
    /// The way from this page to the folder of the site.
    pub(super) fn up(&self) -> String {
        "../".repeat(self.path.matches('/').count())
    }

    /// The whole page. It may load nothing: the policy refuses every resource.
    pub(super) fn around(&self, content: &Html) -> String {
        // So much stands around the content, but for very long names.
        const AROUND: usize = STYLE.len() + SCRIPT.len() + 4096;
        let mut page = Html(String::with_capacity(content.0.len() + AROUND));
        let up = self.up();
        page.put(format_args!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
        ));
        html!(page, "<title>{} - pv</title>\n", self.title);
        page.put(format_args!("<style>\n{STYLE}</style>\n</head>\n<body>\n"));
        html!(
            page,
            "<a class=\"skip\" href=\"#content\">Skip to the content</a>\n<header><nav aria-label=\"Site\"><ul>\n"
        );
        for (file, name) in PLACES {
            let current = if *file == self.path { "page" } else { "false" };
            html!(page, "<li><a href=\"{}{}\" aria-current=\"{}\">{}</a></li>\n", up, file, current, name);
        }
        html!(page, "</ul></nav></header>\n<main id=\"content\" tabindex=\"-1\">\n");
        page.add(content);
        html!(page, "</main>\n<footer><p>{}</p></footer>\n", self.foot);
        page.put(format_args!("<script>\n{SCRIPT}</script>\n</body>\n</html>\n"));
        page.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_and_no_markup() {
        let mut out = Html::default();
        html!(out, "<p title=\"{}\">{}</p>", "\"'\u{1}", "<b> & </b>\u{85}é\u{7f}\n\t§");
        assert_eq!(
            out.0,
            "<p title=\"&quot;&#39;\u{fffd}\">&lt;b&gt; &amp; &lt;/b&gt;\u{fffd}é\u{fffd}\n\t§</p>"
        );
    }
}
