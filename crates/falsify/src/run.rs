//! One call of one falsifier: record the start, run the body, judge what it compared and what became of it, record
//! that, and tell the test harness.
//!
//! The value of the body is judged, not a guard's drop: a returned error, a panic, an unmet need and a plain end
//! are four different things.

use crate::claim::Claim;
use crate::recorder::{self, Recorder};
use crate::require::Unmet;
use contract::evidence::staged::{Finish, SCHEMA, Staged};
use contract::evidence::tally::Judgement;
use contract::evidence::{Cause, Outcome};
use contract::id::{ContractId, FalsifierId, FaultName};
use contract::marker::{self, Marker};
use fault::fault;
use std::any::Any;
use std::fmt::Display;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What the expansion of `#[falsifier]` knows.
#[derive(Debug)]
pub struct Site {
    /// The contract's id.
    pub contract: &'static str,
    /// The claim as JSON, from the contract.
    pub claim: &'static str,
    /// The contract's advice for a failure.
    pub if_fails: &'static str,
    /// The marker: id, place in the source, hashes.
    pub marker: &'static str,
}

/// What a body may return.
#[diagnostic::on_unimplemented(
    message = "a falsifier returns `()` or `Result<(), E>` with `E: Display`, not `{Self}`",
    label = "no verdict can be read from this"
)]
pub trait Verdict {
    /// The error, if the body returned one.
    fn error(self) -> Option<String>;
}

impl Verdict for () {
    fn error(self) -> Option<String> {
        None
    }
}

impl<E: Display> Verdict for Result<(), E> {
    fn error(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// Runs a body.
pub fn run<V: Verdict>(site: &Site, body: impl FnOnce(&mut Claim) -> V) {
    let mut call = Call::start(site);
    let ended = catch_unwind(AssertUnwindSafe(|| body(&mut call.claim).error()));
    call.finish(ended);
}

/// Runs an asynchronous body on whatever runtime awaits it.
pub async fn run_async<V: Verdict>(site: &Site, body: impl AsyncFnOnce(&mut Claim) -> V) {
    let mut call = Call::start(site);
    let mut future = Box::pin(async { body(&mut call.claim).await.error() });
    let ended = std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => std::task::Poll::Ready(Err(payload)),
        }
    })
    .await;
    drop(future);
    call.finish(ended);
}

/// How a body ended: with an error perhaps, or by unwinding.
type Ended = Result<Option<String>, Box<dyn Any + Send>>;

struct Call<'s> {
    site: &'s Site,
    marker: Marker,
    claim: Claim,
    recorder: Recorder,
    clock: Instant,
}

impl<'s> Call<'s> {
    /// Everything in a site was checked when it was made; a site that does not read is another version's.
    #[expect(clippy::panic, reason = "a test is failed by a panic; this one names the mistake")]
    fn start(site: &'s Site) -> Self {
        let read = || {
            let marker = marker::scan(site.marker.as_bytes()).pop().ok_or("its marker")?;
            let contract = ContractId::parse(site.contract).map_err(|_| "its contract")?;
            let claim = serde_json::from_str(site.claim).map_err(|_| "its claim")?;
            Ok::<_, &str>((marker, contract, Claim::new(claim)))
        };
        let (marker, contract, claim) = read().unwrap_or_else(|what| {
            panic!("this falsifier was expanded by another version of `falsify-macros`: {what} does not read")
        });
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let recorder = Recorder::start(|key| Staged {
            schema: SCHEMA,
            key,
            contract,
            falsifier: marker.id.clone(),
            test: marker.test_path(),
            claim: marker.claim.clone(),
            body: marker.body.clone(),
            faults_compiled: fault::COMPILED,
            fault: fault::armed().and_then(|name| FaultName::parse(name).ok()),
            started_ms: u64::try_from(started).unwrap_or(u64::MAX),
            finish: None,
        })
        .unwrap_or_else(|error| {
            panic!("{}: no record can be written to PV_EVIDENCE_DIR: {error}", marker.id)
        });
        Self { site, marker, claim, recorder, clock: Instant::now() }
    }

