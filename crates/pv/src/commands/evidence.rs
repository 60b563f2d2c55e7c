//! `pv evidence`: the committed store. What enters it, what is in it, who signed it, what is taken back.

use crate::content::Content;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::dsse::{Envelope, PrivateKey};
use crate::evidence::intake::{self, Basis, Candidate, Refusal};
use crate::evidence::source::SourceTree;
use crate::evidence::store::{Store, Stored};
use crate::evidence::{bundle, junit, prune, source};
use crate::exit::Exit;
use crate::run::carried;
use crate::run::machine::Machine;
use crate::status::gather::{Gathered, Knowledge, Stores, gather};
use crate::status::text;
use clap::Subcommand;
use contract::date::timestamp;
use contract::evidence::{Statement, sha256_hex};
use contract::root::Root;
use contract::settings::Settings;
use contract::status::derive::{Inputs, stale_axes};
use contract::status::facts::{BindingFacts, RecordFacts};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Arguments of `pv evidence`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A record is one immutable file under evidence/. Unsigned evidence stops mistakes, not forgery.

Example: pv evidence record
Example: pv evidence import h200.pvb")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What is done with evidence.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Commit to evidence/ what this work tree's runs established and the store lacks
    #[command(after_help = "Example: pv evidence record --only moe-router-v1")]
    Record {
        /// Falsifiers or contracts [default: all]
        #[arg(long, value_name = "ID", value_delimiter = ',')]
        only: Vec<String>,
        /// Sign the records with this key
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Take in a bundle, a folder of records, what executables staged on another machine, or a JUnit report; all of
    /// it or nothing
    #[command(after_help = "\
A JUnit report (nextest's; a file that starts with `<`) is weak evidence: outcomes without a measured value. A failure
falsifies; a pass never discharges. A case counts when its class names one executable (`tests::it`, `model`,
`pv::bin/pv`) and its name one test that one falsifier binds; every other case is listed.

Example: pv evidence import h200.pvb
Example: pv evidence import target/nextest/ci/junit.xml --commit HEAD
Example: pv evidence import junit.xml --commit 3f9ac1d2 --machine host.json   # ran on another machine")]
    Import {
        /// Bundles, folders or JUnit reports
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// The commit that the tests of a JUnit report were built from, which the report itself does not say
        #[arg(long, value_name = "REV")]
        commit: Option<String>,
        /// What the machine that made a JUnit report said of itself, as JSON [default: it was this machine]
        #[arg(long, value_name = "FILE", requires = "commit")]
        machine: Option<PathBuf>,
    },
    /// List the records with what they are worth now
    #[command(after_help = "Example: pv evidence list --only FALSIFY-MOE-ROUTER-001")]
    List {
        /// Falsifiers or contracts [default: all]
        #[arg(long, value_name = "ID", value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Check every file of the store: its name, its place, its signatures
    #[command(after_help = "Example: pv evidence verify")]
    Verify,
    /// Put signed envelopes in the place of unsigned records
    #[command(after_help = "Example: pv evidence sign --key release.pem")]
    Sign {
        /// The key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The first digits of records' digests [default: every unsigned record]
        #[arg(value_name = "DIGEST")]
        digests: Vec<String>,
    },
    /// Make a key and print its public half for gate.trusted_keys
    #[command(after_help = "Example: pv evidence keygen --output release.pem")]
    Keygen {
        /// Where the private half is written; never over an existing file
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Take a record back: it stays and counts no longer
    #[command(after_help = "Example: pv evidence retract 3f9ac1d2 --reason 'the fan was off'")]
    Retract {
        /// The first digits of its digest
        #[arg(value_name = "DIGEST")]
        digest: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// The work tree's own store instead of the committed one
        #[arg(long)]
        local: bool,
    },
    /// Remove older records of the same content
    #[command(after_help = "Example: pv evidence prune --keep 5")]
    Prune {
        /// How many of each content to keep
        #[arg(long, value_name = "N", default_value_t = prune::KEEP)]
        keep: usize,
    },
}

/// Run `pv evidence`.
///
/// # Errors
/// When there is no root, a file cannot be read or written, or a digest names no record.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    if let Action::Keygen { output } = &args.action {
        let key = PrivateKey::generate()?;
        key.write(&context.cwd().join(output))?;
        writeln!(context.stdout(), "{}", key.public())?;
        return Ok(Exit::Holds);
    }
    let dir = context.root()?;
    let store = Store::committed(dir);
    let mut out = context.stdout();
    let exit = match &args.action {
        Action::Record { only, key } => {
            let key = key.as_ref().map(|path| PrivateKey::read(&context.cwd().join(path))).transpose()?;
            record(context, only, key.as_ref(), &mut out)?
        }
        Action::Import { paths, commit, machine } => {
            let mut batch = Vec::new();
            for path in paths {
                let path = context.cwd().join(path);
                if path.join(carried::MANIFEST).is_file() {
                    batch.extend(carried_records(context, &path)?);
                } else if path.is_dir() {
                    batch.extend(folder(&path)?);
                } else {
                    let bytes = std::fs::read(&path).map_err(Error::file(&path))?;
                    if bytes.trim_ascii_start().starts_with(b"<") || bytes.starts_with(b"\xef\xbb\xbf<") {
                        let ran = Ran { commit: commit.as_deref(), machine: machine.as_deref() };
                        batch.extend(reported_records(context, &path, &bytes, &ran, &mut out)?);
                    } else {
                        let records = bundle::read(&bytes);
                        batch.extend(records.map_err(|e| Error::Usage(format!("{}: {e}", path.display())))?);
                    }
                }
            }
            if batch.is_empty() {
                writeln!(out, "nothing to take in, the store is unchanged")?;
                Exit::Nothing
            } else {
                take_in(context, &batch, &mut out)?
            }
        }
        Action::List { only } => list(context, only, &mut out)?,
        Action::Verify => verify(context, &store, &mut out)?,
        Action::Sign { key, digests } => {
            let key = PrivateKey::read(&context.cwd().join(key))?;
            let records: Vec<Stored> = if digests.is_empty() {
                store.read()?.records.into_iter().filter(|record| record.envelope.is_none()).collect()
            } else {
                digests.iter().map(|digest| store.find(digest)).collect::<Result<_, _>>()?
            };
            for record in &records {
                let envelope = Envelope::sign(&bytes(&record.statement)?, &key);
                writeln!(out, "{}", store.sign(record, &envelope)?.display())?;
            }
            if records.is_empty() { Exit::Nothing } else { Exit::Holds }
        }
        Action::Keygen { .. } => Exit::Holds,
        Action::Retract { digest, reason, local } => {
            let store = if *local { Store::local(dir) } else { store };
            let record = store.retract(digest, reason, &timestamp(now() * 1000))?;
            writeln!(out, "{} counts no longer", record.file)?;
            Exit::Holds
        }
        Action::Prune { keep } => {
            let removed = prune::keep_newest(&store, *keep)?;
            for record in &removed {
                writeln!(out, "{}", record.file)?;
            }
            writeln!(out, "{} records removed", removed.len())?;
            Exit::Holds
        }
    };
    out.flush()?;
    Ok(exit)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn bytes(statement: &Statement) -> Result<Vec<u8>, Error> {
    statement.to_bytes().map_err(|error| Error::Output(std::io::Error::other(error)))
}

fn gathered(context: &Context, stores: Stores) -> Result<(Gathered, crate::context::Repository), Error> {
    let repository = context.repository()?;
    let root = repository.root.as_ref().map_or_else(|| Root::at(context.cwd()), |root| Root::at(root.dir()));
    let today = Some(context.today());
    let found = gather(context.cargo(), &root, &repository.settings, stores, Knowledge::Cached, today)?;
    Ok((found, repository))
}

/// Whether an id, or that of its contract, was asked for.
fn asked(only: &[String], record: &contract::evidence::Record) -> bool {
    let is = |name: &String| *name == record.falsifier.as_str() || *name == record.contract.as_str();
    only.is_empty() || only.iter().any(is)
}

/// The newest fresh result of each falsifier, host class and fault that the committed store lacks.
fn record(
    context: &Context,
    only: &[String],
    key: Option<&PrivateKey>,
    out: &mut impl std::io::Write,
) -> Result<Exit, Error> {
    let dir = context.root()?;
    let (gathered, repository) = gathered(context, Stores::Committed)?;
    let contracts = gathered.contracts();
    let mut newest: BTreeMap<(String, String, String), Stored> = BTreeMap::new();
    for stored in Store::local(dir).read()?.records {
        let found = &stored.statement.predicate.pv_evidence;
        let fresh = contracts.iter().flat_map(|c| &c.falsification_tests).any(|falsifier| {
            falsifier.id == found.falsifier
                && is_fresh(&gathered, &repository, falsifier, &stored)
                && !holds_same(&gathered, falsifier, &repository, &stored)
        });
        let wanted = stored.retracted.is_none() && asked(only, found);
        if !fresh || !wanted || !intake::says_something(&stored.statement) {
            continue;
        }
        let fault = found.fault.as_ref().map(ToString::to_string).unwrap_or_default();
        let key = (found.falsifier.to_string(), found.host.class.clone(), fault);
        let newer = newest.get(&key).is_none_or(|known| known.file < stored.file);
        if newer {
            newest.insert(key, stored);
        }
    }
    let candidate = |stored: Stored| {
        let envelope = match key {
            Some(key) => Some(Envelope::sign(&bytes(&stored.statement)?, key)),
            None => stored.envelope,
        };
        Ok(Candidate { statement: stored.statement, envelope })
    };
    let batch = newest.into_values().map(candidate).collect::<Result<Vec<_>, Error>>()?;
    if batch.is_empty() {
        writeln!(out, "no run of this tree established anything that evidence/ lacks (`pv run`)")?;
        return Ok(Exit::Nothing);
    }
    take_in(context, &batch, out)
}

/// Whether a record's axes are the tree's.
fn is_fresh(
    gathered: &Gathered,
    repository: &crate::context::Repository,
    falsifier: &contract::schema::Falsifier,
    stored: &Stored,
) -> bool {
    let facts = RecordFacts::of(stored.statement.clone(), stored.file.clone(), None);
    stale(gathered, repository, falsifier, &facts).is_empty()
}

fn stale(
    gathered: &Gathered,
    repository: &crate::context::Repository,
    falsifier: &contract::schema::Falsifier,
    facts: &RecordFacts,
) -> BTreeSet<contract::schema::Axis> {
    let nothing = contract::status::facts::Current::default();
    let inputs = Inputs {
        falsifier,
        settings: &repository.settings,
        binding: &BindingFacts::Unresolved,
        dark: &BTreeMap::new(),
        current: gathered.current.get(&falsifier.id).unwrap_or(&nothing),
        records: &[],
        today: None,
    };
    stale_axes(inputs, facts)
}

/// Whether the committed store holds a fresh record of the same outcome already.
fn holds_same(
    gathered: &Gathered,
    falsifier: &contract::schema::Falsifier,
    repository: &crate::context::Repository,
    stored: &Stored,
) -> bool {
    let new = &stored.statement.predicate.pv_evidence;
    let known = gathered.index.records.get(&falsifier.id).into_iter().flatten();
    known.into_iter().any(|old| {
        old.host.class == new.host.class
            && old.fault == new.fault
            && old.outcome.verdict() == new.outcome.verdict()
            && stale(gathered, repository, falsifier, old).is_empty()
    })
}

/// The records of what executables staged on another machine.
fn carried_records(context: &Context, folder: &Path) -> Result<Vec<Candidate>, Error> {
    let dir = context.root()?;
    let repository = context.repository()?;
    let loaded = Root::at(dir).load_all();
    let named: Vec<_> = loaded
        .iter()
        .filter_map(|file| {
            let path = file.source.path();
            let path = path.strip_prefix(dir).unwrap_or(path).to_string_lossy().replace('\\', "/");
            Some((path, file.contract.as_ref()?))
        })
        .collect();
    let records = carried::records(context.cargo(), dir, &repository.settings, &named, folder)
        .map_err(|error| Error::Usage(error.to_string()))?;
    let worth = records.into_iter().filter(intake::says_something);
    Ok(worth.map(|statement| Candidate { statement, envelope: None }).collect())
}

/// What is said of a JUnit report beside it.
struct Ran<'a> {
    commit: Option<&'a str>,
    machine: Option<&'a Path>,
}

/// The records of a JUnit report; its other cases are listed.
fn reported_records(
    context: &Context,
    path: &Path,
    bytes: &[u8],
    ran: &Ran<'_>,
    out: &mut impl std::io::Write,
) -> Result<Vec<Candidate>, Error> {
    let usage = |error: &dyn std::fmt::Display| Error::Usage(format!("{}: {error}", path.display()));
    let cases = junit::read(bytes).map_err(|error| usage(&error))?;
    let Some(commit) = ran.commit else {
        return Err(usage(&"a JUnit report does not say which sources were tested: name their --commit"));
    };
    let dir = context.root()?;
    let settings = context.repository()?.settings;
    let commit = source::commit(dir, commit).map_err(|error| usage(&error))?;
    let tree = source::tree_of(dir, &commit).map_err(|error| usage(&error))?;
    if SourceTree::of(dir).map_err(|error| usage(&error))?.tree != tree {
        return Err(usage(&format!("the sources of commit {commit} are not those that are checked out")));
    }
    let machine = match ran.machine {
        Some(path) => carried::machine(&context.cwd().join(path)).map_err(|e| Error::Usage(e.to_string()))?,
        None => Machine::here(),
    };
    let Some(class) = machine.class(&settings) else {
        return Err(usage(&"no host class of pv.toml matches the machine that ran it"));
    };
    let loaded = Root::at(dir).load_all();
    let mut contracts = Vec::new();
    for file in &loaded {
        let Some(contract) = &file.contract else { continue };
        let shown = file.source.path().strip_prefix(dir).unwrap_or(file.source.path());
        let name = shown.to_string_lossy().replace('\\', "/");
        contracts.push((name, sha256_hex(file.source.text().as_bytes()), contract));
    }
    let mut content = content(context, dir, &settings)?;
    let falsifiers = contracts.iter().flat_map(|(_, _, contract)| &contract.falsification_tests);
    let current = falsifiers.map(|f| (f.id.clone(), content.of(f).current)).collect();
    let host = machine.host(&class.name);
    let basis = junit::Basis {
        contracts: &contracts,
        current: &current,
        class,
        host: &host,
        tree: &tree,
        commit: &commit,
    };
    let all = cases.len();
    let found = junit::records(&basis, bytes, cases);
    for other in &found.others {
        writeln!(out, "not attributed: {}: {}", other.case, other.reason)?;
    }
    let others = found.others.len();
    writeln!(
        out,
        "{}: {} of {all} cases are of {} falsifiers, {others} of none",
        path.display(),
        all - others,
        found.statements.len()
    )?;
    Ok(found.statements.into_iter().map(|statement| Candidate { statement, envelope: None }).collect())
}

fn content<'s>(context: &Context, dir: &Path, settings: &'s Settings) -> Result<Content<'s>, Error> {
    let read = Content::read(context.cargo(), dir, settings);
    read.map_err(|error| Error::Status(crate::status::gather::GatherError::Content(error)))
}

