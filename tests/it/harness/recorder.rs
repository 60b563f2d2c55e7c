//! What the recorder promises, seen from outside: falsifiers end in every way in processes of their own, and the
//! records they left are read.

use contract::evidence::staged::{FINISHED, Finish, STARTED, Staged};
use contract::evidence::{Cause, Outcome};
use contract::id::FalsifierId;
use contract::marker::Marker;
use falsify::__private::{Site, run, run_async};
use falsify::{Claim, falsifier};
use std::path::Path;
use std::process::{Command, Output};

/// The variable that says what [`child`] does.
const BEHAVIOUR: &str = "HARNESS_CHILD";

/// A site of no contract: its records say so by their id.
fn site() -> Site {
    let marker = Marker {
        id: FalsifierId::parse("HARNESS-CHILD").expect("an id"),
        module: "it::harness".to_owned(),
        function: "child".to_owned(),
        file: file!().to_owned(),
        line: line!(),
        body: "sha256:00".to_owned(),
        claim: "sha256:11".to_owned(),
    };
    Site {
        contract: "harness-child",
        claim: r#"{"metric":"max_abs","bound":{"at_most":1.0}}"#,
        if_fails: "nowhere",
        // A site is made at compile time everywhere else.
        marker: Box::leak(marker.encode().into_boxed_str()),
    }
}

/// The child: one falsifier that ends as the parent asks.
#[test]
#[ignore = "started by the tests below as a process of its own"]
fn child() {
    let behaviour = std::env::var_os(BEHAVIOUR).and_then(|word| word.into_string().ok());
    let behaviour = behaviour.expect("the parent says what to do");
    let site = site();
    let good = |c: &mut Claim| c.compare(&1.0_f64, &1.5_f64);
    let bad = |c: &mut Claim| c.compare(&1.0_f64, &9.0_f64);
    let missing = || falsify::require!(data "no/such/file");
    match behaviour.as_str() {
        "passes" => run(&site, good),
        "refuted" => run(&site, bad),
        "returns-error" => run(&site, |c| {
            good(c);
            Err("no good".to_owned())
        }),
        "panics" => run(&site, |c| {
            good(c);
            assert!(c.over("x").len() == 1, "a plain assertion");
        }),
        "exits" => run(&site, |_| leave()),
        "aborts" => run(&site, |_| -> () { std::process::abort() }),
        "skips" | "required" => run(&site, |c| {
            good(c);
            missing();
        }),
        "skips-in-thread" => run(&site, |_| {
            let joined = std::thread::spawn(move || {
                missing();
            });
            if let Err(payload) = joined.join() {
                std::panic::resume_unwind(payload);
            }
        }),
        "vacuous" => run(&site, |_| ()),
        "refuted-then-panics" => run(&site, |c| {
            bad(c);
            assert!(c.over("x").len() == 1, "a plain assertion");
        }),
        "refuted-then-skips" => run(&site, |c| {
            bad(c);
            missing();
        }),
        "async-passes" => block_on(run_async(&site, async |c: &mut Claim| {
            tokio::task::yield_now().await;
            good(c);
        })),
        "async-panics" => block_on(run_async(&site, async |c: &mut Claim| {
            tokio::task::yield_now().await;
            assert!(c.over("x").len() == 1, "a plain assertion");
        })),
        "threads" => std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..8).for_each(|_| run(&site, good)));
            }
        }),
        other => panic!("no such behaviour: {other}"),
    }
}

/// What a test must never do, and what the records must show when it does.
#[expect(clippy::disallowed_methods, reason = "leaving is what is tested")]
fn leave() {
    std::process::exit(0);
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future);
}

/// Starts the child; without a folder no runner asks for records.
fn start(behaviour: &str, evidence: Option<&Path>, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this executable"));
    command
        .args(["--exact", "harness::recorder::child", "--ignored"])
        .env(BEHAVIOUR, behaviour)
        .env("PV_ROOT", home)
        .current_dir(home)
        .env_remove("PV_EVIDENCE_DIR")
        .env_remove("PV_REQUIRE");
    if let Some(dir) = evidence {
        command.env("PV_EVIDENCE_DIR", dir);
    }
    if behaviour == "required" {
        command.env("PV_REQUIRE", "cuda,data");
    }
    command
}

