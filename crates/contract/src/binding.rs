//! What ties a falsifier to something that can be run or looked at. What is compiled, and whether the tie holds,
//! is not known here.

pub mod shorthand;

use crate::need::Need;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A compiled test target of a package: `lib`, `bin:N` or `test:N`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// The unit tests of the library.
    Lib,
    /// The unit tests of a binary.
    Bin(String),
    /// An integration test.
    Test(String),
}

/// A target text that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no test target (accepted: lib, bin:NAME, test:NAME)")]
pub struct TargetError(pub String);

impl TryFrom<String> for Target {
    type Error = TargetError;
    fn try_from(text: String) -> Result<Self, TargetError> {
        match text.split_once(':') {
            None if text == "lib" => Ok(Self::Lib),
            Some(("bin", name)) if !name.is_empty() => Ok(Self::Bin(name.to_owned())),
            Some(("test", name)) if !name.is_empty() => Ok(Self::Test(name.to_owned())),
            _ => Err(TargetError(text)),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lib => f.write_str("lib"),
            Self::Bin(name) => write!(f, "bin:{name}"),
            Self::Test(name) => write!(f, "test:{name}"),
        }
    }
}

/// A bound test, as the long form of YAML writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TestBinding {
    /// The cargo package.
    pub package: String,
    /// The target in it.
    pub target: Target,
    /// The full path of the test, `router::weights`, as `--list` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Instead of `path`: every test whose path starts so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// With `prefix`: how many tests there must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u32>,
    /// Cargo features the test needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The test carries `#[ignore]` and is run with it included.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignored: bool,
    /// What the host must have: `cuda`, `gpu-memory>=24GiB`, `model:tiny-q4`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Seconds after which a run is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

impl fmt::Display for TestBinding {
    /// `package/target/path`, the form in which records name a test; a prefix ends in `*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.package, self.target)?;
        match (&self.path, &self.prefix) {
            (Some(path), _) => f.write_str(path),
            (None, Some(prefix)) => write!(f, "{prefix}*"),
            (None, None) => Ok(()),
        }
    }
}
