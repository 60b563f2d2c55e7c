use contract::diagnostic::Span;
use contract::outline::{Definition, Item};
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
    "duplicate-id", Error, &[Check::Beside(check)]
}

fn check(workspace: &Workspace, file: &File, sink: &mut Sink<'_>) {
    let Some(outline) = &file.analysis.outline else { return };
    let mut seen: HashMap<(Item, &str), Span> = HashMap::with_capacity(outline.definitions.len());
    for Definition { item, name, span } in &outline.definitions {
        if let Some(first) = seen.insert((*item, &**name), *span) {
            let first = file.source.location(first);
            sink.add(&file.source, *span, format!("{item} `{name}` is defined twice"))
                .related(first, "defined first here");
        }
    }
    let names = seen.into_iter().filter(|((item, _), _)| matches!(item, Item::Falsifier | Item::Alias));
    for ((item, name), span) in names {
        elsewhere(workspace, file, item, name, span, sink);
    }
    elsewhere(workspace, file, Item::Contract, file.stem(), file.id_span(), sink);
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
