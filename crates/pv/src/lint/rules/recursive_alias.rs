//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// An alias stands inside the value that it names.
    ///
    /// ## Why is this bad?
    /// The value would be infinite.
    ///
    /// ## Example
    /// ```yaml
    /// notes: &a [*a]
    /// ```
    ///
    /// ## Instead
    /// Write the value out.
    "recursive-alias", Error, &[Check::Reading]
}
