//! `pv dashboard`: every falsifier has its page, no text becomes markup, every link leads somewhere, nothing is loaded.

use crate::report::{pv, repository};
use contract::date::Date;
use contract::evidence::{Axes, Cause, Host, Outcome};
use contract::id::{FalsifierId, FaultName};
use contract::schema::Contract;
use contract::settings::Settings;
use contract::status::facts::{Current, MeasureFacts, RecordFacts};
use pv::dashboard::folder::{FolderError, replace};
use pv::dashboard::source::{Excerpt, Tests};
use pv::dashboard::{self, Draft, pages};
use pv::stamp::Stamp;
use pv::status;
use pv::status::tone::Tone;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Text that would become an element, or end an attribute.
const HOSTILE: &str = "<script>alert(1)</script>\" onload='x' & <x-hostile>";

const CONTRACTS: [&str; 2] = [
    r#"
schema: 1
metadata: {id: a-v1, version: 1.0.0, kind: kernel, title: "HOSTILE", description: "HOSTILE", references: ["HOSTILE"]}
equations: {e: {formula: "HOSTILE"}}
proof_obligations:
- {id: OBL-A, type: bound, property: "HOSTILE"}
implementation_stages:
- {id: M-1, description: "HOSTILE", accepts: [FALSIFY-A-1]}
- {id: M-2, description: more, after: [M-1], accepts: [FALSIFY-A-1, FALSIFY-B-1]}
falsification_tests:
- id: FALSIFY-A-1
  rule: "HOSTILE"
  prediction: "HOSTILE"
  if_fails: "HOSTILE"
  obligations: [OBL-A]
  claim: {metric: max_abs, bound: {at_most: 1.0e-3}, why: "HOSTILE", over: {n: ["HOSTILE"]}, reference: {kind: analytic, name: "HOSTILE"}}
  test: {package: m, target: lib, path: "a::t"}
  hosts: [cpu, far]
  subjects: ["HOSTILE"]
  faults: [adds-one, drops-one]
- id: FALSIFY-A-2
  rule: r
  prediction: p
  if_fails: i
  proposed: {reason: "HOSTILE"}
"#,
    r#"
schema: 1
metadata: {id: b-v1, version: 1.0.0, kind: kernel, title: B, description: d, references: [r], depends_on: [a-v1, gone-v1]}
falsification_tests:
- id: FALSIFY-B-1
  rule: r
  prediction: p
  if_fails: i
  claim: {metric: predicate}
  command: {argv: ["HOSTILE"]}
  faults: {none: "HOSTILE"}
  waiver: {reason: "HOSTILE", until: "2027-01-01"}
"#,
];

const SETTINGS: &str =
    "pv = \"0.1\"\n[host.cpu]\nmatch = { arch = \"x86_64\" }\n[profile]\nlight = { host = \"cpu\" }\n";

fn record(started: &str, outcome: Outcome, fault: Option<&str>, worst: &str) -> RecordFacts {
    let digest = || "1".to_owned();
    RecordFacts {
        file: format!("evidence/{started}-{HOSTILE}.json"),
        falsifier: FalsifierId::parse("FALSIFY-A-1").unwrap(),
        outcome,
        fault: fault.map(|fault| FaultName::parse(fault).unwrap()),
        fault_hits: 3,
        axes: Axes {
            claim: digest(),
            statement: digest(),
            test: digest(),
            subjects: digest(),
            deps: digest(),
            toolchain: digest(),
            profile: "light".to_owned(),
            features: Vec::new(),
            models: BTreeMap::new(),
        }
        .into(),
        host: Host {
            class: "cpu".to_owned(),
            arch: "x86_64".to_owned(),
            cpu: HOSTILE.to_owned(),
            gpu: None,
            driver: None,
        }
        .into(),
        measure: Some(MeasureFacts {
            metric: contract::claim::Metric::MaxAbs,
            comparisons: 7,
            worst: Some(worst.to_owned()),
            headroom: worst.parse().ok().map(|worst: f64| 1e-3 / worst),
            declared: 1,
            hit: 1,
            missed: Vec::new(),
        }),
        passed: vec!["m/lib/a::t".to_owned()],
        started: started.to_owned(),
        commit: Some(HOSTILE.to_owned()),
        wall_s: 0.5,
        signed_by: None,
    }
}

/// A file of a site, drawn.
struct Page {
    path: String,
    text: String,
}

/// The pages of a site over every kind of thing that a page shows, with hostile text wherever text can stand.
fn site() -> Vec<Page> {
    files().into_iter().filter(|page| page.path.ends_with(".html")).collect()
}

fn drawn(page: Page) -> Draft<'static> {
    Draft::new(page.path, move || page.text.clone())
}

