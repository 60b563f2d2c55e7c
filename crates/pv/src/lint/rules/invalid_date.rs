//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A date is no day of the calendar in the form `2026-11-20`.
    ///
    /// ## Why is this bad?
    /// A review or waiver that ends on no day never ends.
    ///
    /// ## Example
    /// ```yaml
    /// waiver: {reason: driver bug, until: end of June}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// waiver: {reason: driver bug, until: 2026-06-30}
    /// ```
    "invalid-date", Error, &[Check::Reading]
}
