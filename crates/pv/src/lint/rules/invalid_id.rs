//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// An id holds characters that ids do not have, or is too long.
    ///
    /// ## Why is this bad?
    /// Ids become file names, attribute arguments and test names; each of these would need its own escape.
    ///
    /// ## Example
    /// ```yaml
    /// id: FALSIFY ROUTER 1
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// id: FALSIFY-ROUTER-001
    /// ```
    /// Contract ids are in lower case.
    "invalid-id", Error, &[Check::Reading]
}
