use super::*;
use contract::claim::{Cell, Metric};
use contract::evidence::{Cause, Outcome};
use contract::id::FaultName;
use contract::status::facts::MeasureFacts;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

fn facts(file: &str, outcome: Outcome) -> RecordFacts {
    let text = str::to_owned;
    RecordFacts {
        file: text(file),
        falsifier: FalsifierId::parse("FALSIFY-A-1").unwrap(),
        outcome,
        fault: Some(FaultName::parse("a-fault").unwrap()),
        fault_hits: 3,
        axes: Axes {
            claim: text("sha256:1"),
            statement: text("sha256:2"),
            test: text("sha256:3"),
            subjects: text("sha256:4"),
            deps: text("sha256:5"),
            toolchain: text("1.95.0"),
            profile: text("dev"),
            features: vec![text("a"), text("b")],
            models: BTreeMap::from([(text("small"), text("sha256:6"))]),
        }
        .into(),
        host: Host {
            class: text("cpu"),
            arch: text("x86_64"),
            cpu: text("A processor"),
            gpu: Some(text("A device")),
            driver: None,
        }
        .into(),
        measure: Some(MeasureFacts {
            metric: Metric::MaxAbs,
            comparisons: u64::MAX,
            worst: Some(text("NaN")),
            headroom: Some(1.0 / 3.0),
            declared: 4,
            hit: 3,
            missed: vec![BTreeMap::from([
                (text("case"), Cell::Text(text("1"))),
                (text("flag"), Cell::Bool(true)),
                (text("size"), Cell::Int(-1)),
                (text("x"), Cell::Float(0.1)),
            ])],
        }),
        passed: vec![text("p/test:t/a::b")],
        started: text("2026-11-20T10:15:02Z"),
        commit: Some("2".repeat(40)),
        wall_s: 0.25,
        signed_by: Some(text("ed25519:00")),
    }
}

