//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A number is outside the range that its key accepts, or not finite.
    ///
    /// ## Why is this bad?
    /// No measurement is at most NaN, and there is no language of schema 2 to read.
    ///
    /// ## Example
    /// ```yaml
    /// schema: 2
    /// bound: {at_most: .nan}
    /// ```
    ///
    /// ## Instead
    /// Write a number in the range that the finding names.
    "out-of-range", Error, &[Check::Reading]
}
