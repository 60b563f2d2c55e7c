//! A measured value in JSON. JSON has no NaN and no infinity and serde would write `null`, which reads as
//! "nothing was measured"; a record says `"NaN"`, `"Infinity"` or `"-Infinity"` instead.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A measured value: any `f64`.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub f64);

/// Equality of the record, not of the number: NaN equals NaN.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        if magnitude != 0.0 && magnitude.is_finite() && !(1e-3..1e6).contains(&magnitude) {
            write!(f, "{:e}", self.0)
        } else {
            self.0.fmt(f)
        }
    }
}

const NAN: &str = "NaN";
const INFINITY: &str = "Infinity";
const NEGATIVE_INFINITY: &str = "-Infinity";

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            v if v.is_nan() => serializer.serialize_str(NAN),
            f64::INFINITY => serializer.serialize_str(INFINITY),
            f64::NEG_INFINITY => serializer.serialize_str(NEGATIVE_INFINITY),
            v => serializer.serialize_f64(v),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number, `{NAN}`, `{INFINITY}` or `{NEGATIVE_INFINITY}`")
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Number, E> {
                Ok(Number(v))
            }
            #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles")]
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Number, E> {
                Ok(Number(v as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles")]
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Number, E> {
                Ok(Number(v as f64))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Number, E> {
                match v {
                    NAN => Ok(Number(f64::NAN)),
                    INFINITY => Ok(Number(f64::INFINITY)),
                    NEGATIVE_INFINITY => Ok(Number(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(v), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Number {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A measured value; JSON has no NaN and no infinity, so these are words.",
            "anyOf": [{"type": "number"}, {"enum": [NAN, INFINITY, NEGATIVE_INFINITY]}]
        })
    }
}
