use contract::diagnostic::Span;
use contract::Loaded;
use contract::outline::{Definition, Item, Outline};
use crate::lint::{Check, Sink};
use crate::workspace::{File, Workspace};
use hashbrown::HashMap;

rule! {
    /// An id is defined twice: a falsifier, contract or alias anywhere under the contract root, anything else within one file.
    ///
    /// ## Why is this bad?
    /// Evidence, attributes and references name an id. With two owners nobody can say which claim a record is about.
    ///
    /// ## Example
    /// ```yaml
    /// # contracts/a-v1.yaml and contracts/b-v1.yaml
    /// falsification_tests:
    /// - id: FALSIFY-ROUTER-001
    /// ```
    ///
    /// ## Instead
    /// Rename one of them. `pv new falsifier` picks an id that is free.
    "duplicate-id", Error, &[Check::Outline(within), Check::Beside(beside)]
}

/// Names that one file defines twice.
fn within(loaded: &Loaded, outline: &Outline, sink: &mut Sink<'_>) {
    let mut seen: HashMap<(Item, &str), Span> = HashMap::with_capacity(outline.definitions.len());
    for Definition { item, name, span } in &outline.definitions {
        if let Some(first) = seen.insert((*item, &**name), *span) {
            let first = loaded.source.location(first);
            sink.add(&loaded.source, *span, format!("{item} `{name}` is defined twice"))
                .related(first, "defined first here");
        }
    }
}

/// Names that another file defines too.
fn beside(workspace: &Workspace, file: &File, sink: &mut Sink<'_>) {
    let outline = file.analysis.outline.iter();
    let names = outline.flat_map(|outline| &outline.definitions);
    for Definition { item, name, span } in names.filter(|name| matches!(name.item, Item::Falsifier | Item::Alias)) {
        elsewhere(workspace, file, *item, name, *span, sink);
    }
    if file.analysis.outline.is_some() {
        elsewhere(workspace, file, Item::Contract, file.stem(), file.id_span(), sink);
    }
}

/// Report a name that another file defines too.
fn elsewhere(workspace: &Workspace, file: &File, item: Item, name: &str, span: Span, sink: &mut Sink<'_>) {
    let kinds: &[Item] = match item {
        Item::Falsifier => &[Item::Falsifier],
        _ => &[Item::Contract, Item::Alias],
    };
    let sites = kinds.iter().flat_map(|kind| workspace.sites(file, *kind, name));
    let other = sites.map(|site| (&workspace.files[site.file], site.span)).find(|(other, _)| {
        !std::ptr::eq(*other, file)
    });
    if let Some((other, at)) = other {
        let message = format!("{item} `{name}` is defined in {} too", other.source.path().display());
        sink.add(&file.source, span, message).related(other.source.location(at), "the other definition");
    }
}
