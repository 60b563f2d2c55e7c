//! From a clean tree to the structs of [`crate::schema`], through a generic value.
//!
//! With feature `yaml` the value is `serde_yaml::Value`; without it, as in the macro, `serde_json::Value`. Both
//! see the same document, because both are made from the one serialization of the tree below.

use crate::schema::Contract;
use crate::shape::{Map, Shape};
use crate::yaml::{Data, Entry, Node};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

/// A tree that passed the walk and that the structs refuse: a defect of this crate, never of the file.
#[derive(Debug, thiserror::Error)]
#[error("internal error: the structure is clean and the typed form refuses it: {0}")]
pub struct LowerError(String);

/// The typed form of a document without structural errors.
///
/// # Errors
/// When the shape and the structs disagree.
pub fn lower(root: &Node, shape: &Shape) -> Result<Contract, LowerError> {
    let shaped = Shaped { node: root, shape };
    #[cfg(feature = "yaml")]
    let typed = serde_yaml::to_value(shaped).and_then(serde_yaml::from_value);
    #[cfg(not(feature = "yaml"))]
    let typed = serde_json::to_value(shaped).and_then(serde_json::from_value);
    typed.map_err(|error| LowerError(error.to_string()))
}

/// A node and what it is, which says where `x-` keys are extensions and where they are names.
struct Shaped<'a> {
    node: &'a Node,
    shape: &'a Shape,
}

impl<'a> Shaped<'a> {
    /// The shape of the value itself, behind a choice by kind.
    fn resolved(&self) -> &'a Shape {
        match (self.shape, &self.node.data) {
            (Shape::ByKind { list: Some(shape), .. }, Data::List(_))
            | (Shape::ByKind { map: Some(shape), .. }, Data::Map(_)) => shape,
            (shape, _) => shape,
        }
    }

    fn entries<S: Serializer>(&self, entries: &'a [Entry], serializer: S) -> Result<S::Ok, S::Error> {
        let shape = self.resolved();
        let mut map = serializer.serialize_map(None)?;
        for Entry { key, value } in entries {
            let shape = match shape {
                Shape::Map(Map { .. }) if key.text.starts_with("x-") => continue,
                Shape::Map(map) => map.field(&key.text).map_or(&Shape::Any, |field| &field.shape),
                Shape::Table { value, .. } => value,
                _ => &Shape::Any,
            };
            map.serialize_entry(&*key.text, &Shaped { node: value, shape })?;
        }
        map.end()
    }
}

impl Serialize for Shaped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.node.data {
            Data::Null => serializer.serialize_unit(),
            Data::Bool(value) => serializer.serialize_bool(*value),
            Data::Int(value) => serializer.serialize_i64(*value),
            Data::Float(value) => serializer.serialize_f64(*value),
            Data::Text(text) => serializer.serialize_str(text),
            Data::Map(entries) => self.entries(entries, serializer),
            Data::List(items) => {
                let shape = match self.resolved() {
                    Shape::List { item, .. } => item,
                    _ => &Shape::Any,
                };
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for node in items {
                    seq.serialize_element(&Shaped { node, shape })?;
                }
                seq.end()
            }
        }
    }
}

#[cfg(all(test, feature = "yaml"))]
mod tests {
    use super::*;
    use crate::shape;
    use crate::source::Source;
    use crate::yaml::{Findings, parse};

    #[test]
    fn both_ways_give_the_same_contract() {
        let source = Source::new("x", include_str!("../tests/it/data/moe-router-v1.yaml"));
        let tree = parse(&source, &mut Findings::new(&source)).unwrap();
        let shaped = || Shaped { node: &tree.root, shape: &shape::CONTRACT };
        let json: Contract = serde_json::from_value(serde_json::to_value(shaped()).unwrap()).unwrap();
        assert_eq!(json, lower(&tree.root, &shape::CONTRACT).unwrap());
    }
}
