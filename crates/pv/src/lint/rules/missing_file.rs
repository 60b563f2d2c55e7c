use contract::outline::{Link, Reference};
use contract::settings::PathGlob;
use contract::suggest::nearest;
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

rule! {
    /// A contract names a file that is not there, or a pattern that matches none.
    ///
    /// ## Why is this bad?
    /// Evidence is pinned to the content of these files. What does not exist never changes, so the evidence never gets stale.
    ///
    /// ## Example
    /// ```yaml
    /// subjects: [crates/model/src/rout.rs]
    /// ```
    ///
    /// ## Instead
    /// Correct the path, which is relative to pv.toml. `*` stops at `/`, `**` does not.
    "missing-file", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    let Some(root) = &workspace.repository.root else { return };
    for file in workspace.rooted() {
        let references = file.analysis.outline.iter().flat_map(|outline| &outline.references);
        for Reference { link, name, span, .. } in references {
            if !matches!(link, Link::Artifact | Link::Data | Link::Subject | Link::Pin) {
                continue;
            }
            let found = if matches!(link, Link::Artifact | Link::Subject) && name.contains(['*', '?', '[', '{']) {
                match PathGlob::parse(name) {
                    Ok(glob) => workspace.tree().iter().any(|path| glob.matches(path)),
                    Err(error) => {
                        sink.add(&file.source, *span, format!("`{name}` is no pattern: {error}"));
                        continue;
                    }
                }
            } else {
                root.dir().join(&**name).exists()
            };
            if !found {
                let finding = sink.add(&file.source, *span, format!("`{link}` names `{name}`: no such file"));
                finding.help("paths are relative to pv.toml");
                if let Some(near) = nearest(name, workspace.tree().iter().map(String::as_str)) {
                    finding.label(format!("did you mean `{near}`?"));
                }
            }
        }
    }
}
