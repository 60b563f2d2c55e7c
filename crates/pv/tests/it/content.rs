//! Freshness by content: which edit of a repository changes which axis, and which changes none.

use contract::root::Root;
use contract::schema::Falsifier;
use contract::settings::Settings;
use contract::status::facts::Current;
use falsify::{Claim, falsifier};
use pv::content::Content;
use std::path::Path;

/// A repository of two packages, with everything that an axis is made of.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", "[workspace]\nmembers = [\"engine\", \"checks\"]\nresolver = \"3\"\n"),
    (
        "engine/Cargo.toml",
        "[package]\nname = \"engine\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\nwide = []\n",
    ),
    ("engine/src/lib.rs", "//! Docs.\npub mod route;\nmod other;\n"),
    ("engine/src/route.rs", "mod table;\n/// Docs.\npub fn route(x: u32) -> u32 { x + table::STEP }\n"),
    ("engine/src/route/table.rs", "pub const STEP: u32 = 1;\n"),
    ("engine/src/other.rs", "pub fn other() {}\n"),
    (
        "checks/Cargo.toml",
        "[package]\nname = \"checks\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [dev-dependencies]\nengine = { path = \"../engine\" }\n[[test]]\nname = \"it\"\npath = \"it/main.rs\"\n",
    ),
    ("checks/src/lib.rs", ""),
    ("checks/it/main.rs", "mod helper;\nmod router;\nconst TEXT: &str = include_str!(\"table.txt\");\n"),
    ("checks/it/table.txt", "1 2 3\n"),
    ("checks/it/helper.rs", "pub fn helper() -> u32 { 1 }\n"),
    (
        "checks/it/router.rs",
        "use super::helper::helper;\n/// A test.\n#[falsifier(\"F-1\")]\nfn first(claim: &mut Claim) {\n    \
         claim.compare(&2, &engine::route::route(helper()));\n}\n\n#[falsifier(\"F-2\")]\nfn second() {}\n",
    ),
    ("data/router.bin", "0101"),
    ("Cargo.lock", "version = 4\n[[package]]\nname = \"engine\"\nversion = \"0.1.0\"\n"),
    ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\n"),
    ("pv.toml", "pv = \"0.1\"\n[model]\ntiny = { path = \"tiny.gguf\", sha256 = \"SHA\" }\n"),
    ("notes.md", "looked at\n"),
    (
        "contracts/c.yaml",
        "schema: 1\nmetadata: {id: c, version: 1.0.0, kind: kernel, title: T, description: D., references: [a]}\n\
         falsification_tests:\n- id: F-1\n  rule: it routes\n  prediction: so\n  if_fails: there\n  \
         claim: {metric: bitwise, reference: {kind: data, path: data/router.bin}}\n  \
         test: {package: checks, target: \"test:it\", path: \"router::first\", needs: [\"model:tiny\"], timeout_s: 60}\n  \
         subjects: [engine/src/route.rs]\n  faults: [x]\n",
    ),
];

struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().expect("a folder"));
        for (path, text) in FILES {
            repository.write(path, &text.replace("SHA", &"a".repeat(64)));
        }
        repository
    }
    fn root(&self) -> &Path {
        self.0.path()
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.root().join(path)).expect("the file");
        assert!(text.contains(from), "{path} does not hold {from:?}");
        self.write(path, &text.replacen(from, to, 1));
    }
    /// The falsifier, with what the edits of its contract made of it.
    fn falsifier(&self) -> Falsifier {
        let found = Root::at(self.root()).falsifier("F-1").expect("the falsifier");
        found.falsifier().clone()
    }
    fn held(&self) -> Current {
        self.held_by(&self.falsifier())
    }
    fn held_by(&self, falsifier: &Falsifier) -> Current {
        let text = std::fs::read_to_string(self.root().join("pv.toml")).expect("pv.toml");
        let settings = Settings::parse(&text).expect("settings");
        // The cargo that compiled this: one found by its name may be a proxy that wants the toolchain of the folder.
        let cargo = Path::new(env!("CARGO"));
        let mut content = Content::read(cargo, self.root(), &settings).expect("a workspace");
        let held = content.of(falsifier);
        content.store().expect("target can be written");
        assert!(held.missing.is_empty(), "{:?}", held.missing);
        held.current
    }
}

/// The axes in which two states differ, by name.
fn changed(before: &Current, after: &Current) -> String {
    let axes = [
        ("claim", before.claim != after.claim),
        ("statement", before.statement != after.statement),
        ("test", before.test != after.test),
        ("subjects", before.subjects != after.subjects),
        ("deps", before.deps != after.deps),
        ("toolchain", before.toolchain != after.toolchain),
        ("model", before.models != after.models),
    ];
    let named: Vec<&str> = axes.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    if named.is_empty() { "nothing".to_owned() } else { named.join(" ") }
}

type Edit = fn(&Repository);

