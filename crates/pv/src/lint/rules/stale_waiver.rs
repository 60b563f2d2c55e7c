use contract::outline::Deadline;
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

rule! {
    /// A claim was given up until a day that is past.
    ///
    /// ## Why is this bad?
    /// The reason was to be looked at again by then.
    ///
    /// ## Example
    /// ```yaml
    /// waiver: {reason: driver bug, until: 2026-06-30}
    /// ```
    ///
    /// ## Instead
    /// Remove the waiver, or renew it with the reason that holds today.
    "stale-waiver", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    for file in &workspace.files {
        let expiries = file.analysis.outline.iter().flat_map(|outline| &outline.expiries);
        for expiry in expiries.filter(|expiry| expiry.what == Deadline::Waiver && expiry.until < workspace.today) {
            let of = expiry.from.as_deref().unwrap_or_default();
            sink.add(&file.source, expiry.span, format!("the waiver of `{of}` ended on {}", expiry.until));
        }
    }
}
