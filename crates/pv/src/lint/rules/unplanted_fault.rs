use contract::outline::Link;
use contract::suggest::nearest;
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

rule! {
    /// A falsifier must catch a fault that no source plants.
    ///
    /// ## Why is this bad?
    /// The fault cannot be turned on, so the falsifier is never shown to fail and never becomes DISCHARGED.
    ///
    /// ## Example
    /// ```yaml
    /// faults: [router-skip-renorm]
    /// ```
    /// and no `fault!("router-skip-renorm")` in any source.
    ///
    /// ## Instead
    /// Plant it where the code would go wrong:
    /// ```rust
    /// if fault!("router-skip-renorm") { return raw }
    /// ```
    "unplanted-fault", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    for file in workspace.rooted() {
        for fault in file.analysis.outline.iter().flat_map(|outline| outline.referring(Link::Fault)) {
            let planted = workspace.faults();
            if planted.contains_key(&*fault.name) {
                continue;
            }
            let message = format!("no source plants fault `{}`", fault.name);
            let finding = sink.add(&file.source, fault.span, message);
            finding.help(format!("write `fault!(\"{}\")` where the code would go wrong", fault.name));
            if let Some(near) = nearest(&fault.name, planted.keys().map(String::as_str)) {
                finding.label(format!("did you mean `{near}`?"));
                finding.fix(format!("write `{near}`"), fault.span, near);
            }
        }
    }
}
