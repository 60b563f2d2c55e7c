use contract::Loaded;
use contract::claim::Metric;
use crate::lint::{Check, Sink, falsifiers};

rule! {
    /// What a falsifier is bound to cannot measure its claim's metric.
    ///
    /// A test compares values or counts what it allocates; a command prints a number or succeeds. Speed is measured by a
    /// command, on a host that runs nothing else; a distance between tensors by a test.
    ///
    /// ## Why is this bad?
    /// A test under load measures the load, and a command that exits with zero has compared nothing.
    ///
    /// ## Example
    /// ```yaml
    /// claim: {metric: throughput, bound: {at_least: 500, unit: tok/s}}
    /// test: cargo test -p tests --test it speed::decode
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// claim: {metric: throughput, bound: {at_least: 500, unit: tok/s}}
    /// command: {argv: [apr, bench, "--json", model.gguf]}
    /// ```
    "unmeasurable-metric", Error, &[Check::File(check)]
}

/// The metrics that a command can print or be.
const OF_COMMANDS: &[Metric] = &[
    Metric::Throughput,
    Metric::Latency,
    Metric::Memory,
    Metric::Ratio,
    Metric::Count,
    Metric::Predicate,
];

/// The metrics that only a command on a quiet host measures.
const OF_QUIET_HOSTS: &[Metric] = &[Metric::Throughput, Metric::Latency];

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    for (pointer, falsifier) in falsifiers(loaded) {
        let Some(metric) = falsifier.claim.as_ref().map(|claim| claim.metric) else { continue };
        let name = metric.info().name;
        let wrong = if falsifier.test.is_some() && OF_QUIET_HOSTS.contains(&metric) {
            Some((format!("a test cannot measure `{name}`"), "bind it to a `command` that prints the number"))
        } else if falsifier.command.is_some() && !OF_COMMANDS.contains(&metric) {
            Some((format!("a command cannot measure `{name}`"), "bind it to a `test` that compares"))
        } else {
            None
        };
        if let Some((message, help)) = wrong {
            sink.at(loaded, &format!("{pointer}/claim/metric"), message).help(help);
        }
    }
}