/// Every kind of edit: its name in the contract, the axes it must change, the edit.
const EDITS: &[(&str, &str, Edit)] = &[
    ("comment", "nothing", |r| r.edit("checks/it/router.rs", "    claim", "    // Why.\n    claim")),
    ("doc-comment", "nothing", |r| r.edit("checks/it/router.rs", "/// A test.", "/// The test.\n/// More.")),
    ("formatting", "nothing", |r| {
        r.edit("checks/it/router.rs", "compare(&2, ", "compare(\n        &2,\n        ")
    }),
    ("subject-comment", "nothing", |r| r.edit("engine/src/route.rs", "/// Docs.", "// Other docs.")),
    ("another-test", "nothing", |r| {
        r.edit("checks/it/router.rs", "fn second() {}", "fn second() { first() }")
    }),
    ("another-module", "nothing", |r| r.edit("engine/src/other.rs", "fn other()", "fn others()")),
    ("evidence", "nothing", |r| r.write("evidence/c/F-1/cpu/x.json", "{}")),
    ("timeout", "nothing", |r| r.edit("contracts/c.yaml", "timeout_s: 60", "timeout_s: 90")),
    ("assertion", "test", |r| r.edit("checks/it/router.rs", "&2", "&3")),
    ("helper", "test", |r| r.edit("checks/it/helper.rs", "{ 1 }", "{ 2 }")),
    ("new-file", "test", |r| {
        r.edit("checks/it/main.rs", "mod helper;", "mod helper;\nmod more;");
        r.write("checks/it/more.rs", "pub fn more() {}\n");
    }),
    ("included-text", "test", |r| r.edit("checks/it/table.txt", "1 2 3", "1 2 4")),
    ("subject", "subjects", |r| r.edit("engine/src/route.rs", "x + ", "x - ")),
    ("subject-module", "subjects", |r| r.edit("engine/src/route/table.rs", "1;", "2;")),
    ("data-file", "subjects", |r| r.write("data/router.bin", "0111")),
    ("bound", "claim", |r| {
        r.edit("contracts/c.yaml", "metric: bitwise", "metric: max_abs, bound: {at_most: 1}")
    }),
    ("binding", "claim", |r| r.edit("contracts/c.yaml", "router::first", "router::second")),
    ("rule", "statement", |r| r.edit("contracts/c.yaml", "it routes", "it routes well")),
    ("dependency", "deps", |r| {
        r.edit("Cargo.lock", "version = \"0.1.0\"\n", "version = \"0.1.0\"\ndependencies = [\"new\"]\n");
        r.write(
            "Cargo.lock",
            &format!(
                "{}\n[[package]]\nname = \"new\"\nversion = \"1.0.0\"\nsource = \"registry\"\n",
                std::fs::read_to_string(r.root().join("Cargo.lock")).expect("the lock")
            ),
        );
    }),
    ("feature", "deps", |r| r.edit("engine/Cargo.toml", "wide = []", "wide = []\ndefault = [\"wide\"]")),
    ("flags", "deps", |r| r.write(".cargo/config.toml", "[build]\nrustflags = [\"-Ctarget-cpu=native\"]\n")),
    ("toolchain", "toolchain", |r| r.edit("rust-toolchain.toml", "1.95.0", "1.96.0")),
    ("model", "model", |r| r.edit("pv.toml", &"a".repeat(64), &"b".repeat(64))),
];

#[falsifier("FALSIFY-EVIDENCE-FRESH-001")]
fn edits_change_their_axes(claim: &mut Claim) {
    let repository = Repository::new();
    let before = repository.held();
    for (name, expected, edit) in EDITS {
        let edited = Repository::new();
        edit(&edited);
        claim.at("edit", *name).compare(*expected, &changed(&before, &edited.held()));
    }
}

#[test]
fn what_was_read_before_is_read_again_when_it_changed() {
    // The same folder, so that the caches of the first reading are there for the second.
    for (name, expected, edit) in EDITS {
        let repository = Repository::new();
        let before = repository.held();
        assert_eq!(changed(&before, &repository.held()), "nothing");
        edit(&repository);
        assert_eq!(changed(&before, &repository.held()), *expected, "{name}");
    }
}

#[test]
fn subjects_are_files_folders_globs_modules_and_packages() {
    let repository = Repository::new();
    let of = |subjects: &[&str]| {
        let mut falsifier = repository.falsifier();
        falsifier.claim = None;
        falsifier.subjects = Some(subjects.iter().map(|s| (*s).to_owned()).collect());
        repository.held_by(&falsifier).subjects
    };
    let route = of(&["engine/src/route.rs", "engine/src/route/table.rs"]);
    for same in [
        &["engine/src/route.rs"][..],
        &["engine/src/route.rs::route"],
        &["engine::route"],
        &["engine/src/rou*.rs"],
        &["engine/src/route/", "engine/src/route.rs"],
    ] {
        assert_eq!(of(same), route, "{same:?}");
    }
    assert_ne!(of(&["engine/src/**"]), route);
    assert_eq!(of(&["engine/src"]), of(&["engine/src/**/*.rs"]));
    // Left out, they are everything that the test is built from.
    let mut falsifier = repository.falsifier();
    falsifier.claim = None;
    falsifier.subjects = None;
    let closure = repository.held_by(&falsifier).subjects;
    assert_eq!(closure, of(&["engine", "checks"]));
}

#[test]
fn a_subject_that_names_nothing_has_no_digest() {
    let repository = Repository::new();
    let settings = Settings::default();
    let mut content = Content::read(Path::new("cargo"), repository.root(), &settings).expect("a workspace");
    for (subject, reason) in [
        ("engine/src/gone.rs", "no file matches the subject `engine/src/gone.rs`"),
        ("engine/src/*.py", "no file matches"),
        ("engine::gone", "no module `engine::gone`"),
        ("nowhere::route", "no module"),
        ("engine/[", "is no glob"),
    ] {
        let mut falsifier = repository.falsifier();
        falsifier.subjects = Some(vec![subject.to_owned()]);
        let held = content.of(&falsifier);
        assert_eq!(held.current.subjects, None, "{subject}");
        let found = held.missing.iter().map(|(_, error)| error.to_string()).collect::<Vec<_>>().join("; ");
        assert!(found.contains(reason), "{subject}: {found}");
    }
}
