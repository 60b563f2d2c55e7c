use contract::hash::Digest;
use contract::outline::Deadline;
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

rule! {
    /// A review counts no longer: its day is past, or what was looked at has changed.
    ///
    /// ## Why is this bad?
    /// People looked at other content, or too long ago.
    ///
    /// ## Example
    /// ```yaml
    /// review: {by: ada, date: 2025-01-10, expires: 2026-01-10, pins: {src/route.rs: "sha256:..."}}
    /// ```
    ///
    /// ## Instead
    /// Look again, and write the new day and digests.
    "expired-review", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    for file in &workspace.files {
        let expiries = file.analysis.outline.iter().flat_map(|outline| &outline.expiries);
        for expiry in expiries.filter(|expiry| expiry.what == Deadline::Review && expiry.until < workspace.today) {
            let of = expiry.from.as_deref().unwrap_or_default();
            sink.add(&file.source, expiry.span, format!("the review of `{of}` ended on {}", expiry.until));
        }
    }
    let Some(root) = &workspace.repository.root else { return };
    for (file, contract) in workspace.bound().filter(|(file, _)| file.rooted) {
        for (index, falsifier) in contract.falsification_tests.iter().enumerate() {
            for (path, digest) in falsifier.review.iter().flat_map(|review| &review.pins) {
                // A file that is gone is reported as missing.
                let Ok(bytes) = std::fs::read(root.dir().join(path)) else { continue };
                let now = Digest::of(&bytes).to_string();
                if now != *digest {
                    let path_step = path.replace('~', "~0").replace('/', "~1");
                    let pointer = format!("/falsification_tests/{index}/review/pins/{path_step}");
                    let message = format!("`{path}` has changed since it was reviewed");
                    sink.add(&file.source, file.span(&pointer), message).label(format!("now {now}"));
                }
            }
        }
    }
}
