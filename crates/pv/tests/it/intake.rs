//! What may enter the committed store.

use crate::report::{committed, git, pv, repository};
use contract::evidence::{Statement, sha256_hex};
use contract::hash;
use contract::id::FalsifierId;
use contract::schema::Contract;
use contract::settings::Settings;
use contract::status::facts::Current;
use falsify::{Claim, falsifier};
use pv::content::Content;
use pv::evidence::bundle::{self, BundleError};
use pv::evidence::dsse::{Envelope, PrivateKey};
use pv::evidence::index::Index;
use pv::evidence::intake::{Basis, Candidate, Refusal};
use pv::evidence::source::SourceTree;
use pv::evidence::store::Store;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CONTRACT: &str = r#"
schema: 1
metadata: {id: c-v1, version: 1.0.0, kind: pattern, title: C, description: C., references: [a]}
falsification_tests:
- id: FALSIFY-C-001
  rule: r
  prediction: p
  if_fails: f
  claim: {metric: predicate}
  test: {package: p, target: lib, path: t}
  hosts: [cpu, signed]
  faults: {none: none}
"#;

const SETTINGS: &str = "pv = \"0.1\"\n[host.cpu]\nmatch = { arch = \"x86_64\" }\n[host.signed]\nmatch = {}\n[profile]\nlight = { host = \"cpu\" }\n";

/// 2026-11-20T10:20:00Z.
const NOW: u64 = 1_795_170_000;

struct World {
    contract: Contract,
    settings: Settings,
    current: BTreeMap<FalsifierId, Current>,
    known: BTreeSet<String>,
    source: SourceTree,
}

impl World {
    fn new(key: &PrivateKey) -> Self {
        let contract: Contract = serde_yaml::from_str(CONTRACT).expect("a contract");
        let gate = format!(
            "{SETTINGS}[gate]\nrequire_signature = [\"signed\"]\ntrusted_keys = [\"{}\"]\n",
            key.public()
        );
        let falsifier = &contract.falsification_tests[0];
        let claim = hash::claim(falsifier).expect("a hash").to_string();
        let current = Current { claim: Some(claim), ..Current::default() };
        let current = BTreeMap::from([(falsifier.id.clone(), current)]);
        let source = SourceTree { tree: "1".repeat(40), commit: Some("2".repeat(40)), dirty: false };
        let settings = Settings::parse(&gate).expect("settings");
        Self { current, known: BTreeSet::new(), source, settings, contract }
    }

    fn statement(&self) -> Statement {
        let falsifier = &self.contract.falsification_tests[0];
        let claim = self.current[&falsifier.id].claim.clone().expect("a hash");
        let value = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "source", "digest": {"gitTree": self.source.tree}}],
            "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
            "predicate": {
                "result": "PASSED", "configuration": [], "passedTests": ["p/lib/t"], "warnedTests": [], "failedTests": [],
                "pvEvidence": {
                    "schema": 1, "contract": "c-v1", "falsifier": "FALSIFY-C-001", "fault": null, "faultHits": 0,
                    "axes": {"claim": claim, "statement": "s", "test": "t", "subjects": "u", "deps": "d",
                             "toolchain": "1", "profile": "test", "features": [], "models": {}},
                    "host": {"class": "cpu", "arch": "x86_64", "cpu": "c", "gpu": null, "driver": null},
                    "measure": {"metric": "predicate", "comparisons": 1, "elements": 1, "worst": 0.0, "nan": 0,
                                "cells": {"declared": 0, "hit": 0}},
                    "source": {"commit": null, "dirty": false}, "run": "r",
                    "started": "2026-11-20T10:15:02Z", "wallS": 0.1, "pv": "0.1.0"
                }
            }
        });
        serde_json::from_value(value).expect("a statement")
    }

    fn judge(&self, batch: &[Candidate]) -> Result<(), Vec<Refusal>> {
        let contracts = [&self.contract];
        let basis = Basis {
            contracts: &contracts,
            settings: &self.settings,
            current: &self.current,
            known: &self.known,
            source: Some(&self.source),
            now: NOW,
        };
        basis.judge_all(batch)
    }
}