/// The whole site.
fn files() -> Vec<Page> {
    let contracts = CONTRACTS.map(|text| {
        let hostile = serde_json::to_string(HOSTILE).unwrap();
        serde_yaml::from_str::<Contract>(&text.replace("\"HOSTILE\"", &hostile)).unwrap()
    });
    let contracts: Vec<&Contract> = contracts.iter().collect();
    let settings = Settings::parse(SETTINGS).unwrap();
    let red = || Outcome::Failed { cause: Cause::Claim, message: HOSTILE.to_owned() };
    let records = [
        record("2026-11-01T00:00:00Z", Outcome::Passed, None, "0.0004"),
        record("2026-11-02T00:00:00Z", Outcome::Passed, None, "1e-7"),
        record("2026-11-03T00:00:00Z", Outcome::Error { message: HOSTILE.to_owned() }, None, "NaN"),
        record("2026-11-04T00:00:00Z", red(), Some("adds-one"), "1.0"),
        record("2026-11-05T00:00:00Z", Outcome::Passed, Some("drops-one"), "1e-7"),
        record("2026-11-05T00:00:01Z", red(), Some("undeclared-one"), "1.0"),
    ];
    let records = BTreeMap::from([(FalsifierId::parse("FALSIFY-A-1").unwrap(), records.to_vec())]);
    let digest = || Some("1".to_owned());
    let current =
        Current { claim: digest(), test: digest(), subjects: digest(), deps: digest(), ..Current::default() };
    let current = BTreeMap::from([(FalsifierId::parse("FALSIFY-A-1").unwrap(), current)]);
    let today = Date::parse("2026-11-21").unwrap();
    let basis = status::Basis {
        contracts: &contracts,
        settings: &settings,
        bindings: None,
        current: &current,
        records: &records,
        today: Some(today),
    };
    let status = status::of(basis).unwrap();
    let excerpt = Excerpt { file: "src/a.rs".to_owned(), line: 3, text: format!("fn t() {{ {HOSTILE} }}") };
    let tests = Tests {
        of: BTreeMap::from([("FALSIFY-A-1".to_owned(), vec![excerpt])]),
        files: BTreeMap::from([("src/a.rs".to_owned(), format!("\n\nfn t() {{ {HOSTILE} }}\n"))]),
    };
    let (unheld, notes) = (BTreeMap::new(), [HOSTILE.to_owned()]);
    let drafts = pages(dashboard::Basis {
        contracts: &contracts,
        settings: &settings,
        records: &records,
        current: &current,
        unheld: &unheld,
        status: &status,
        tests: &tests,
        notes: &notes,
        today,
    });
    drafts.unwrap().into_iter().map(|draft| Page { text: draft.text(), path: draft.path }).collect()
}

/// The values of an attribute on a page.
fn values<'p>(page: &'p Page, attribute: &str) -> Vec<&'p str> {
    let start = format!(" {attribute}=\"");
    page.text.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

fn of<'s>(site: &'s [Page], path: &str) -> &'s Page {
    site.iter().find(|page| page.path == path).unwrap_or_else(|| panic!("no page {path}"))
}

#[test]
fn every_falsifier_and_contract_has_its_page() {
    let site = site();
    let paths: BTreeSet<&str> = site.iter().map(|page| page.path.as_str()).collect();
    assert_eq!(paths.len(), site.len());
    let wanted = BTreeSet::from([
        "index.html",
        "faults.html",
        "hosts.html",
        "graph.html",
        "contract/a-v1.html",
        "contract/b-v1.html",
        "falsifier/FALSIFY-A-1.html",
        "falsifier/FALSIFY-A-2.html",
        "falsifier/FALSIFY-B-1.html",
        "source/src/a.rs.html",
    ]);
    assert_eq!(paths, wanted);
    let one = &of(&site, "falsifier/FALSIFY-A-1.html").text;
    for part in [
        "FUNCTIONAL",
        "host far: pv.toml declares no such host class",
        "fault drops-one: not caught: the run was green with the fault armed",
        "at most 1e-3",
        "the claim ends at 1e-3",
        "newest 1e-7",
        "1 of 3 values are not finite",
        "<a href=\"../source/src/a.rs.html#L3\"><code>src/a.rs:3</code></a>",
        "<td class=\"number\">10000.000</td>",
    ] {
        assert!(one.contains(part), "{part} is not on {one}");
    }
    assert_eq!(one.matches("<circle").count(), 4, "two values and two headrooms");
    let index = &of(&site, "index.html").text;
    assert!(index.contains("3 declared = 1 PROPOSED + 1 FUNCTIONAL + 1 WAIVED"), "{index}");
    assert!(of(&site, "faults.html").text.contains("1 of 2 declared pairs"));
    assert!(of(&site, "faults.html").text.contains("red, though not declared"));
}