    #[expect(clippy::panic, reason = "a test is failed by a panic; this one names the mistake")]
    fn finish(self, ended: Ended) {
        let wall_s = self.clock.elapsed().as_secs_f64();
        let Self { site, marker, claim, recorder, .. } = self;
        let id = &marker.id;
        let (ended, payload) = match ended {
            Ok(None) => (End::Done, None),
            Ok(Some(error)) => (End::Returned(error), None),
            Err(payload) => match payload.downcast::<Unmet>() {
                Ok(unmet) => (End::Unmet(*unmet), None),
                Err(payload) => (End::Panicked(text(&*payload)), Some(payload)),
            },
        };
        let verdict = judge(claim, ended);
        let Judgement { measure, outcome, hit, report } = verdict;
        let measure = (!matches!(outcome, Outcome::Skipped { .. })).then_some(measure);
        let finish = Finish {
            outcome: outcome.clone(),
            measure,
            hit,
            fault_hits: fault::hits(),
            wall_s,
            models: recorder::models(),
        };
        if let Err(error) = recorder.finish(finish) {
            panic!("{id}: no record can be written to PV_EVIDENCE_DIR: {error}");
        }
        match outcome {
            Outcome::Passed => {
                for line in report {
                    eprintln!("{id}: {line}");
                }
            }
            // Not through `eprintln!`, which the harness captures: a skip is to be seen.
            Outcome::Skipped { reason } if fault!("skip-is-captured") => eprintln!("{id}: SKIPPED: {reason}"),
            Outcome::Skipped { reason } => say(&format!("{id}: SKIPPED: {reason}")),
            Outcome::Failed { message, cause } => {
                eprintln!("{}", failure(id, cause, &message, &report, site.if_fails));
                resume_unwind(payload.unwrap_or_else(|| Box::new(message)));
            }
            Outcome::Error { message } => {
                eprintln!("{id} could not be judged: {message}");
                resume_unwind(payload.unwrap_or_else(|| Box::new(message)));
            }
        }
    }
}

/// How a body ended, told apart.
enum End {
    Done,
    Returned(String),
    Panicked(String),
    Unmet(Unmet),
}

/// What was compared and how the body ended, as one outcome. A claim refuted before the body broke off stays
/// refuted; a claim that held until then was not established.
fn judge(claim: Claim, end: End) -> Judgement {
    let refuted = claim.is_refuted();
    let mut judgement = claim.judge();
    let misused = matches!(judgement.outcome, Outcome::Failed { cause: Cause::Misuse, .. });
    let ended = match end {
        End::Done => return judgement,
        End::Returned(_) if fault!("runner-drops-returned-error") => return judgement,
        End::Returned(error) => Outcome::Failed { cause: Cause::Returned, message: error },
        End::Panicked(message) => Outcome::Failed { cause: Cause::Panic, message },
        End::Unmet(unmet) if unmet.required => {
            Outcome::Error { message: format!("a need listed in PV_REQUIRE is not met: {}", unmet.reason) }
        }
        End::Unmet(unmet) => Outcome::Skipped { reason: unmet.reason },
    };
    let line = match &ended {
        Outcome::Failed { cause: Cause::Returned, message } => format!("the body returned: {message}"),
        Outcome::Failed { message, .. } => format!("the body panicked: {message}"),
        Outcome::Skipped { reason } => format!("the body was left: {reason}"),
        Outcome::Error { message } => message.clone(),
        Outcome::Passed => String::new(),
    };
    if refuted && !misused {
        judgement.report.push(line);
        return judgement;
    }
    // What was not reached says nothing when the body broke off.
    judgement.report = vec![line];
    judgement.outcome = ended;
    judgement
}

/// The text of a panic's payload.
fn text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a payload that is no text".to_owned())
}

fn failure(id: &FalsifierId, cause: Cause, message: &str, report: &[String], if_fails: &str) -> String {
    let head = match cause {
        Cause::Claim => "does not hold",
        Cause::Panic => "panicked",
        Cause::Returned => "returned an error",
        Cause::Vacuous => "is vacuous",
        Cause::Misuse => "does not test its claim",
        Cause::Reported => "was reported as failed",
    };
    let mut text = format!("{id} {head}: {message}");
    for line in report.iter().filter(|line| *line != message) {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if cause == Cause::Claim {
        text.push_str("\n  if it fails: ");
        text.push_str(if_fails);
    }
    text
}

/// One line to the process's standard error, past the harness's capture.
fn say(line: &str) {
    // A closed standard error is no reason to fail a test.
    let _ = writeln!(std::io::stderr(), "{line}");
}
