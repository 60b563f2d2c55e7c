//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A `needs` entry is none of `cuda`, `gpu-memory>=NGiB` and `model:NAME`.
    ///
    /// ## Why is this bad?
    /// A need that no host is known to offer makes the test dark, and one that is misread lets it run where it must fail.
    ///
    /// ## Example
    /// ```yaml
    /// needs: [gpu]
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// needs: [cuda, "gpu-memory>=24GiB", "model:tiny-q4"]
    /// ```
    "invalid-need", Error, &[Check::Reading]
}
