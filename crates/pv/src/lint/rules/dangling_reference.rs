use contract::diagnostic::Severity;
use contract::outline::{Definition, Item, Link, Reference};
use contract::suggest::nearest;
use contract::walk::Dialect;
use crate::lint::{Check, Sink};
use crate::workspace::{File, Workspace};
use std::cell::OnceCell;
use hashbrown::HashSet;

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
    "dangling-reference", Error, &[Check::Beside(check)]
}

/// So many names of a file are compared with all others. More than that are no slips.
const GUESSES: usize = 100;

fn check(workspace: &Workspace, file: &File, sink: &mut Sink<'_>) {
    let Some(outline) = &file.analysis.outline else { return };
    let defined = OnceCell::new();
    let here = || {
        let names = outline.definitions.iter().map(|Definition { item, name, .. }| (*item, &**name));
        defined.get_or_init(|| names.collect::<HashSet<_>>())
    };
    let mut guesses = 0;
    for reference in &outline.references {
        let Some(Target { item, everywhere }) = target(reference) else { continue };
        let local = || outline.defined(item).map(|definition| &*definition.name);
        let found = if everywhere {
            let shared = |item| !workspace.sites(file, item, &reference.name).is_empty();
            shared(item) || (item == Item::Contract && shared(Item::Alias))
        } else {
            here().contains(&(item, &*reference.name))
        };
        if found {
            continue;
        }
        guesses += 1;
        let near = if guesses > GUESSES {
            None
        } else if everywhere {
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