/// The records of every file of a folder.
fn folder(path: &Path) -> Result<Vec<Candidate>, Error> {
    let mut found = Vec::new();
    for entry in ignore::WalkBuilder::new(path).standard_filters(false).build() {
        let entry = entry.map_err(|error| Error::Usage(error.to_string()))?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            let bytes = std::fs::read(entry.path()).map_err(Error::file(entry.path()))?;
            let candidate = Candidate::read(&bytes)
                .map_err(|reason| Error::Usage(format!("{}: {reason}", entry.path().display())))?;
            found.push(candidate);
        }
    }
    Ok(found)
}

/// Judges a batch and stores it, or says why not.
fn take_in(context: &Context, batch: &[Candidate], out: &mut impl std::io::Write) -> Result<Exit, Error> {
    let dir = context.root()?;
    let repository = context.repository()?;
    let store = Store::committed(dir);
    let loaded = Root::at(dir).load_all();
    let contracts: Vec<_> = loaded.iter().filter_map(|file| file.contract.as_ref()).collect();
    let mut content = content(context, dir, &repository.settings)?;
    let falsifiers = contracts.iter().flat_map(|contract| &contract.falsification_tests);
    let current = falsifiers.map(|f| (f.id.clone(), content.of(f).current)).collect();
    let known = store.read()?.records.into_iter().map(|record| record.digest.hex()).collect();
    let source = SourceTree::of(dir).ok();
    let basis = Basis {
        contracts: &contracts,
        settings: &repository.settings,
        current: &current,
        known: &known,
        source: source.as_ref(),
        now: now(),
    };
    match basis.judge_all(batch) {
        Ok(()) => {
            let files = intake::add(&store, batch)?;
            writeln!(out, "{} records taken in", files.len())?;
            Ok(if files.is_empty() { Exit::Nothing } else { Exit::Holds })
        }
        Err(refusals) => {
            let mut counted: BTreeMap<String, usize> = BTreeMap::new();
            for refusal in &refusals {
                *counted.entry(refusal.to_string()).or_default() += 1;
            }
            for (refusal, count) in counted {
                let times = if count > 1 { format!(" ({count} records)") } else { String::new() };
                writeln!(out, "refused: {refusal}{times}")?;
            }
            writeln!(out, "{} of {} refused, the store is unchanged", refusals.len(), batch.len())?;
            if refusals.iter().any(|refusal| matches!(refusal, Refusal::Dirty { .. })) {
                writeln!(out, "commit the tree that was run, then record its results")?;
            }
            Ok(Exit::Findings)
        }
    }
}