fn plain(statement: Statement) -> Candidate {
    Candidate { statement, envelope: None }
}

#[falsifier("FALSIFY-EVIDENCE-INTAKE-001")]
fn what_is_not_evidence_of_this_tree_is_refused(claim: &mut Claim) {
    let key = PrivateKey::generate().expect("randomness");
    let stranger = PrivateKey::generate().expect("randomness");
    let world = World::new(&key);
    let whole = world.statement();
    let mut edited = |name: &str, accepted: bool, edit: &dyn Fn(&mut World, &mut Statement)| {
        let mut world = World::new(&key);
        let mut statement = world.statement();
        edit(&mut world, &mut statement);
        let envelope = match name {
            "wrong-signature" => {
                let mut envelope = Envelope::sign(&statement.to_bytes().expect("bytes"), &key);
                statement.predicate.pv_evidence.wall_s = 9.0;
                let other = Envelope::sign(&statement.to_bytes().expect("bytes"), &key);
                envelope.payload = other.payload;
                Some(envelope)
            }
            "stranger" => Some(Envelope::sign(&statement.to_bytes().expect("bytes"), &stranger)),
            "signed" => Some(Envelope::sign(&statement.to_bytes().expect("bytes"), &key)),
            _ => None,
        };
        let judged = world.judge(&[Candidate { statement, envelope }]);
        claim.at("record", name).check(&format!("{judged:?}"), judged.is_ok() == accepted);
    };
    edited("whole", true, &|_, _| {});
    edited("foreign-claim", false, &|_, s| s.predicate.pv_evidence.axes.claim = "sha256:0".to_owned());
    edited("dirty-tree", false, &|world, s| {
        s.predicate.pv_evidence.source.dirty = true;
        world.source.tree = "3".repeat(40);
    });
    // What was run before it was committed is what the commit holds.
    edited("committed-since", true, &|_, s| s.predicate.pv_evidence.source.dirty = true);
    edited("clock-skewed", false, &|_, s| {
        s.predicate.pv_evidence.started = "2026-11-20T11:00:00Z".to_owned()
    });
    edited("foreign-host", false, &|_, s| s.predicate.pv_evidence.host.arch = "riscv64".to_owned());
    edited("undeclared", false, &|_, s| {
        s.predicate.pv_evidence.falsifier = FalsifierId::parse("FALSIFY-C-002").expect("an id");
    });
    edited("replayed", false, &|world, s| {
        world.known.insert(sha256_hex(&s.to_bytes().expect("bytes")));
    });
    edited("unsigned", false, &|_, s| s.predicate.pv_evidence.host.class = "signed".to_owned());
    edited("stranger", false, &|_, s| s.predicate.pv_evidence.host.class = "signed".to_owned());
    edited("signed", true, &|_, s| s.predicate.pv_evidence.host.class = "signed".to_owned());
    edited("wrong-signature", false, &|_, _| {});
    let twice = world.judge(&[plain(whole.clone()), plain(whole)]);
    claim
        .at("record", "twice")
        .check(&format!("{twice:?}"), twice.is_err_and(|refusals| refusals.len() == 1));
}

#[falsifier("FALSIFY-EVIDENCE-BUNDLE-001")]
fn a_bundle_that_was_cut_or_edited_is_none(claim: &mut Claim) {
    let world = World::new(&PrivateKey::generate().expect("randomness"));
    let bytes = bundle::write(&[world.statement(), world.statement()]).expect("a bundle");
    let read = bundle::read(&bytes).map(|records| records.len());
    claim.at("change", "none").check(&format!("{read:?}"), read == Ok(2));
    let refused = |bytes: &[u8]| bundle::read(bytes).is_err();
    let all_cut = (0..bytes.len()).all(|end| refused(&bytes[..end]));
    claim.at("change", "cut").check("at every length", all_cut);
    let flipped = (0..bytes.len()).all(|at| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        refused(&bytes)
    });
    claim.at("change", "edited").check("at every byte", flipped);
    let more = [bytes.as_slice(), b"{}\n"].concat();
    claim
        .at("change", "grown")
        .check("by a line", matches!(bundle::read(&more), Err(BundleError::Count { .. })));
}

