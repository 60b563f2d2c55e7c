//! The table of shapes says what the structs say.

use contract::shape::{self, Field, Shape};
use serde_json::Value;
use std::collections::BTreeSet;

/// Compare one shape with the JSON Schema that schemars makes from the struct.
fn agree(shape: &Shape, schema: &Value, definitions: &Value, at: &str, seen: &mut BTreeSet<String>) {
    let schema = resolve(schema, definitions);
    match shape {
        Shape::Map(map) => {
            seen.insert(map.what.to_owned());
            let keys = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<BTreeSet<String>>();
            let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{at}: {schema}"));
            assert_eq!(
                keys(map.fields.iter().map(|field| field.name).collect()),
                properties.keys().cloned().collect::<BTreeSet<String>>(),
                "keys of {at}"
            );
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            assert_eq!(
                keys(map.fields.iter().filter(|field| field.required).map(|field| field.name).collect()),
                required.iter().map(|name| name.as_str().unwrap().to_owned()).collect::<BTreeSet<String>>(),
                "required keys of {at}"
            );
            for Field { name, shape, .. } in map.fields {
                agree(shape, &properties[*name], definitions, &format!("{at}/{name}"), seen);
            }
        }
        Shape::Table { value, .. } => {
            agree(value, &schema["additionalProperties"], definitions, &format!("{at}/*"), seen);
        }
        Shape::List { item, .. } => {
            agree(item, &schema["items"], definitions, &format!("{at}/0"), seen);
        }
        Shape::Word { names, .. } => {
            let words: BTreeSet<String> = words(schema);
            assert_eq!(
                names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>(),
                words,
                "words of {at}"
            );
        }
        Shape::Text(_) => assert!(has_type(schema, "string"), "{at}: {schema}"),
        Shape::Bool => assert!(has_type(schema, "boolean"), "{at}: {schema}"),
        Shape::Int { .. } => assert!(has_type(schema, "integer"), "{at}: {schema}"),
        Shape::Number => assert!(has_type(schema, "number"), "{at}: {schema}"),
        Shape::Scalar | Shape::Any => {}
        Shape::ByKind { text, list, map } => {
            let choices = schema["anyOf"].as_array().unwrap_or_else(|| panic!("{at}: {schema}"));
            let choices: Vec<&Value> = choices.iter().map(|choice| resolve(choice, definitions)).collect();
            let of = |kind: &str| choices.iter().find(|choice| has_type(choice, kind));
            assert_eq!(text.is_some(), of("string").is_some(), "text of {at}");
            for (shape, kind) in [(list, "array"), (map, "object")] {
                match (shape, of(kind)) {
                    (Some(shape), Some(schema)) => agree(shape, schema, definitions, at, seen),
                    (None, None) => {}
                    _ => panic!("{at}: {kind}"),
                }
            }
        }
    }
}

/// Follow references, and look through the `anyOf [T, null]` of an optional field.
fn resolve<'a>(mut schema: &'a Value, definitions: &'a Value) -> &'a Value {
    loop {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            schema = &definitions[name];
            continue;
        }
        let choices = schema["anyOf"].as_array().or_else(|| schema["allOf"].as_array());
        let real: Vec<&Value> =
            choices.into_iter().flatten().filter(|choice| choice["type"] != "null").collect();
        match real.as_slice() {
            [one] => schema = one,
            _ => return schema,
        }
    }
}

fn has_type(schema: &Value, name: &str) -> bool {
    schema["type"] == name || schema["type"].as_array().is_some_and(|types| types.iter().any(|t| t == name))
}

fn words(schema: &Value) -> BTreeSet<String> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let single = schema["oneOf"].as_array().into_iter().flatten();
    let single = single.flat_map(|choice| {
        choice["enum"].as_array().cloned().unwrap_or_else(|| vec![choice["const"].clone()])
    });
    listed.cloned().chain(single).filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

#[test]
fn the_table_of_shapes_agrees_with_the_structs() {
    let schema = contract::schema::json_schema();
    let mut seen = BTreeSet::new();
    agree(&shape::CONTRACT, &schema, &schema["definitions"], "", &mut seen);
    assert_eq!(seen.len(), 20, "{seen:?}");
}
