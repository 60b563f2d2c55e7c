//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A mapping has the same key twice.
    ///
    /// ## Why is this bad?
    /// Readers of YAML disagree on which value counts, so two people see two contracts.
    ///
    /// ## Example
    /// ```yaml
    /// rule: weights sum to one
    /// rule: weights are positive
    /// ```
    ///
    /// ## Instead
    /// Keep one of the two.
    "duplicate-key", Error, &[Check::Reading]
}