fn file(name: &'static str, held: Held, content: Option<Digest>) -> File<'static> {
    File { name: Cow::Borrowed(OsStr::new(name)), stamp: Stamp::default(), content, envelope: None, held }
}

fn folder(name: &'static str, folders: Vec<Folder<'static>>, files: Vec<File<'static>>) -> Folder<'static> {
    Folder { name: Cow::Borrowed(OsStr::new(name)), stamp: Stamp::default(), folders, files }
}

#[test]
fn what_is_kept_is_what_was_found() {
    let (message, reason) = (String::from("m"), String::from("r"));
    let outcomes = [
        Outcome::Passed,
        Outcome::Failed { cause: Cause::Panic, message: message.clone() },
        Outcome::Skipped { reason: reason.clone() },
        Outcome::Error { message },
    ];
    let mut records: Vec<RecordFacts> =
        outcomes.into_iter().map(|outcome| facts("evidence/c/a.json", outcome)).collect();
    let bare =
        RecordFacts { fault: None, measure: None, commit: None, signed_by: None, ..records[0].clone() };
    records.push(bare);
    let (of_file, of_statement) = (Digest::of(b"file"), Digest::of(b"statement"));
    let mut files: Vec<File<'_>> = records
        .iter()
        .map(|facts| file("a.json", Held::Record(of_statement, Box::new(facts.clone())), Some(of_file)))
        .collect();
    files.push(file("b", Held::Retraction("00ff".to_owned()), Some(of_file)));
    files.push(file("c", Held::Defect(Defect { file: "evidence/c/c".to_owned(), reason }), None));
    let body = form::encode(&folder("", vec![folder("c", Vec::new(), files)], Vec::new())).unwrap();
    let form = Known::decode(&body).unwrap();
    let known = &form.store().folders[0];
    let held = |known: &form::File<'_>| form.held(known, format!("evidence/{}/{}", "c", known.name)).unwrap();
    for (known, facts) in known.files.iter().zip(&records) {
        assert_eq!(known.digest(), Some(of_file));
        let Held::Record(digest, found) = held(known) else { panic!("no record: {facts:?}") };
        assert_eq!((digest, &*found), (of_statement, facts));
    }
    assert!(matches!(held(&known.files[5]), Held::Retraction(retracts) if retracts == "00ff"));
    let defect = held(&known.files[6]);
    assert!(
        matches!(defect, Held::Defect(Defect { file, reason }) if file == "evidence/c/c" && reason == "r")
    );
    assert_eq!(known.files[6].digest(), None);
    for end in 0..body.len() {
        assert!(Known::decode(&body[..end]).is_none(), "cut at {end}");
    }
}

/// What an index says of a known content is taken without verifying anything again, whatever the file's times are;
/// other content is read.
#[test]
fn a_signature_is_verified_once_per_content() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (Store::committed(dir.path()), dir.path().join("kept"));
    let path = store.dir().join("a.dsse.json");
    fs::create_dir_all(store.dir()).unwrap();
    fs::write(&path, "no signature at all").unwrap();
    let content = Digest::of(b"no signature at all");
    let held = Held::Record(content, Box::new(facts("evidence/a.dsse.json", Outcome::Passed)));
    let body = form::encode(&folder("", Vec::new(), vec![file("a.dsse.json", held, Some(content))])).unwrap();
    kept::store(&place, form::NAME, &body).unwrap();
    let read = || Index::read(&store, &place).unwrap();
    for _ in 0..2 {
        let records = read().records.into_values().flatten().collect::<Vec<_>>();
        assert_eq!(records, [facts("evidence/a.dsse.json", Outcome::Passed)]);
    }
    fs::write(&path, "No signature at all").unwrap();
    assert_eq!((read().records.len(), read().defects.len()), (0, 1));
}

/// A file whose reason for being no record tells its content, the same number of bytes for each of them.
fn newer(schema: u32) -> String {
    format!("{{\"predicate\":{{\"pvEvidence\":{{\"schema\":{schema}}}}}}}")
}

/// Long enough for a stamp to be relied on.
const SETTLED: Duration = Duration::from_millis(2100);

#[test]
fn an_index_notices_every_change_and_is_left_alone_without_one() {
    type Change = (&'static str, fn(&Path));
    let put = |path: PathBuf, schema| fs::write(path, newer(schema)).unwrap();
    fn time(path: &Path) -> SystemTime {
        fs::metadata(path).unwrap().modified().unwrap()
    }
    fn set(path: &Path, time: SystemTime) {
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    let changes: [Change; 10] = [
        ("another content", |dir| fs::write(dir.join("c/f/a.json"), newer(12)).unwrap()),
        ("another content of the same size and time", |dir| {
            let path = dir.join("c/f/a.json");
            let before = time(&path);
            fs::write(&path, newer(3)).unwrap();
            set(&path, before);
        }),
        ("another file of the same size and time in its place", |dir| {
            let path = dir.join("c/f/a.json");
            let (before, folder) = (time(&path), dir.join("c/f"));
            fs::write(dir.join("other"), newer(4)).unwrap();
            set(&dir.join("other"), before);
            fs::rename(dir.join("other"), &path).unwrap();
            assert!(folder.is_dir());
        }),
        ("a new file", |dir| fs::write(dir.join("c/f/c.json"), newer(5)).unwrap()),
        ("a file gone", |dir| fs::remove_file(dir.join("c/f/a.json")).unwrap()),
        ("another name", |dir| fs::rename(dir.join("c/f/a.json"), dir.join("c/f/d.json")).unwrap()),
        ("two names exchanged", |dir| {
            fs::rename(dir.join("c/f/a.json"), dir.join("c/f/x.json")).unwrap();
            fs::rename(dir.join("c/f/b.json"), dir.join("c/f/a.json")).unwrap();
            fs::rename(dir.join("c/f/x.json"), dir.join("c/f/b.json")).unwrap();
        }),
        ("a folder gone", |dir| fs::remove_dir_all(dir.join("c/f")).unwrap()),
        ("a new folder", |dir| {
            fs::create_dir_all(dir.join("b/g")).unwrap();
            fs::write(dir.join("b/g/a.json"), newer(6)).unwrap();
        }),
        ("everything gone", |dir| fs::remove_dir_all(dir).unwrap()),
    ];
    let dir = tempfile::tempdir().unwrap();
    let store = |at: usize| Store::below(dir.path(), &format!("store{at}"));
    let kept = |at: usize| dir.path().join(format!("kept/{at}"));
    for at in 0..changes.len() {
        fs::create_dir_all(store(at).dir().join("c/f")).unwrap();
        put(store(at).dir().join("c/f/a.json"), 2);
        put(store(at).dir().join("c/f/b.json"), 9);
        put(store(at).dir().join("top.json"), 7);
    }
    std::thread::sleep(SETTLED);
    for (at, (name, change)) in changes.iter().enumerate() {
        let read = || Index::read(&store(at), &kept(at)).unwrap();
        let first = read();
        assert_eq!(first.defects.len(), 3, "{name}");
        let written = Stamp::of(&kept(at)).unwrap().inode;
        assert_eq!(read(), first, "{name}");
        assert_eq!(Stamp::of(&kept(at)).unwrap().inode, written, "{name}: it was written again");
        change(store(at).dir());
        let fresh = Index::read(&store(at), &dir.path().join(format!("kept/fresh{at}"))).unwrap();
        assert_ne!(fresh, first, "{name}: the change changes nothing");
        // Once with what was known before, once with what is known now.
        assert_eq!(read(), fresh, "{name}");
        assert_eq!(read(), fresh, "{name}");
    }
}

#[test]
fn a_damaged_index_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, place) = (Store::committed(dir.path()), dir.path().join("kept"));
    fs::create_dir_all(store.dir()).unwrap();
    fs::write(store.dir().join("a.json"), newer(2)).unwrap();
    let read = || Index::read(&store, &place).unwrap();
    let first = read();
    let whole = fs::read(&place).unwrap();
    let at = whole.windows(6).position(|window| window == b"a.json").unwrap();
    for (from, to) in [(at, b'b'), (whole.len() - 1, 0xff), (0, b'x')] {
        let mut bytes = whole.clone();
        bytes[from] = to;
        fs::write(&place, bytes).unwrap();
        assert_eq!(read(), first);
        assert_eq!(fs::read(&place).unwrap().len(), whole.len());
    }
}
