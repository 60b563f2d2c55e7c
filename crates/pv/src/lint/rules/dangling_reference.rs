use contract::diagnostic::Severity;
use contract::outline::{Item, Link, Reference};
use contract::suggest::nearest;
use contract::walk::Dialect;
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

rule! {
    /// A name refers to a contract, falsifier, obligation, stage or equation that does not exist.
    ///
    /// ## Why is this bad?
    /// A stage that waits for a falsifier nobody wrote is never shipped, or worse, counted as if it were.
    ///
    /// ## Example
    /// ```yaml
    /// accepts: [FALSIFY-ROUTER-01]     # the falsifier is FALSIFY-ROUTER-001
    /// ```
    ///
    /// ## Instead
    /// Correct the name; the finding says which one is near. In a legacy file a kani harness that proves an unknown obligation
    /// is only warned about, because most obligations there have no id.
    "dangling-reference", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    for file in &workspace.files {
        let Some(outline) = &file.analysis.outline else { continue };
        for reference in &outline.references {
            let Some(Target { item, everywhere }) = target(reference) else { continue };
            let local = || outline.defined(item).map(|definition| &*definition.name);
            let found = if everywhere {
                let shared = |item| !workspace.sites(file, item, &reference.name).is_empty();
                shared(item) || (item == Item::Contract && shared(Item::Alias))
            } else {
                local().any(|name| name == &*reference.name)
            };
            if found {
                continue;
            }
            let near = if everywhere {
                nearest(&reference.name, workspace.names(file, item))
            } else {
                nearest(&reference.name, local())
            };
            let Reference { link, name, span, .. } = reference;
            let what = if everywhere { "" } else { " in this contract" };
            let finding =
                sink.add(&file.source, *span, format!("`{link}` names `{name}`: no such {item}{what}"));
            if let Some(near) = near {
                finding.label(format!("did you mean `{near}`?"));
                finding.fix(format!("write `{near}`"), *span, near);
            }
            if file.analysis.dialect == Dialect::Legacy && *link != Link::DependsOn {
                finding.severity = Severity::Warning;
            }
        }
    }
}

/// What a reference must be the name of, and whether any contract may define it.
struct Target {
    item: Item,
    everywhere: bool,
}

fn target(reference: &Reference) -> Option<Target> {
    let item = match reference.link {
        Link::DependsOn => return Some(Target { item: Item::Contract, everywhere: true }),
        Link::Accepts | Link::Check => return Some(Target { item: Item::Falsifier, everywhere: true }),
        Link::After => Item::Stage,
        Link::Obligation | Link::Proves => Item::Obligation,
        // A path of a source file is looked up there; `all` is every equation.
        Link::AppliesTo if reference.name.contains(['/', ':']) || &*reference.name == "all" => return None,
        Link::AppliesTo => Item::Equation,
        Link::Artifact | Link::Data | Link::Subject | Link::Pin | Link::Proof => return None,
        Link::Host | Link::Need | Link::Fault => return None,
    };
    Some(Target { item, everywhere: false })
}
