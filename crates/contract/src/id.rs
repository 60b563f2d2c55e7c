//! Ids are newtypes: whoever holds one knows that it was checked.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what} id: {reason} (accepted: {accepted})")]
pub struct IdError {
    /// The kind of id that was wanted.
    pub what: &'static str,
    /// The text found.
    pub text: String,
    /// What is wrong with it, with the offending column.
    pub reason: String,
    /// The accepted form.
    pub accepted: &'static str,
}

fn check(
    what: &'static str,
    text: &str,
    accepted: &'static str,
    ok: fn(char) -> bool,
) -> Result<(), IdError> {
    let fail = |reason: String| Err(IdError { what, text: text.to_owned(), reason, accepted });
    if text.is_empty() {
        return fail("it is empty".to_owned());
    }
    if text.len() > 128 {
        return fail(format!("it has {} bytes, at most 128 are allowed", text.len()));
    }
    if let Some((column, c)) = text.chars().enumerate().find(|(_, c)| !ok(*c)) {
        return fail(format!("{c:?} at column {}", column + 1));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return fail("it does not start with a letter or digit".to_owned());
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $accepted:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The only constructor.
            ///
            /// # Errors
            /// When the text is empty, too long, or holds a character outside the accepted set.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check($what, text, $accepted, $ok)?;
                Ok(Self(text.to_owned()))
            }
            /// The text of the id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// A contract's id: the stem of its file, `moe-router-v1`.
    ContractId, "contract", "lower-case letters, digits, `-`, `_`, `.`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.')
);
id!(
    /// A falsifier's id, `FALSIFY-MOE-ROUTER-001`.
    FalsifierId, "falsifier", "letters, digits, `-`, `_`, `.`",
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
);
id!(
    /// A proof obligation's id, `OBL-ROUTER-REF`.
    ObligationId, "obligation", "letters, digits, `-`, `_`, `.`",
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
);
id!(
    /// An implementation stage's id, `M-ROUTER-1`.
    StageId, "stage", "letters, digits, `-`, `_`, `.`",
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
);
id!(
    /// A planted fault's name, `router-skip-renorm`.
    FaultName, "fault", "lower-case letters, digits, `-`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
