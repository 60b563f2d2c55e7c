use contract::binding::Target;
use contract::id::FalsifierId;
use crate::lint::{Check, Sink};
use crate::workspace::{File, Workspace};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

rule! {
    /// Two falsifiers are bound to the same test.
    ///
    /// ## Why is this bad?
    /// One run would count as evidence for two claims, and a test measures one.
    ///
    /// ## Example
    /// ```yaml
    /// - {id: FALSIFY-ROUTER-001, test: cargo test -p tests --test it router::all}
    /// - {id: FALSIFY-ROUTER-002, test: cargo test -p tests --test it router::all}
    /// ```
    ///
    /// ## Instead
    /// Write one test per claim.
    "shared-test", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    type Key = (usize, String, Target, String);
    let mut bound: HashMap<Key, (&FalsifierId, &File, usize)> = HashMap::new();
    let place = |file: &File, index: usize| file.span(&format!("/falsification_tests/{index}/test"));
    for (file, contract) in workspace.bound() {
        for (index, falsifier) in contract.falsification_tests.iter().enumerate() {
            let tests = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
            for test in tests {
                let Some(path) = test.path else { continue };
                match bound.entry((file.scope, test.package, test.target, path)) {
                    Entry::Vacant(slot) => {
                        slot.insert((&falsifier.id, file, index));
                    }
                    Entry::Occupied(first) => {
                        let (other, theirs, nth) = *first.get();
                        let path = &first.key().3;
                        let message = format!("`{}` and `{other}` are bound to `{path}`", falsifier.id);
                        let there = theirs.source.location(place(theirs, nth));
                        sink.add(&file.source, place(file, index), message).related(there, "bound first here");
                    }
                }
            }
        }
    }
}
