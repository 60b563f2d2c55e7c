//! What a test needs of the host that runs it, and what a host class offers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One need: `cuda`, `gpu-memory>=24GiB` or `model:tiny-q4`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub enum Need {
    /// A CUDA device.
    Cuda,
    /// At least so many bytes of GPU memory.
    GpuMemory(u64),
    /// The model file of that name in pv.toml.
    Model(String),
}

/// A text that is no need.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no need (accepted: cuda, gpu-memory>=NGiB, model:NAME)")]
pub struct NeedError(pub String);

/// Bytes of a size such as `24GiB` or `512MiB`.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix("GiB") {
        Some(number) => (number, 1_u64 << 30),
        None => (text.strip_suffix("MiB")?, 1 << 20),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// A size in the largest binary unit that divides it.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 30) {
        format!("{}GiB", bytes >> 30)
    } else if bytes.is_multiple_of(1 << 20) {
        format!("{}MiB", bytes >> 20)
    } else {
        format!("{bytes}B")
    }
}

impl TryFrom<String> for Need {
    type Error = NeedError;
    fn try_from(text: String) -> Result<Self, NeedError> {
        if text == "cuda" {
            return Ok(Self::Cuda);
        }
        if let Some(size) = text.strip_prefix("gpu-memory>=") {
            return parse_size(size).map(Self::GpuMemory).ok_or(NeedError(text));
        }
        match text.strip_prefix("model:") {
            Some(name) if !name.is_empty() => Ok(Self::Model(name.to_owned())),
            _ => Err(NeedError(text)),
        }
    }
}

impl From<Need> for String {
    fn from(need: Need) -> Self {
        need.to_string()
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cuda => f.write_str("cuda"),
            Self::GpuMemory(bytes) => write!(f, "gpu-memory>={}", format_size(*bytes)),
            Self::Model(name) => write!(f, "model:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Need;

    #[test]
    fn needs_read_and_print_the_same_text() {
        for text in ["cuda", "gpu-memory>=24GiB", "gpu-memory>=1536MiB", "model:tiny-q4"] {
            assert_eq!(Need::try_from(text.to_owned()).map(|n| n.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "gpu", "cuda ", "gpu-memory>=24", "gpu-memory>=99999999999999999GiB", "model:"] {
            assert!(Need::try_from(text.to_owned()).is_err(), "{text:?} was accepted");
        }
    }
}
