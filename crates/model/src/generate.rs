//! The token loop: a prompt in, tokens out one by one, until something ends it. It knows no text; [`Text`] makes text of
//! tokens and looks for what should end it.

use crate::Error;
use crate::sample::Sampler;
use crate::session::{Out, Session};
use crate::tokenizer::{Stream, Tokenizer};
use fault::fault;
use std::time::{Duration, Instant};

/// What the caller says after each token, and between the parts of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    More,
    /// This was enough.
    Enough,
}

/// Why the output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    End,
    /// As many tokens as wanted.
    Length,
    /// The model's context is full.
    Context,
    /// The caller had enough.
    Stopped,
}

impl Finish {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Length => "length",
            Self::Context => "context",
            Self::Stopped => "stopped",
        }
    }
}

/// What a generation took.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The tokens, without the one that ended it.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Time of the prompt, up to the first token.
    pub prompt: Duration,
    /// Time of the tokens after the first.
    pub decode: Duration,
}

/// Positions of a prompt computed before the caller is asked whether to go on.
const PART: usize = 512;
/// Tokens that room is made for at once.
const ROOM: usize = 1 << 16;

/// Computes `prompt` at the session's next positions and then up to `most` tokens. Each token goes to `each` before the
/// next is computed; `ends` says which ones end the output.
///
/// # Errors
/// What the session reports, or logits that give no token.
pub fn generate(
    session: &mut Session,
    prompt: &[u32],
    most: usize,
    sampler: &mut Sampler,
    ends: impl Fn(u32) -> bool,
    mut each: impl FnMut(Option<u32>) -> Result<Next, Error>,
) -> Result<Outcome, Error> {
    let start = Instant::now();
    // Room for what will come, so that a token allocates nothing; as much as a file's context claims is not taken on trust.
    let room = most.min(session.config().context).min(ROOM);
    let mut outcome = Outcome {
        tokens: Vec::with_capacity(room),
        finish: Finish::Stopped,
        prompt: Duration::ZERO,
        decode: Duration::ZERO,
    };
    for part in prompt.chunks(PART) {
        session.run(part, Out::Last)?;
        if each(None)? == Next::Enough {
            outcome.prompt = start.elapsed();
            return Ok(outcome);
        }
    }
    let (mut first, mut logits) = (None, Vec::new());
    outcome.finish = loop {
        if outcome.tokens.len() == most {
            break Finish::Length;
        }
        if fault!("loop-forgets-its-logits") {
            logits = Vec::new();
        }
        session.read_logits(&mut logits)?;
        let position = session.position() - 1;
        let token = sampler.sample(&logits).ok_or(Error::NoToken { position })?;
        first.get_or_insert_with(Instant::now);
        if ends(token) {
            break Finish::End;
        }
        outcome.tokens.push(token);
        if each(Some(token))? == Next::Enough {
            break Finish::Stopped;
        }
        if session.position() == session.config().context {
            break Finish::Context;
        }
        if outcome.tokens.len() < most {
            session.run(&[token], Out::Last)?;
        }
    };
    let first = first.unwrap_or_else(Instant::now);
    outcome.prompt = first - start;
    outcome.decode = first.elapsed();
    Ok(outcome)
}

/// Text of tokens as they come, up to the first of some strings.
#[derive(Debug)]
pub struct Text<'a> {
    stream: Stream,
    stops: &'a [String],
    /// Text that could be the start of a stop string.
    held: String,
    stopped: bool,
}

impl<'a> Text<'a> {
    /// No text yet.
    #[must_use]
    pub fn new(stops: &'a [String]) -> Self {
        Self { stream: Stream::default(), stops, held: String::new(), stopped: false }
    }

    /// Takes a token and gives the text that is now certain to be shown. A control token has no text.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> String {
        if !tokenizer.is_control(token)
            && let Some(bytes) = tokenizer.bytes(token)
        {
            let text = self.stream.push(bytes);
            return self.take(&text);
        }
        String::new()
    }

    /// Whether a stop string came.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Ends the text and gives what was held back.
    pub fn finish(&mut self) -> String {
        let text = self.stream.finish();
        let shown = self.take(&text);
        shown + &std::mem::take(&mut self.held)
    }

    fn take(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held += text;
        let stops = self.stops.iter().filter(|s| !s.is_empty());
        if let Some(at) = stops.clone().filter_map(|s| self.held.find(s.as_str())).min() {
            self.stopped = true;
            let mut shown = std::mem::take(&mut self.held);
            shown.truncate(at);
            return shown;
        }
        let starts = |at: &usize| {
            let tail = &self.held[*at..];
            stops.clone().any(|s| s.starts_with(tail))
        };
        let keep = self.held.char_indices().map(|(at, _)| at).find(starts).unwrap_or(self.held.len());
        let tail = self.held.split_off(keep);
        std::mem::replace(&mut self.held, tail)
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    /// The text shown of pieces, and whether it was stopped.
    fn shown(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut text = Text::new(&stops);
        let mut out: Vec<String> = pieces.iter().map(|p| text.take(p)).collect();
        out.push(text.finish());
        (out, text.stopped)
    }

    #[test]
    fn text_is_shown_as_soon_as_it_cannot_be_the_start_of_a_stop() {
        let list = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(shown(&["END"], &["ab", "E", "Nx", "E"]), (list(&["ab", "", "ENx", "", "E"]), false));
        assert_eq!(shown(&["END"], &["aE", "N", "Db", "c"]), (list(&["a", "", "", "", ""]), true));
        assert_eq!(shown(&["aab"], &["aa", "ab"]), (list(&["", "a", ""]), true));
        assert_eq!(shown(&["yz", "bc"], &["abcyz"]), (list(&["a", ""]), true));
        assert_eq!(shown(&[""], &["x"]), (list(&["x", ""]), false));
        assert_eq!(shown(&["é!"], &["aé", "b"]), (list(&["a", "éb", ""]), false));
    }
}
