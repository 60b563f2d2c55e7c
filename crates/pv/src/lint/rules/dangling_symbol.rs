use contract::outline::{Link, Reference};
use contract::suggest::nearest;
use crate::lint::{Check, Sink};
use crate::symbols::Symbols;
use crate::workspace::Workspace;
use std::collections::HashMap;

rule! {
    /// An obligation applies to, or a kani harness is, a symbol that its source file does not define.
    ///
    /// ## Why is this bad?
    /// The code was renamed or moved, and the obligation now speaks of nothing.
    ///
    /// ## Example
    /// ```yaml
    /// applies_to: "crates/model/src/route.rs::routed"
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// applies_to: "crates/model/src/route.rs::route"
    /// ```
    /// A symbol is a function, type, trait, constant, static, macro or module; a method is `Type::method`.
    "dangling-symbol", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    let Some(root) = &workspace.repository.root else { return };
    let mut files: HashMap<String, Result<Symbols, String>> = HashMap::new();
    for file in workspace.rooted() {
        let references = file.analysis.outline.iter().flat_map(|outline| &outline.references);
        for Reference { link, name, span, .. } in references {
            let applies = *link == Link::AppliesTo && name.contains(['/', ':']);
            if !applies && *link != Link::Proof {
                continue;
            }
            let (path, symbol) = match name.split_once("::") {
                Some((path, symbol)) => (path, Some(symbol)),
                None => (&**name, None),
            };
            let symbols = files
                .entry(path.to_owned())
                .or_insert_with(|| Symbols::read(&root.dir().join(path)));
            match (symbols, symbol) {
                (Err(error), _) => {
                    sink.add(&file.source, *span, format!("`{path}` {error}"))
                        .help("write `path/file.rs::symbol`, the path relative to pv.toml");
                }
                (Ok(symbols), Some(symbol)) if !symbols.contains(symbol) => {
                    let finding =
                        sink.add(&file.source, *span, format!("`{path}` does not define `{symbol}`"));
                    if let Some(near) = nearest(symbol, symbols.names()) {
                        finding.label(format!("did you mean `{near}`?"));
                    }
                }
                _ => {}
            }
        }
    }
}
