use crate::lint::{Check, Sink};
use crate::workspace::Workspace;

rule! {
    /// No profile of pv.toml runs a falsifier's test on a host class that it needs.
    ///
    /// ## Why is this bad?
    /// The test is compiled, looks bound, and never runs: in no job, on no machine.
    ///
    /// ## Example
    /// ```yaml
    /// test: {package: model, target: lib, path: "gpu::parity", needs: [cuda]}
    /// hosts: [cpu]
    /// ```
    /// with no profile whose host offers CUDA.
    ///
    /// ## Instead
    /// Declare a profile that runs it, or name the host class that has one:
    /// ```toml
    /// [profile]
    /// gpu = { host = "h200", features = ["model/cuda"] }
    /// ```
    "dark-falsifier", Error, &[Check::Workspace(check)]
}

fn check(workspace: &Workspace, sink: &mut Sink<'_>) {
    let settings = &workspace.repository.settings;
    for (file, contract) in workspace.bound().filter(|(file, _)| file.rooted) {
        for (index, falsifier) in contract.falsification_tests.iter().enumerate() {
            let tests = falsifier.test.as_ref().and_then(|tests| tests.bindings().ok()).unwrap_or_default();
            let tests = tests.iter().map(|test| ("test", &*test.needs, Some(test)));
            let command = falsifier.command.iter().map(|command| ("command", &*command.needs, None));
            let bound: Vec<_> = tests.chain(command).collect();
            // A class that pv.toml does not declare is reported as such.
            for host in falsifier.hosts.iter().filter(|host| settings.hosts.contains_key(*host)) {
                for (key, needs, test) in &bound {
                    let Some(why) = settings.why_dark(host, needs, *test) else { continue };
                    let at = file.span(&format!("/falsification_tests/{index}/{key}"));
                    sink.add(&file.source, at, format!("`{}` never runs", falsifier.id)).label(why);
                }
            }
        }
    }
}