fn list(context: &Context, only: &[String], out: &mut impl std::io::Write) -> Result<Exit, Error> {
    let (gathered, repository) = gathered(context, Stores::Committed)?;
    let mut number = 0;
    for contract in gathered.contracts() {
        for falsifier in &contract.falsification_tests {
            let is = |name: &String| *name == falsifier.id.as_str() || *name == contract.metadata.id.as_str();
            if !only.is_empty() && !only.iter().any(is) {
                continue;
            }
            for record in gathered.index.records.get(&falsifier.id).into_iter().flatten() {
                number += 1;
                let stale = stale(&gathered, &repository, falsifier, record);
                let axes: Vec<&str> = stale.iter().map(|axis| axis.name()).collect();
                let worth =
                    if stale.is_empty() { "fresh".to_owned() } else { format!("stale({})", axes.join(", ")) };
                writeln!(out, "{worth}  {}", text::record_line(record))?;
            }
        }
    }
    writeln!(out, "{number} records, {} taken back", gathered.index.retracted)?;
    Ok(if number == 0 { Exit::Nothing } else { Exit::Holds })
}

fn verify(context: &Context, store: &Store, out: &mut impl std::io::Write) -> Result<Exit, Error> {
    let settings = context.repository()?.settings;
    let contents = store.read()?;
    let mut wrong = contents.defects.len();
    for defect in &contents.defects {
        writeln!(out, "{}: {}", defect.file, defect.reason)?;
    }
    let mut signed = 0;
    for record in &contents.records {
        let class = &record.statement.predicate.pv_evidence.host.class;
        let needed = settings.gate.require_signature.contains(class);
        let keys = record.envelope.as_ref().map(Envelope::verify);
        let trouble = match keys {
            None if needed => Some(format!("records of host class `{class}` must be signed")),
            None => None,
            Some(Err(error)) => Some(error.to_string()),
            Some(Ok(keys)) => {
                signed += 1;
                let trusted = keys.iter().any(|key| settings.gate.trusted_keys.contains(&key.to_string()));
                (needed && !trusted).then(|| "no key that signed it is trusted".to_owned())
            }
        };
        if let Some(trouble) = trouble {
            wrong += 1;
            writeln!(out, "{}: {trouble}", record.file)?;
        }
    }
    writeln!(out, "{} records, {signed} signed, {wrong} wrong", contents.records.len())?;
    Ok(match (wrong, contents.records.len()) {
        (0, 0) => Exit::Nothing,
        (0, _) => Exit::Holds,
        _ => Exit::Findings,
    })
}