#[test]
fn a_spoilt_signature_counts_no_longer_whatever_the_times_of_its_file_say() {
    let key = PrivateKey::generate().expect("randomness");
    let world = World::new(&key);
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::committed(dir.path());
    let statement = world.statement();
    let envelope = Envelope::sign(&statement.to_bytes().expect("bytes"), &key);
    let path = store.add(&statement, Some(&envelope)).expect("a record");
    let kept = dir.path().join("kept/evidence.index");
    let signed_by = || {
        let index = Index::read(&store, &kept).expect("an index");
        index.records.into_values().flatten().next().expect("the record").signed_by
    };
    assert_eq!(signed_by(), Some(key.public().to_string()));
    let time = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a time");
    let mut spoilt = envelope.clone();
    let other = if spoilt.signatures[0].sig.starts_with('A') { "B" } else { "A" };
    spoilt.signatures[0].sig.replace_range(0..1, other);
    fs::write(&path, spoilt.to_bytes()).expect("the record can be spoilt");
    let file = fs::File::options().write(true).open(&path).expect("the record");
    file.set_modified(time).expect("its time can be set");
    assert_eq!(signed_by(), None, "it was not verified again");
}

/// Every file of the committed store with its bytes.
fn stored(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let walk = ignore::WalkBuilder::new(dir.join("evidence")).standard_filters(false).build();
    let files = walk.filter_map(Result::ok).map(ignore::DirEntry::into_path).filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(path).expect("a record"))).collect()
}

