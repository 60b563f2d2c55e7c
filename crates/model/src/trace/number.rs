//! A number of a JSON file that may be no finite number: NaN and infinities are written as text, never as null.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A number, written as a JSON number or as `"NaN"`, `"Infinity"`, `"-Infinity"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Number(pub f64);

impl Number {
    fn text(self) -> Option<&'static str> {
        match self.0 {
            v if v.is_nan() => Some("NaN"),
            f64::INFINITY => Some("Infinity"),
            f64::NEG_INFINITY => Some("-Infinity"),
            _ => None,
        }
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<f32> for Number {
    fn from(value: f32) -> Self {
        Self(value.into())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.pad(text),
            None => f.pad(&format!("{:.6e}", self.0)),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(n) => n.as_f64().map(Self).ok_or_else(|| D::Error::custom("no f64")),
            serde_json::Value::String(s) if s == "NaN" => Ok(Self(f64::NAN)),
            serde_json::Value::String(s) if s == "Infinity" => Ok(Self(f64::INFINITY)),
            serde_json::Value::String(s) if s == "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
            other => Err(D::Error::custom(format!("{other}, expected a number, \"NaN\" or \"[-]Infinity\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn what_is_not_finite_is_text() {
        for (value, json) in [
            (1.5, "1.5"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(serde_json::to_string(&Number(value)).unwrap(), json);
            let back: Number = serde_json::from_str(json).unwrap();
            assert_eq!(back.0.to_bits(), value.to_bits());
        }
        assert!(serde_json::from_str::<Number>("null").is_err());
        assert!(serde_json::from_str::<Number>("\"nan\"").is_err());
    }
}
