//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A contract file holds more than one YAML document.
    ///
    /// ## Why is this bad?
    /// A contract is found by its file name, so only one can live in a file; the others would be lost.
    ///
    /// ## Example
    /// ```yaml
    /// schema: 1
    /// ---
    /// schema: 1
    /// ```
    ///
    /// ## Instead
    /// Move each document into its own file.
    "several-documents", Error, &[Check::Reading]
}
