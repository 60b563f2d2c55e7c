//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A plain `yes`, `no`, `on` or `off` is text in YAML 1.2 and a truth value in YAML 1.1.
    ///
    /// ## Why is this bad?
    /// Two readers see two contracts. Norway's country code is the famous case.
    ///
    /// ## Example
    /// ```yaml
    /// case: [on, off]
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// case: ["on", "off"]
    /// ```
    /// A truth value is `true` or `false`.
    "ambiguous-boolean", Error, &[Check::Reading]
}
