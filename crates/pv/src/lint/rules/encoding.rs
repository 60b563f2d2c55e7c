//! Found while reading, by `contract`.

use crate::lint::Check;

rule! {
    /// A contract file is no UTF-8 text, or holds a control character.
    ///
    /// ## Why is this bad?
    /// YAML files are UTF-8. A Latin-1 or UTF-16 file would be read as something else than its author sees, and a
    /// control character is seen by nobody.
    ///
    /// ## Example
    /// A file saved as "Unicode" by an old editor (UTF-16), a NUL byte inside a quoted text.
    ///
    /// ## Instead
    /// Save the file as UTF-8; a byte order mark is accepted. Inside double quotes, write control characters as escapes:
    /// `"\x1b[0m"`.
    "encoding", Error, &[Check::Reading]
}
