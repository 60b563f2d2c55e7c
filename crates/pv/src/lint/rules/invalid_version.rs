//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A contract's version is no semantic version.
    ///
    /// ## Why is this bad?
    /// `pv diff` says which part of the version a changed claim must bump; without the three parts it cannot.
    ///
    /// ## Example
    /// ```yaml
    /// version: v1.2
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// version: 1.2.0
    /// ```
    "invalid-version", Error, &[Check::Reading]
}
