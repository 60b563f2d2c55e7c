//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A contract file is larger, deeper or more repetitive than is read.
    ///
    /// The limits are 16 MiB, 1,000,000 values, nesting of 128, aliases that make the file ten times as large as it is
    /// written, and 1,000 findings.
    ///
    /// ## Why is this bad?
    /// No contract comes near these sizes; a file that does is broken or hostile, and reading it would take time and
    /// memory from all others.
    ///
    /// ## Example
    /// ```yaml
    /// a: &a [x, x, x, x, x, x, x, x, x, x]
    /// b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
    /// c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]   # and so on
    /// ```
    ///
    /// ## Instead
    /// One subject per file. Data belongs into a data file that the contract names as its reference.
    "limit", Error, &[Check::Reading]
}