#[test]
fn badges_say_what_follows_with_its_denominator() {
    let files = files();
    let whole = &of(&files, "badge.svg").text;
    assert!(whole.contains("falsifiers: 0 of 3 DISCHARGED\""), "{whole}");
    assert!(whole.contains(Tone::Warn.ground()), "PROPOSED and WAIVED are to be worked on: {whole}");
    let one = &of(&files, "badge/a-v1.svg").text;
    assert!(
        one.contains("a-v1: PROPOSED: 0 of 2 DISCHARGED\"") && one.contains(Tone::Warn.ground()),
        "{one}"
    );
    for Page { path, text } in files.iter().filter(|page| page.path.ends_with(".svg")) {
        assert!(!text.contains("href") && !text.contains("url(") && !text.contains("<script"), "{path}");
        // The namespace is a name and no address.
        assert_eq!(text.matches("//").count(), 1, "{path}: {text}");
    }
}

#[test]
fn a_badge_follows_the_status() {
    let contract = |proposed: &str| {
        format!(
            "schema: 1\nmetadata: {{id: a-v1, version: 1.0.0, kind: kernel, title: t, description: d, references: [r]}}\n\
             falsification_tests:\n- {{id: FALSIFY-A-1, rule: r, prediction: p, if_fails: i, {proposed}}}\n"
        )
    };
    let proposed = contract("proposed: {reason: later}");
    let dir = repository(&[("pv.toml", SETTINGS), ("contracts/a-v1.yaml", &proposed)]);
    let badge = |args: &[&str]| {
        let args: Vec<&str> = ["status", "--format", "badge"].iter().chain(args).copied().collect();
        pv(dir.path(), &args)
    };
    let text = |args: &[&str]| String::from_utf8(badge(args).stdout).unwrap();
    assert!(text(&[]).contains("falsifiers: 0 of 1 DISCHARGED\""), "{}", text(&[]));
    assert!(text(&["a-v1"]).contains("a-v1: PROPOSED: 0 of 1 DISCHARGED\""), "{}", text(&["a-v1"]));
    let kept = ["--output", "badge.svg"];
    badge(&kept);
    let check = || badge(&[&kept[..], &["--check"]].concat());
    assert!(!String::from_utf8(check().stderr).unwrap().contains("is not what follows"));
    let pin = contract::evidence::sha256_hex(b"1");
    fs::write(dir.path().join("a.txt"), "1").unwrap();
    // A review that counts asks for nothing more, and one past its day is wrong; a badge has no day.
    let reviewed = contract(&format!(
        "review: {{by: me, date: \"2020-01-01\", expires: \"2020-06-01\", pins: {{a.txt: \"sha256:{pin}\"}}}}"
    ));
    fs::write(dir.path().join("contracts/a-v1.yaml"), reviewed).unwrap();
    assert!(String::from_utf8(check().stderr).unwrap().contains("is not what follows"), "{:?}", check());
    assert!(text(&[]).contains(Tone::Good.ground()), "{}", text(&[]));
    let unknown = badge(&["a-v2"]);
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(unknown.status.code() == Some(3) && said.contains("did you mean `a-v1`?"), "{said}");
}

#[test]
fn no_text_becomes_markup_and_nothing_is_loaded() {
    for page in site() {
        let Page { path, text } = &page;
        assert!(!text.contains("<script>alert") && !text.contains("<x-hostile"), "{path}: {text}");
        assert!(!text.contains("\" onload='"), "{path}");
        for attribute in ["src", "href", "srcset", "data", "action", "poster"] {
            for value in values(&page, attribute) {
                assert!(!value.contains("//") && !value.contains(':'), "{path}: {attribute}={value}");
            }
        }
        assert!(!text.contains("@import") && !text.contains("url("), "{path}");
        balanced(&page);
    }
    // Rule, prediction, advice, three parts of the claim, subject, test, and four parts of records.
    let shown = |path: &str| of(&site(), path).text.matches("&lt;x-hostile&gt;").count();
    assert!(shown("falsifier/FALSIFY-A-1.html") >= 12, "{}", shown("falsifier/FALSIFY-A-1.html"));
    assert_eq!(shown("falsifier/FALSIFY-B-1.html"), 3, "command, faults and waiver");
}

