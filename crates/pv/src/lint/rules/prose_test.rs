use contract::Loaded;
use contract::binding::shorthand;
use contract::legacy;
use contract::walk::Dialect;
use contract::yaml::Node;
use crate::lint::{Check, Sink};

rule! {
    /// A legacy falsifier's `test:` is prose, a filter or another program, and so binds nothing.
    ///
    /// ## Why is this bad?
    /// It reads like a test and none is run. Such a falsifier counts as unbound.
    ///
    /// ## Example
    /// ```yaml
    /// test: proptest with random vectors and positions
    /// test: cargo test -p model rope
    /// ```
    ///
    /// ## Instead
    /// `cargo test -p model --lib rope::tests::relative_position`: package, target and full path. `pv migrate` keeps the prose as
    /// a note and marks the falsifier `proposed`.
    "prose-test", Warning, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    let falsifiers = loaded.tree.as_ref().and_then(|tree| tree.at("/falsification_tests"));
    if loaded.dialect != Dialect::Legacy {
        return;
    }
    for falsifier in falsifiers.map(Node::items).unwrap_or_default() {
        let id = falsifier.get("id").and_then(Node::text).unwrap_or_default();
        let Some(test) = falsifier.get("test") else { continue };
        let Some(text) = test.text().filter(|text| legacy::command(text).is_none()) else { continue };
        let first = text.lines().next().unwrap_or_default();
        let reason = match shorthand::parse(first) {
            Err(error) if first.starts_with("cargo ") => error.reason,
            _ => "it is prose".to_owned(),
        };
        sink.add(&loaded.source, test.span, format!("the test of `{id}` binds nothing")).label(reason);
    }
}
