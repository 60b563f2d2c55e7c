//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A mapping has two keys of which only one can hold.
    ///
    /// ## Why is this bad?
    /// A falsifier that is both bound to a test and merely proposed has two statuses.
    ///
    /// ## Example
    /// ```yaml
    /// test: cargo test -p tests --test it router::weights
    /// proposed: {reason: not written yet}
    /// ```
    ///
    /// ## Instead
    /// Keep one of the keys that the finding names.
    "conflicting-keys", Error, &[Check::Reading]
}
