//! The host classes: what a machine of each must have, what runs there, and which machines left records.

use super::Basis;
use super::falsifier::machine;
use super::page::{Html, html};
use super::{end_table, table};
use contract::host::HostClass;
use contract::need::format_size;
use contract::schema::Falsifier;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn content(basis: Basis<'_>) -> Html {
    let mut out = Html::default();
    html!(out, "<h1>Hosts</h1>\n");
    let needed = basis.contracts.iter().flat_map(|contract| &contract.falsification_tests);
    let needed: Vec<&Falsifier> = needed.collect();
    let mut classes: BTreeSet<&String> = basis.settings.hosts.keys().collect();
    classes.extend(needed.iter().flat_map(|falsifier| &falsifier.hosts));
    let heads =
        ["Host class", "A machine of it has", "Profiles", "Fresh pass", "Fails", "Stale", "Without a record"];
    let caption = "Host classes, with how many of the falsifiers that need each have what there";
    table(&mut out, "classes", caption, true, &heads);
    for class in classes {
        let profiles = basis.settings.profiles.values().filter(|profile| profile.host == *class);
        let profiles: Vec<_> = profiles.map(|profile| profile.name.as_str()).collect();
        let all = needed.iter().filter(|falsifier| falsifier.hosts.contains(class)).count();
        let reports = basis.status.contracts.iter().flat_map(|contract| &contract.falsifiers);
        let states: Vec<_> = reports.filter_map(|report| report.derived.hosts.get(class)).collect();
        let fails = states.iter().filter(|state| state.failure.is_some()).count();
        let passes = states.iter().filter(|state| state.failure.is_none() && state.pass.is_some()).count();
        let stale = states.iter().filter(|state| !state.stale.is_empty()).count();
        let rest = all.saturating_sub(fails + passes + stale);
        let what = basis
            .settings
            .hosts
            .get(class)
            .map_or_else(|| "pv.toml does not declare it".to_owned(), describe);
        html!(out, "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td>", class, what, profiles.join(", "));
        for count in [passes, fails, stale, rest] {
            html!(out, "<td class=\"number\">{} of {}</td>", count, all);
        }
        html!(out, "</tr>\n");
    }
    end_table(&mut out);
    let mut machines: BTreeMap<(String, String), (usize, &str)> = BTreeMap::new();
    for record in basis.records.values().flatten() {
        let one = machines.entry((record.host.class.clone(), machine(record))).or_insert((0, ""));
        one.0 += 1;
        one.1 = one.1.max(record.started.as_str());
    }
    html!(out, "<h2>Machines</h2>\n");
    if machines.is_empty() {
        html!(out, "<p>No machine left a record.</p>\n");
        return out;
    }
    table(
        &mut out,
        "machines",
        "Machines that left records",
        true,
        &["Machine", "Host class", "Records", "Last record"],
    );
    for ((class, machine), (records, last)) in machines {
        html!(out, "<tr><th scope=\"row\">{}</th><td>{}</td>", machine, class);
        html!(out, "<td class=\"number\">{}</td><td class=\"when\">{}</td></tr>\n", records, last);
    }
    end_table(&mut out);
    out
}

/// What a class asks of a machine.
fn describe(class: &HostClass) -> String {
    let mut parts = Vec::new();
    for (fact, pattern) in
        [("arch", &class.arch), ("os", &class.os), ("cpu", &class.cpu), ("gpu", &class.gpu)]
    {
        parts.extend(
            pattern.as_ref().map(|pattern| format!("{fact} {}", pattern.to_string().trim_matches('`'))),
        );
    }
    parts.extend(class.gpu_memory.map(|bytes| format!("GPU memory of at least {}", format_size(bytes))));
    parts.extend(class.driver.as_ref().map(|range| format!("driver {range}")));
    if class.exclusive {
        parts.push("nothing else running".to_owned());
    }
    if parts.is_empty() { "anything".to_owned() } else { parts.join(", ") }
}
