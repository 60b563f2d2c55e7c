//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A word is none of those that its key accepts.
    ///
    /// ## Why is this bad?
    /// A metric or status that nobody knows is measured and judged by nobody.
    ///
    /// ## Example
    /// ```yaml
    /// metric: maxabs
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// metric: max_abs
    /// ```
    "unknown-value", Error, &[Check::Reading]
}
