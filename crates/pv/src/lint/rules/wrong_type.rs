//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A value is of another kind than its key needs.
    ///
    /// ## Why is this bad?
    /// What was meant is not what is read: `version: 1.10` is the number 1.1.
    ///
    /// ## Example
    /// ```yaml
    /// version: 1.10
    /// accepts: FALSIFY-ROUTER-001
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// version: "1.10.0"
    /// accepts: [FALSIFY-ROUTER-001]
    /// ```
    "wrong-type", Error, &[Check::Reading]
}
