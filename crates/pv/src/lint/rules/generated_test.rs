use crate::generate::Generated;
use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

rule! {
    /// A generated test is not what its contract asks for, or none can be made from its block.
    ///
    /// ## Why is this bad?
    /// The test that runs is then about an older contract, or about nothing.
    ///
    /// ## Example
    /// ```yaml
    /// generate:
    ///   operation: operations::norm
    ///   sizes: {cols: {from: 32, to: 100, step: 32}}   # 100 is not reached
    ///   random: {cases: 64, seed: 1}
    /// ```
    ///
    /// ## Instead
    /// Mend the block, run `pv generate`, and commit what it writes.
    "generated-test", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    let Some(root) = &workspace.repository.root else { return };
    if !workspace.is_whole() {
        return;
    }
    let generated = Generated::of(workspace);
    for refused in &generated.refused {
        let finding =
            sink.add(&workspace.files[refused.file].source, refused.span, refused.message.clone());
        if let Some(help) = &refused.help {
            finding.help(help.clone());
        }
    }
    for (path, difference) in generated.differences(root.dir()) {
        let start = contract::diagnostic::Span::default();
        let source = workspace.source(&path).unwrap_or_else(|| contract::source::Source::new(&path, ""));
        sink.add(&source, start, format!("{path} {difference}")).help("run `pv generate`");
    }
}
