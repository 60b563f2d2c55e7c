//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A mapping has a key that means nothing there.
    ///
    /// ## Why is this bad?
    /// A misspelt key loses its content without a word: a bound that is not read bounds nothing. In a legacy file a key
    /// that is not near a known one is taken for an extension and only warned about.
    ///
    /// ## Example
    /// ```yaml
    /// if_fail: look at route.rs
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// if_fails: look at route.rs
    /// ```
    /// Prose goes into `notes`. Keys that start with `x-` are left to other tools.
    "unknown-key", Error, &[Check::Reading]
}