const PROGRAM: &str = "schema: 1
metadata: {id: c-v1, version: 1.0.0, kind: pattern, title: C, description: C., references: [a]}
falsification_tests:
- id: FALSIFY-C-001
  rule: r
  prediction: p
  if_fails: f
  claim: {metric: predicate}
  command: {argv: [\"true\"]}
  hosts: [cpu]
  subjects: [subject.txt]
  fresh: [claim, subjects]
  faults: {none: a program}
  status: DISCHARGED
";

/// From a bundle to a status, by the commands: what is refused leaves no trace, and what is taken away takes the
/// status with it.
#[test]
fn a_status_stands_and_falls_with_its_record() {
    let settings =
        "pv = \"0.1\"\n[host.cpu]\nmatch = { arch = \"x86_64\" }\n[profile]\nlight = { host = \"cpu\" }\n";
    let files = [
        ("pv.toml", settings),
        ("contracts/c-v1.yaml", PROGRAM),
        ("subject.txt", "1"),
        (".gitignore", "target\n*.pvb\n"),
    ];
    let dir = repository(&files);
    let dir = dir.path();
    committed(dir);
    let contract: Contract = serde_yaml::from_str(PROGRAM).expect("a contract");
    let parsed = Settings::parse(settings).expect("settings");
    let mut content = Content::read(Path::new("cargo"), dir, &parsed).expect("the tree");
    let held = content.of(&contract.falsification_tests[0]).current;
    let mut statement = World::new(&PrivateKey::generate().expect("randomness")).statement();
    let record = &mut statement.predicate.pv_evidence;
    record.axes.claim = held.claim.expect("a hash");
    record.axes.subjects = held.subjects.expect("a digest");
    record.started = "2026-01-01T00:00:00Z".to_owned();
    let run = |args: &[&str]| {
        let out = pv(dir, args);
        (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let import = |bytes: &[u8]| {
        fs::write(dir.join("b.pvb"), bytes).expect("a bundle");
        run(&["evidence", "import", "b.pvb"])
    };
    let whole = bundle::write(&[statement.clone()]).expect("a bundle");
    let edited = |edit: &dyn Fn(&mut Statement)| {
        let mut statement = statement.clone();
        edit(&mut statement);
        // A sound record beside it is kept out too.
        let mut sound = sound(&whole);
        sound.predicate.pv_evidence.wall_s = 3.0;
        bundle::write(&[statement, sound]).expect("a bundle")
    };
    let tampered = String::from_utf8(whole.clone()).expect("text").replace("\"wallS\":0.1", "\"wallS\":0.2");
    let truncated = whole[..whole.len() - 20].to_vec();
    let refused = [
        (tampered.into_bytes(), 3, "it was edited"),
        (truncated, 3, "it was edited"),
        (
            whole[..whole.iter().position(|byte| *byte == b'\n').expect("a head") + 1].to_vec(),
            3,
            "it was cut or edited",
        ),
        (
            edited(&|s| s.predicate.pv_evidence.axes.claim = "sha256:0".to_owned()),
            1,
            "made for another claim",
        ),
        (edited(&|s| s.predicate.pv_evidence.source.dirty = true), 1, "made from a dirty tree"),
        (
            edited(&|s| s.predicate.pv_evidence.started = "2099-01-01T00:00:00Z".to_owned()),
            1,
            "it started at 2099",
        ),
        (edited(&|s| s.predicate.pv_evidence.host.arch = "riscv64".to_owned()), 1, "is not of host class"),
    ];
    let refuse_all = |before: &BTreeMap<PathBuf, Vec<u8>>| {
        for (bytes, code, reason) in &refused {
            let (got, said) = import(bytes);
            assert!(got == Some(*code) && said.contains(reason), "{reason}: {got:?} {said}");
            assert_eq!(&stored(dir), before, "{reason}: the store has changed");
        }
    };
    refuse_all(&BTreeMap::new());
    let over_claims = |said: &str| said.contains("overclaimed-status");
    let (code, said) = run(&["lint"]);
    assert!(code == Some(1) && over_claims(&said), "nothing supports the declared status: {said}");

    let (code, said) = import(&whole);
    assert_eq!(code, Some(0), "{said}");
    let before = stored(dir);
    assert_eq!(before.len(), 1);
    let (code, said) = import(&whole);
    assert!(code == Some(1) && said.contains("holds this record already"), "replayed: {said}");
    refuse_all(&before);
    let status = || run(&["status", "FALSIFY-C-001"]).1;
    assert!(status().starts_with("FALSIFY-C-001  DISCHARGED"), "{}", status());
    assert!(!over_claims(&run(&["lint"]).1), "{}", run(&["lint"]).1);
    git(dir, &["add", "evidence"]);
    git(dir, &["commit", "--quiet", "-m", "evidence"]);
    assert!(status().starts_with("FALSIFY-C-001  DISCHARGED"), "committing evidence makes nothing stale");
    fs::write(dir.join("subject.txt"), "2").expect("the subject");
    assert!(status().starts_with("FALSIFY-C-001  STALE(subjects)"), "{}", status());
    fs::write(dir.join("subject.txt"), "1").expect("the subject");
    assert!(status().starts_with("FALSIFY-C-001  DISCHARGED"), "{}", status());

    fs::remove_dir_all(dir.join("evidence")).expect("the store");
    assert!(status().starts_with("FALSIFY-C-001  ALGORITHM_LEVEL_DISCHARGED"), "{}", status());
    let (code, said) = run(&["lint"]);
    assert!(code == Some(1) && over_claims(&said), "{said}");
}

/// The record of a bundle of one.
fn sound(bundle: &[u8]) -> Statement {
    bundle::read(bundle).expect("a bundle").remove(0).statement
}
