//! `apr run`: a prompt in, text out as it comes.

use super::error::Error;
use super::exit::Exit;
use super::interrupt;
use super::output::{Bytes, stdout};
use super::place::Place;
use super::prompt::{Prompt, message, tokenizer};
use crate::generate::{Next, Outcome, Text, generate};
use crate::machine;
use crate::sample::{Sampler, Settings};
use crate::session::{Model, Session};
use crate::tokenizer::{Message, Tokenizer};
use serde::Serialize;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Arguments of `apr run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a prompt standard input is read; with --chat it is a conversation, one turn a line.

Example: apr run model.gguf --prompt 'Once upon a time' -n 64
Example: apr run model.gguf --chat --system 'Be brief.'")]
pub struct Args {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the model is given.
    #[command(flatten)]
    pub prompt: Prompt,
    /// At most N tokens
    #[arg(short = 'n', long, value_name = "N", default_value_t = 256)]
    pub max_tokens: usize,
    /// End the output before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Go on after a token that ends the output
    #[arg(long)]
    pub ignore_end: bool,
    /// Divide the logits by this; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 0.0, help_heading = "Sampling")]
    pub temperature: f32,
    /// Draw from the K most likely tokens; 0 from all
    #[arg(long, value_name = "K", default_value_t = 0, help_heading = "Sampling")]
    pub top_k: usize,
    /// Draw from the most likely tokens that together reach P
    #[arg(long, value_name = "P", default_value_t = 1.0, help_heading = "Sampling")]
    pub top_p: f32,
    /// Draw from tokens at least P times as likely as the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.0, help_heading = "Sampling")]
    pub min_p: f32,
    /// The same seed draws the same tokens
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Sampling")]
    pub seed: u64,
    /// Where and how.
    #[command(flatten)]
    pub place: Place,
    /// Write one JSON object at the end instead of text as it comes
    #[arg(long)]
    pub json: bool,
    /// No line with the times
    #[arg(short, long)]
    pub quiet: bool,
}

/// Runs `apr run`.
///
/// # Errors
/// When the model, the prompt or the settings cannot be used, or the pass fails.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let settings = Settings {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        seed: args.seed,
    };
    let sampler = Sampler::new(settings).map_err(|e| Error::Usage(e.to_string()))?;
    let model = Model::open(&args.file)?;
    // Token ids need no tokenizer; a file without one then shows ids.
    let tokenizer = match &args.prompt.given.tokens {
        None => Some(tokenizer(&model)?),
        Some(_) => Tokenizer::from_metadata(&model.file().metadata).ok(),
    };
    let first = First::new(args, &model, tokenizer.as_ref())?;
    interrupt::install()?;
    let start = Instant::now();
    let (mut session, options) = args.place.session(&model)?;
    args.place.probes.attach(&mut session, &model, &options)?;
    let load = start.elapsed();
    let mut runner = Runner { args, tokenizer, session, sampler, load, computed: Vec::new() };
    match first {
        First::Tokens(tokens) => runner.once(&tokens)?,
        First::Chat(messages) => runner.chat(messages)?,
    }
    Ok(Exit::Holds)
}

/// What there is to do first.
enum First {
    /// These tokens, and nothing after.
    Tokens(Vec<u32>),
    /// A conversation, its turns on standard input.
    Chat(Vec<Message>),
}

impl First {
    fn new(args: &Args, model: &Model, tokenizer: Option<&Tokenizer>) -> Result<Self, Error> {
        let prompt = &args.prompt;
        match tokenizer {
            Some(_) if prompt.chat && !prompt.given.is_some() => Ok(Self::Chat(prompt.opening())),
            Some(tokenizer) if !prompt.given.is_some() && !io::stdin().is_terminal() => {
                let text = io::read_to_string(io::stdin());
                let text = text.map_err(|e| Error::Usage(format!("standard input: {e}")))?;
                Ok(Self::Tokens(tokenizer.encode(&text).map_err(crate::Error::from)?))
            }
            _ => Ok(Self::Tokens(prompt.tokens(model)?)),
        }
    }
}

struct Runner<'a> {
    args: &'a Args,
    tokenizer: Option<Tokenizer>,
    session: Session,
    sampler: Sampler,
    load: Duration,
    /// Tokens whose keys and values the session holds.
    computed: Vec<u32>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    prompt: &'a [u32],
    tokens: &'a [u32],
    text: &'a str,
    finish: &'static str,
    load_s: f64,
    prompt_s: f64,
    decode_s: f64,
    /// The most memory that the process held at once; null where the system does not tell.
    peak_bytes: Option<u64>,
}

impl Runner<'_> {
    fn once(&mut self, prompt: &[u32]) -> Result<(), Error> {
        if prompt.is_empty() {
            return Err(Error::Usage("the prompt has no tokens, expected at least one".into()));
        }
        let (text, outcome) = self.answer(prompt)?;
        if self.args.json {
            let report = Report {
                prompt,
                tokens: &outcome.tokens,
                text: &text,
                finish: outcome.finish.name(),
                load_s: self.load.as_secs_f64(),
                prompt_s: outcome.prompt.as_secs_f64(),
                decode_s: outcome.decode.as_secs_f64(),
                peak_bytes: machine::peak(),
            };
            let mut out = stdout();
            serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
            writeln!(out)?;
            out.flush()?;
        }
        self.times(prompt.len(), &outcome);
        Ok(())
    }

    /// Turns from standard input until it ends. What two renderings of the conversation share is not computed again.
    fn chat(&mut self, mut messages: Vec<Message>) -> Result<(), Error> {
        let terminal = io::stdin().is_terminal();
        let mut line = String::new();
        loop {
            if terminal {
                eprint!("> ");
            }
            line.clear();
            let read = io::stdin().lock().read_line(&mut line);
            let read = read.map_err(|e| Error::Usage(format!("standard input: {e}")))?;
            if read == 0 || interrupt::caught() {
                return Ok(());
            }
            if line.trim().is_empty() {
                continue;
            }
            messages.push(message("user", line.trim_end_matches(['\r', '\n'])));
            let Some(tokenizer) = &self.tokenizer else { return Ok(()) };
            let rendered = tokenizer.chat().map(|t| t.render(&messages));
            let Some(rendered) = rendered else {
                return Err(Error::Usage("the file has no chat template, run without --chat".into()));
            };
            let tokens = rendered.and_then(|text| tokenizer.encode(&text)).map_err(crate::Error::from)?;
            let shared = tokens.iter().zip(&self.computed).take_while(|(a, b)| a == b).count();
            // At least one position is computed, for its logits.
            let shared = shared.min(tokens.len().saturating_sub(1));
            self.session.rewind(shared)?;
            self.computed.truncate(shared);
            let (text, outcome) = self.answer(&tokens[shared..])?;
            self.times(tokens.len() - shared, &outcome);
            messages.push(message("assistant", &text));
            if interrupt::caught() {
                return Ok(());
            }
        }
    }

    /// Computes and shows one answer; gives its text.
    fn answer(&mut self, prompt: &[u32]) -> Result<(String, Outcome), Error> {
        let Self { args, tokenizer, session, sampler, computed, .. } = self;
        let tokenizer = tokenizer.as_ref();
        let mut out = stdout();
        let mut text = Text::new(&args.stop);
        let mut all = String::new();
        let mut show = |piece: &str, out: &mut dyn Write| -> io::Result<()> {
            all += piece;
            if args.json {
                return Ok(());
            }
            out.write_all(piece.as_bytes())?;
            out.flush()
        };
        let mut failed = None;
        let ends = |token| !args.ignore_end && tokenizer.is_some_and(|t| t.is_end(token));
        let outcome = generate(session, prompt, args.max_tokens, sampler, ends, |token| {
            if let Some(token) = token {
                let piece = match tokenizer {
                    Some(t) => text.push(t, token),
                    None => format!("{token} "),
                };
                if let Err(e) = show(&piece, &mut out) {
                    failed = Some(e);
                }
            }
            let enough = interrupt::caught() || text.stopped() || failed.is_some();
            Ok(if enough { Next::Enough } else { Next::More })
        })?;
        if let Some(e) = failed {
            return Err(e.into());
        }
        show(&text.finish(), &mut out)?;
        if !args.json {
            writeln!(out)?;
            out.flush()?;
        }
        drop(out);
        computed.extend(prompt);
        computed.extend(&outcome.tokens);
        // The last token was chosen but not computed.
        computed.truncate(session.position());
        Ok((all, outcome))
    }

    fn times(&self, prompt: usize, outcome: &Outcome) {
        if self.args.quiet {
            return;
        }
        let rate = |n: usize, time: Duration| n as f64 / time.as_secs_f64().max(1e-9);
        let n = outcome.tokens.len();
        let finish = if interrupt::caught() { "interrupted" } else { outcome.finish.name() };
        let peak = machine::peak().map(|p| format!("; peak memory {}", Bytes(p))).unwrap_or_default();
        eprintln!(
            "load {:.2} s; prompt {prompt} tokens, {:.2} s, {:.1} tok/s; output {n} tokens, {:.2} s, {:.1} tok/s; {finish}{peak}",
            self.load.as_secs_f64(),
            outcome.prompt.as_secs_f64(),
            rate(prompt, outcome.prompt),
            outcome.decode.as_secs_f64(),
            // The first token belongs to the prompt.
            rate(n.saturating_sub(1), outcome.decode),
        );
    }
}
