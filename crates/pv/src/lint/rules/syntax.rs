//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A contract file is no YAML.
    ///
    /// ## Why is this bad?
    /// A parser stops at the first such error, so nothing after it is checked.
    ///
    /// ## Example
    /// ```yaml
    /// rule: the weights: all of them    # a second `: ` in plain text
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// rule: "the weights: all of them"
    /// ```
    /// Indent with spaces. Quote text that holds `: ` or ` #`, or starts with one of `&*!|>%@{}[],"'` or a backtick.
    "syntax", Error, &[Check::Reading]
}
