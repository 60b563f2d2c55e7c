//! What a falsifier claims: a metric, a bound on it, the cases it ranges over, and what it is measured against.

use crate::words::words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One row of the metric table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// The metric.
    pub metric: Metric,
    /// Its name in YAML and JSON.
    pub name: &'static str,
    /// Which way is better; `None` when the metric is a yes or no.
    pub better: Option<Better>,
    /// Whether a bound must carry a unit.
    pub unit: bool,
    /// One sentence: what number is computed.
    pub what: &'static str,
}

/// Which direction of a metric is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// An error: the bound is `at_most`.
    Smaller,
    /// A rate or score: the bound is `at_least`.
    Larger,
}

macro_rules! metrics {
    ($($name:ident $text:literal $better:expr, $unit:literal, $what:literal;)*) => {
        /// The number a claim bounds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Metric {
            $(#[doc = $what] #[serde(rename = $text)] $name,)*
        }
        const METRIC_NAMES: &[&str] = &[$($text),*];
        /// Every metric, once.
        pub const METRICS: &[MetricInfo] = &[
            $(MetricInfo { metric: Metric::$name, name: $text, better: $better, unit: $unit, what: $what },)*
        ];
    };
}

metrics! {
    Bitwise "bitwise" None, false, "every element has the same bits";
    Ulp "ulp" Some(Better::Smaller), false, "largest distance in units in the last place";
    MaxAbs "max_abs" Some(Better::Smaller), false, "largest absolute difference";
    RelL2 "rel_l2" Some(Better::Smaller), false, "norm of the difference over the norm of the reference";
    Nmse "nmse" Some(Better::Smaller), false, "sum of squared differences over sum of squares of the reference";
    Cosine "cosine" Some(Better::Larger), false, "cosine of the angle between both vectors";
    Kl "kl" Some(Better::Smaller), false, "Kullback-Leibler divergence of softmaxed logits, in nats";
    Argmax "argmax" None, false, "the largest element has the same index";
    TopkSet "topk_set" None, false, "the same set of indices";
    Finite "finite" None, false, "no NaN and no infinity";
    Sum "sum" Some(Better::Smaller), false, "absolute difference of a sum from its expected value";
    Count "count" Some(Better::Smaller), false, "how many of something";
    Throughput "throughput" Some(Better::Larger), true, "work per time";
    Latency "latency" Some(Better::Smaller), true, "time per work";
    Memory "memory" Some(Better::Smaller), true, "bytes held";
    Ratio "ratio" Some(Better::Larger), false, "a share or a quotient";
    Predicate "predicate" None, false, "every check holds";
}

impl Metric {
    /// Every name, in the order of the table.
    pub const NAMES: &'static [&'static str] = METRIC_NAMES;
    /// The metric's row of the table.
    #[must_use]
    pub fn info(self) -> &'static MetricInfo {
        // The table is made by the same macro row by row, in declaration order.
        &METRICS[self as usize]
    }
    /// The metric of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        METRICS.iter().find(|m| m.name == name).map(|m| m.metric)
    }
}

/// The bound on a metric: exactly one of the three, with a unit where the metric needs one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// The worst value may be at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The worst value must be at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The value must be exactly this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<f64>,
    /// The unit, `tok/s`, `ms`, `GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

words! {
    /// What kind of thing the claim is measured against.
    pub enum ReferenceKind {
        /// A data file in the repository.
        Data = "data",
        /// Another backend, `cpu:exact`.
        Backend = "backend",
        /// A value known by reasoning.
        Analytic = "analytic",
    }
}

/// The reference of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// `data`: the file, relative to the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `backend`: `cpu:exact`; `analytic`: the law.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

words! {
    /// What a NaN in a comparison means.
    #[derive(Default)]
    pub enum NanPolicy {
        /// Any NaN on either side is a failure.
        #[default]
        Forbid = "forbid",
        /// NaN equals NaN at the same place; elsewhere it is a failure.
        Match = "match",
    }
}

/// One value of a domain: case names, sizes and thresholds are all written as YAML scalars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Cell {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A name.
    Text(String),
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(v) => v.fmt(f),
            Self::Int(v) => v.fmt(f),
            Self::Float(v) => v.fmt(f),
            Self::Text(v) => v.fmt(f),
        }
    }
}

macro_rules! cell_from {
    ($($type:ty => |$v:ident| $cell:expr;)*) => {$(
        impl From<$type> for Cell {
            fn from($v: $type) -> Self {
                $cell
            }
        }
    )*};
}

// Sizes that do not fit into an `i64` occur in no contract; they become the float that YAML would read.
#[expect(clippy::cast_precision_loss, reason = "as said above")]
fn size(v: u64) -> Cell {
    i64::try_from(v).map_or(Cell::Float(v as f64), Cell::Int)
}

cell_from! {
    bool => |v| Cell::Bool(v);
    i32 => |v| Cell::Int(i64::from(v));
    i64 => |v| Cell::Int(v);
    u32 => |v| Cell::Int(i64::from(v));
    u64 => |v| size(v);
    usize => |v| size(v as u64);
    f32 => |v| Cell::Float(f64::from(v));
    f64 => |v| Cell::Float(v);
    &str => |v| Cell::Text(v.to_owned());
    String => |v| Cell::Text(v);
    &String => |v| Cell::Text(v.clone());
    &Cell => |v| v.clone();
}

/// A falsifier's claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The number that is computed.
    pub metric: Metric,
    /// The bound on it; left out for yes-or-no metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// Why the bound is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Finite sets; every cell of their product must be hit by a comparison.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub over: BTreeMap<String, Vec<Cell>>,
    /// What is compared against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// How NaN is judged.
    #[serde(default)]
    pub nan: NanPolicy,
}
