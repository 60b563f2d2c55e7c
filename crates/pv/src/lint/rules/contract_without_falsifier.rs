use contract::Loaded;
use contract::diagnostic::Severity;
use contract::walk::Dialect;
use contract::yaml::Node;
use crate::lint::{Check, Sink};

rule! {
    /// A contract names no falsifier.
    ///
    /// ## Why is this bad?
    /// It claims nothing that could be shown false, and still counts as a contract in every listing.
    ///
    /// ## Example
    /// ```yaml
    /// schema: 1
    /// metadata: {id: router-v1}
    /// ```
    ///
    /// ## Instead
    /// Write at least one falsifier. What nothing can be bound to yet is `proposed`, with its reason.
    "contract-without-falsifier", Error, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    let Some(tree) = &loaded.tree else { return };
    let is_contract = tree.root.get("metadata").is_some() || loaded.dialect == Dialect::Schema1;
    let falsifiers = tree.root.get("falsification_tests").map(Node::items).unwrap_or_default();
    if is_contract && falsifiers.is_empty() {
        let finding = sink.add(&loaded.source, tree.root.head(), "the contract has no falsifier");
        finding.help("`pv new falsifier` writes one to start from");
        if loaded.dialect == Dialect::Legacy {
            finding.severity = Severity::Warning;
        }
    }
}
