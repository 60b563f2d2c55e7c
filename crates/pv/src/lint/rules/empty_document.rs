//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A contract file holds nothing: it is empty, only comments, or `null`.
    ///
    /// ## Why is this bad?
    /// It looks like a contract in a listing and claims nothing.
    ///
    /// ## Example
    /// ```yaml
    /// # TODO: write this contract
    /// ```
    ///
    /// ## Instead
    /// Remove the file, or start from what `pv new contract` writes.
    "empty-document", Error, &[Check::Reading]
}
