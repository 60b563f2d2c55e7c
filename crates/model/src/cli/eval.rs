//! `apr eval`: how well a model predicts a text, and how far it is from logits that were saved.

use super::error::Error;
use super::exit::Exit;
use super::interrupt;
use super::output::present;
use super::place::Place;
use super::prompt::Prompt;
use crate::eval::saved::{About, Saved, Writer};
use crate::eval::{Broken, Logits, Prediction, Report, Windows, evaluate};
use crate::session::Model;
use fault::fault;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// Tokens of a window, unless another number is given or the model's context is smaller.
const WINDOW: usize = 512;

/// Arguments of `apr eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A text longer than the window is cut into windows that know nothing of each other. Perplexity is over every scored position
that has a token after it in its window, divergence and agreement over every scored position. Divergence is KL(saved || here)
in nats, from softmaxes in double precision. Logits that are not numbers take part in no mean and are reported.

Saved logits are a safetensors file: tokens U32 [n], logits F32 [n, vocabulary], metadata window. With --against the text is
that of the file; one that is given has to be the same.

Exit codes: 1 when a bound is missed or logits are not numbers, 2 when no position could be scored.

Example: apr eval model.gguf --prompt-file wiki.txt --precision exact --save-logits exact.safetensors
Example: apr eval model.gguf --against exact.safetensors --max-kl 0.01 --min-agreement 0.99")]
pub struct Args {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The text.
    #[command(flatten)]
    pub prompt: Prompt,
    /// Tokens of a window [default: 512, or the model's context if that is less]
    #[arg(long, value_name = "N", conflicts_with = "against")]
    pub window: Option<usize>,
    /// Leave the first N positions of each window out of the scores: they have little to go by
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip: usize,
    /// Write the logits of every position
    #[arg(long, value_name = "FILE")]
    pub save_logits: Option<PathBuf>,
    /// Replace such a file
    #[arg(long, requires = "save_logits")]
    pub force: bool,
    /// Compare with logits that were saved
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// The largest mean divergence that holds, in nats
    #[arg(long, value_name = "X", requires = "against")]
    pub max_kl: Option<f64>,
    /// The smallest share of positions with the same most likely token that holds
    #[arg(long, value_name = "X", requires = "against")]
    pub min_agreement: Option<f64>,
    /// Where and how.
    #[command(flatten)]
    pub place: Place,
    /// Write one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What is written.
#[derive(Serialize)]
struct Shown {
    model: String,
    backend: &'static str,
    precision: &'static str,
    #[serde(flatten)]
    report: Report,
    /// Bounds that were missed, and rows that are no distribution.
    findings: Vec<String>,
}

/// Runs `apr eval`.
///
/// # Errors
/// When the model, the text or a file cannot be used, or a pass fails.
pub fn run(args: &Args) -> Result<Exit, Error> {
    for (flag, value) in [("--max-kl", args.max_kl), ("--min-agreement", args.min_agreement)] {
        if value.is_some_and(|v| !(v.is_finite() && v >= 0.0)) {
            return Err(Error::Usage(format!("{flag} {value:?}: expected a number of at least 0")));
        }
    }
    let model = Model::open(&args.file)?;
    let config = model.config();
    let saved = args.against.as_deref().map(Saved::open).transpose()?;
    if let Some(saved) = &saved {
        saved.fits(config.vocab)?;
    }
    let tokens = tokens(args, &model, saved.as_ref())?;
    let length = saved.as_ref().map(Saved::window).or(args.window).unwrap_or(WINDOW.min(config.context));
    if length == 0 || length > config.context {
        let context = config.context;
        return Err(Error::Usage(format!(
            "a window of {length} tokens, expected 1 to the model's context of {context}"
        )));
    }
    let name = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    interrupt::install()?;
    let (mut session, options) = args.place.session(&model)?;
    args.place.probes.attach(&mut session, &model, &options)?;
    let (backend, precision) = (options.device.name(), options.precision.name());
    let about: About = [("model", name.as_str()), ("backend", backend), ("precision", precision)]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let create = |path: &PathBuf| Writer::create(path, args.force, &tokens, config.vocab, length, &about);
    let mut save = args.save_logits.as_ref().map(create).transpose()?;
    let bar = ProgressBar::new(tokens.len() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} tokens {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let windows = Windows { length, skip: args.skip };
    let logits = Logits { against: saved.as_ref(), save: save.as_mut() };
    let report = evaluate(&mut session, &tokens, windows, logits, |done| {
        bar.set_position(done as u64);
        !interrupt::caught()
    });
    bar.finish_and_clear();
    let report = match report {
        Err(crate::Error::Stopped) if interrupt::caught() => {
            return Err(Error::Usage("interrupted, nothing was written".to_owned()));
        }
        report => report?,
    };
    let wrote = save.is_some();
    save.map(Writer::finish).transpose()?;
    let findings = findings(args, &report);
    let compared = report.against.as_ref().is_some_and(|against| against.positions > 0);
    let exit = if !findings.is_empty() {
        Exit::Diverges
    } else if report.prediction.is_some() || compared || (wrote && saved.is_none()) {
        // Logits that were to be written are there, even if nothing could be scored.
        Exit::Holds
    } else {
        Exit::Nothing
    };
    present(&Shown { model: name, backend, precision, report, findings }, args.json, write)?;
    Ok(exit)
}

/// The text: what was given, or that of the saved logits.
fn tokens(args: &Args, model: &Model, saved: Option<&Saved>) -> Result<Vec<u32>, Error> {
    let Some(saved) = saved else { return args.prompt.tokens(model) };
    if args.prompt.given.is_some() {
        let given = args.prompt.tokens(model)?;
        let same = given.iter().zip(saved.tokens()).take_while(|(a, b)| a == b).count();
        if given != saved.tokens() {
            let (n, m) = (given.len(), saved.tokens().len());
            return Err(Error::Usage(format!(
                "the text has {n} tokens, the saved logits are of {m}, and they differ from token {same} on"
            )));
        }
    }
    Ok(saved.tokens().to_vec())
}

fn findings(args: &Args, report: &Report) -> Vec<String> {
    let mut findings = Vec::new();
    let mut broken = |whose: &str, b: Broken| {
        if let Some(first) = b.first {
            findings.push(format!(
                "{} rows of {whose} logits are not numbers, the first after token {first}",
                b.rows
            ));
        }
    };
    broken("the model's", report.broken);
    let Some(against) = &report.against else { return findings };
    broken("the saved", against.broken);
    if let (Some(most), Some(kl)) = (args.max_kl, &against.kl) {
        let mean = kl.mean.0;
        if (mean.is_nan() || mean > most) && !fault!("eval-bound-ignored") {
            findings.push(format!("the mean divergence is {mean:.6e}, expected at most {most:e}"));
        }
    }
    if let (Some(least), Some(share)) = (args.min_agreement, against.agreement)
        && share < least
    {
        findings.push(format!("the agreement is {share:.6}, expected at least {least}"));
    }
    findings
}

fn write(shown: &Shown, out: &mut dyn Write) -> io::Result<()> {
    let Shown { model, backend, precision, report, findings } = shown;
    let Report { tokens, windows, window, scored, .. } = report;
    writeln!(out, "model       {model}, {backend}:{precision}")?;
    writeln!(out, "text        {tokens} tokens, windows of {window}: {windows}, {scored} positions scored")?;
    let prediction = |what: &str, p: &Prediction, out: &mut dyn Write| {
        let (perplexity, error) = (p.perplexity.0, p.perplexity.0 * p.nll_error.0);
        writeln!(out, "{what} {perplexity:.4} +- {error:.4} over {} tokens", p.tokens)
    };
    match &report.prediction {
        Some(p) => prediction("perplexity ", p, out)?,
        None => writeln!(out, "perplexity  none: no scored position has a token after it")?,
    }
    if let Some(against) = &report.against {
        if let Some(p) = &against.saved {
            prediction("saved      ", p, out)?;
        }
        match &against.kl {
            None => writeln!(out, "divergence  none: no position could be compared")?,
            Some(kl) => {
                writeln!(
                    out,
                    "divergence  mean {:.6e} +- {:.1e}, median {:.6e}",
                    kl.mean.0, kl.error.0, kl.median.0
                )?;
                writeln!(
                    out,
                    "            99 % {:.6e}, largest {:.6e} after token {}",
                    kl.p99.0, kl.largest.0, kl.at
                )?;
            }
        }
        if let Some(share) = against.agreement {
            let (agree, all) = (against.agree, against.positions);
            writeln!(out, "same token  {:.2} %, {agree} of {all}", 100.0 * share)?;
        }
    }
    findings.iter().try_for_each(|finding| writeln!(out, "FAIL        {finding}"))
}
