use contract::diagnostic::Severity;
use contract::Loaded;
use contract::outline::{Definition, Item, Link, Outline, Reference};
use contract::source::Source;
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
    "dangling-reference", Error, &[Check::Outline(within), Check::Beside(beside)]
}

/// So many names of a file are compared with all others. More than that are no slips.
const GUESSES: usize = 100;

/// References to what the same contract defines.
fn within(loaded: &Loaded, outline: &Outline, sink: &mut Sink<'_>) {
    let defined = OnceCell::new();
    let here = || {
        let names = outline.definitions.iter().map(|Definition { item, name, .. }| (*item, &**name));
        defined.get_or_init(|| names.collect::<HashSet<_>>())
    };
    let missing = references(outline, false).filter(|(reference, item)| !here().contains(&(*item, &*reference.name)));
    for (at, (reference, item)) in missing.enumerate() {
        let names = || outline.defined(item).map(|definition| &*definition.name);
        let near = if at < GUESSES { nearest(&reference.name, names()) } else { None };
        report(&loaded.source, loaded.dialect, reference, format!("{item} in this contract"), near, sink);
    }
}

/// References to what any contract may define.
fn beside(workspace: &Workspace, file: &File, sink: &mut Sink<'_>) {
    let Some(outline) = &file.analysis.outline else { return };
    let missing = references(outline, true).filter(|(reference, item)| {
        let shared = |item| !workspace.sites(file, item, &reference.name).is_empty();
        !(shared(*item) || *item == Item::Contract && shared(Item::Alias))
    });
    for (at, (reference, item)) in missing.enumerate() {
        let near = if at < GUESSES { nearest(&reference.name, workspace.names(file, item)) } else { None };
        report(&file.source, file.analysis.dialect, reference, item.to_string(), near, sink);
    }
}

fn report(
    source: &Source,
    dialect: Dialect,
    reference: &Reference,
    missing: String,
    near: Option<&str>,
    sink: &mut Sink<'_>,
) {
    let Reference { link, name, span, .. } = reference;
    let finding = sink.add(source, *span, format!("`{link}` names `{name}`: no such {missing}"));
    if let Some(near) = near {
        finding.label(format!("did you mean `{near}`?"));
        finding.fix(format!("write `{near}`"), *span, near);
    }
    if dialect == Dialect::Legacy && *link != Link::DependsOn {
        finding.severity = Severity::Warning;
    }
}

/// The references that any contract may resolve, or only their own.
fn references(outline: &Outline, everywhere: bool) -> impl Iterator<Item = (&Reference, Item)> {
    outline.references.iter().filter_map(move |reference| {
        let target = target(reference).filter(|target| target.everywhere == everywhere)?;
        Some((reference, target.item))
    })
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
