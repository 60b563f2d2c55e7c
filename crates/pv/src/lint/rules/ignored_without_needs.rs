use contract::Loaded;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// A binding says that its test is ignored and not what the test waits for.
    ///
    /// ## Why is this bad?
    /// `#[ignore]` hides a test from every run that does not ask for it. A test that needs a device or a model says so in
    /// `needs`, and then runs wherever they are.
    ///
    /// ## Example
    /// ```yaml
    /// test: {package: tests, target: "test:it", path: "heavy::parity", ignored: true}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// test: {package: tests, target: "test:it", path: "heavy::parity", ignored: true, needs: [cuda]}
    /// ```
    "ignored-without-needs", Warning, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        let bindings = falsifier.test.iter().filter_map(|test| test.bindings().ok()).flatten();
        if bindings.into_iter().any(|test| test.ignored && test.needs.is_empty()) {
            let message = format!("`{}` is bound to an ignored test that needs nothing", falsifier.id);
            sink.at(loaded, &format!("{pointer}/test"), message)
                .help("say what it waits for with `needs:`, or remove `#[ignore]` and `ignored`");
        }
    }
}
