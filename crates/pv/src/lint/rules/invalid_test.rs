//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// The text of a test binding names no single test.
    ///
    /// ## Why is this bad?
    /// Prose, a second line, a filter or a shell operator would be skipped by a lenient reader, and the falsifier would
    /// seem bound.
    ///
    /// ## Example
    /// ```yaml
    /// test: cargo test -p tests router (11/11 PASS)
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// test: cargo test -p tests --test it router::weights
    /// ```
    /// or the long form with `package`, `target` and `path`.
    "invalid-test", Error, &[Check::Reading]
}