fn child_output(behaviour: &str, evidence: Option<&Path>, home: &Path) -> Output {
    start(behaviour, evidence, home).output().expect("the child starts")
}

/// The entries of a folder whose name ends so. A file that is no entry fails the test.
fn entries(dir: &Path, end: &str) -> Vec<Staged> {
    let files = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
    let wanted = files.filter(|path| path.to_string_lossy().ends_with(end));
    wanted
        .map(|path| serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("a whole entry"))
        .collect()
}

/// How a run of the child reads: how many starts, and what the finish says.
fn seen(dir: &Path) -> (usize, Option<Finish>) {
    let finish = entries(dir, FINISHED).into_iter().find_map(|entry| entry.finish.map(|finish| *finish));
    (entries(dir, STARTED).len(), finish)
}

#[falsifier("FALSIFY-RECORDER-001")]
fn endings_are_told_apart(claim: &mut Claim) {
    let failed =
        |cause| move |outcome: &Outcome| matches!(outcome, Outcome::Failed { cause: c, .. } if *c == cause);
    let passed = |outcome: &Outcome| outcome.is_pass();
    let skipped =
        |outcome: &Outcome| matches!(outcome, Outcome::Skipped { reason } if reason.contains("no/such/file"));
    let error =
        |outcome: &Outcome| matches!(outcome, Outcome::Error { message } if message.contains("PV_REQUIRE"));
    type Expected<'a> = Option<&'a dyn Fn(&Outcome) -> bool>;
    // Ending, what the finish must say (`None`: there must be none), whether the process must succeed.
    let endings: [(&str, Expected<'_>, bool); 14] = [
        ("passes", Some(&passed), true),
        ("refuted", Some(&failed(Cause::Claim)), false),
        ("returns-error", Some(&failed(Cause::Returned)), false),
        ("panics", Some(&failed(Cause::Panic)), false),
        ("exits", None, true),
        ("aborts", None, false),
        ("skips", Some(&skipped), true),
        ("skips-in-thread", Some(&skipped), true),
        ("required", Some(&error), false),
        ("vacuous", Some(&failed(Cause::Vacuous)), false),
        ("refuted-then-panics", Some(&failed(Cause::Claim)), false),
        ("refuted-then-skips", Some(&failed(Cause::Claim)), false),
        ("async-passes", Some(&passed), true),
        ("async-panics", Some(&failed(Cause::Panic)), false),
    ];
    for (ending, expected, succeeds) in endings {
        let dir = tempfile::tempdir().expect("a folder");
        let output = child_output(ending, Some(dir.path()), dir.path());
        let (starts, finish) = seen(dir.path());
        let fits = match (&finish, expected) {
            (Some(finish), Some(expected)) => expected(&finish.outcome),
            (None, None) => true,
            _ => false,
        };
        let mut at = |what: &str, holds| claim.at("ending", ending).check(what, holds);
        at("has one start", starts == 1);
        at(&format!("has its own outcome, not {:?}", finish.map(|f| f.outcome)), fits);
        at(&format!("has its exit status, not {}", output.status), output.status.success() == succeeds);
    }
}

#[falsifier("FALSIFY-RECORDER-002")]
fn parallel_calls_keep_their_records(claim: &mut Claim) {
    let dir = tempfile::tempdir().expect("a folder");
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = start("threads", Some(dir.path()), dir.path());
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            command.spawn().expect("the child starts")
        })
        .collect();
    for mut child in children {
        claim.check("a child ends well", child.wait().expect("a child").success());
    }
    let count = |end| u32::try_from(entries(dir.path(), end).len()).expect("few entries");
    claim.on("starts").measure("count", f64::from(count(STARTED)), "");
    claim.on("finishes").measure("count", f64::from(count(FINISHED)), "");
}

#[falsifier("FALSIFY-RECORDER-003")]
fn a_plain_run_shows_skips_and_writes_nothing(claim: &mut Claim) {
    let home = tempfile::tempdir().expect("a folder");
    let output = child_output("skips", None, home.path());
    let said = String::from_utf8_lossy(&output.stderr);
    let shown = said.contains("HARNESS-CHILD: SKIPPED: no test data tests/data/no/such/file");
    claim.check(&format!("the reason is shown in {said:?}"), shown && output.status.success());
    let written = std::fs::read_dir(home.path()).expect("a folder").count();
    claim.check("nothing is written", written == 0);
}