/// Every element ends, in the order in which they began.
fn balanced(page: &Page) {
    const VOID: &[&str] = &["!doctype", "meta", "input"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.text.as_str();
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let end = tag.find('>').unwrap();
        let name = tag[..end].split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        rest = &tag[end + 1..];
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{}: {:.80}", page.path, tag);
        } else if !VOID.contains(&name) && !tag[..end].ends_with('/') {
            open.push(name);
            if ["script", "style"].contains(&name) {
                rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "{}", page.path);
}

#[test]
fn every_link_leads_to_a_page_and_a_place_on_it() {
    let site = site();
    let mut links = 0;
    for page in &site {
        let ids = values(page, "id");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{}: {ids:?}", page.path);
        for href in values(page, "href") {
            let (path, fragment) = href.split_once('#').unwrap_or((href, ""));
            let mut folder: Vec<&str> = page.path.split('/').collect();
            folder.pop();
            for part in path.split('/') {
                match part {
                    ".." => {
                        folder.pop();
                    }
                    part => folder.push(part),
                }
            }
            let target = if path.is_empty() { page.path.clone() } else { folder.join("/") };
            let target = of(&site, &target);
            // `#status=STALE` is a filter of the table and names no place.
            let filter = fragment.starts_with("status=");
            let found = fragment.is_empty() || filter || values(target, "id").contains(&fragment);
            assert!(found, "{} leads to {href}", page.path);
            links += 1;
        }
    }
    assert!(links > 60, "{links}");
}

#[test]
fn pages_can_be_used_by_keyboard_and_read_aloud() {
    for page in site() {
        let text = &page.text;
        for part in
            ["<html lang=", "<main id=\"content\"", "<nav aria-label=", "href=\"#content\"", "<title>"]
        {
            assert!(text.contains(part), "{} has no {part}", page.path);
        }
        assert_eq!(text.matches("<h1>").count(), 1, "{}", page.path);
        assert_eq!(text.matches("<table").count(), text.matches("<caption>").count(), "{}", page.path);
        assert_eq!(text.matches("<svg").count(), text.matches("<svg role=").count(), "{}", page.path);
        assert_eq!(
            text.matches("<input").count() + text.matches("<select").count(),
            text.matches("<label").count()
        );
    }
}

#[test]
fn a_site_replaces_a_site_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    let dir = place.path().join("some/site");
    let site: Vec<Draft<'_>> = site().into_iter().map(drawn).collect();
    replace(&dir, root.path(), &site, false).unwrap();
    // A page that is as it was is not written again; one that is not is, also when it is as long.
    let stamps = || ["index.html", "graph.html"].map(|page| Stamp::of(&dir.join(page)).unwrap().inode);
    let (before, right) = (stamps(), fs::read(dir.join("index.html")).unwrap());
    fs::write(dir.join("index.html"), "x".repeat(right.len())).unwrap();
    replace(&dir, root.path(), &site, false).unwrap();
    assert_eq!(fs::read(dir.join("index.html")).unwrap(), right);
    assert_eq!([stamps()[0] == before[0], stamps()[1] == before[1]], [false, cfg!(unix)]);
    replace(&dir, root.path(), &site[..4], false).unwrap();
    assert!(!dir.join("falsifier").exists(), "pages of the earlier site are gone");
    fs::write(dir.join("mine.txt"), "mine").unwrap();
    let refused = replace(&dir, root.path(), &site, false).unwrap_err();
    assert!(matches!(&refused, FolderError::Foreign { found, .. } if found == "mine.txt"), "{refused}");
    assert!(dir.join("mine.txt").exists() && !dir.join("falsifier").exists(), "nothing has changed");
    replace(&dir, root.path(), &site, true).unwrap();
    assert!(!dir.join("mine.txt").exists() && dir.join("falsifier/FALSIFY-A-1.html").exists());
    let inside = dir.join("repository");
    fs::create_dir(&inside).unwrap();
    assert!(matches!(replace(&dir, &inside, &site, true).unwrap_err(), FolderError::Root { .. }));
    let left: Vec<_> = fs::read_dir(dir.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing half-written is left: {left:?}");
}

#[test]
fn the_command_writes_the_site_of_a_repository() {
    let contract = CONTRACTS[1].replace(", depends_on: [a-v1, gone-v1]", "");
    let dir = repository(&[("pv.toml", SETTINGS), ("contracts/b-v1.yaml", contract.trim_start())]);
    let out = pv(dir.path(), &["dashboard", "-o", "site"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let index = fs::read_to_string(dir.path().join("site/index.html")).unwrap();
    assert!(index.contains("FALSIFY-B-1") && index.contains("1 declared = 1 WAIVED"), "{index}");
    assert_eq!(pv(dir.path(), &["dashboard", "-o", "contracts"]).status.code(), Some(3));
    assert_eq!(pv(dir.path(), &["dashboard", "-o", ".", "--force"]).status.code(), Some(3));
    assert!(dir.path().join("contracts/b-v1.yaml").exists());
}
