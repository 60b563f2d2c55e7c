use contract::need::Need;
use contract::outline::{Link, Reference};
use contract::suggest::nearest;
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

rule! {
    /// A falsifier names a host class or a model that pv.toml does not declare.
    ///
    /// ## Why is this bad?
    /// No machine is of that class, so no run ever counts.
    ///
    /// ## Example
    /// ```yaml
    /// hosts: [h100]        # pv.toml declares [host.h200]
    /// ```
    ///
    /// ## Instead
    /// Correct the name, or declare it:
    /// ```toml
    /// [host.h100]
    /// match = { gpu = "NVIDIA H100*" }
    /// ```
    "undeclared-name", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    let settings = &workspace.repository.settings;
    for file in workspace.rooted() {
        let references = file.analysis.outline.iter().flat_map(|outline| &outline.references);
        for Reference { link, name, span, .. } in references {
            let near = match (link, Need::try_from(name.to_string())) {
                (Link::Host, _) if !settings.hosts.contains_key(&**name) => {
                    nearest(name, settings.hosts.keys().map(String::as_str))
                }
                (Link::Need, Ok(Need::Model(model))) if !settings.models.contains_key(&model) => {
                    nearest(&model, settings.models.keys().map(String::as_str))
                }
                _ => continue,
            };
            let what = if *link == Link::Host { "host class" } else { "model" };
            let finding =
                sink.add(&file.source, *span, format!("`{name}` is no {what} that pv.toml declares"));
            if let Some(near) = near {
                finding.label(format!("did you mean `{near}`?"));
            }
        }
    }
}
