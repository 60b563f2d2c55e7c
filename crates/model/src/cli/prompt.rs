//! Flags that say what a model is given: the same for every command that takes a prompt.

use super::error::Error;
use crate::session::Model;
use crate::tokenizer::Tokenizer;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// A prompt, as text or as tokens.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub struct Prompt {
    /// The prompt as text; - reads standard input
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// The prompt as a text file
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// The prompt as token ids: 1,2,3
    #[arg(long, value_name = "IDS")]
    pub tokens: Option<String>,
}

impl Prompt {
    /// The text, if it was given as text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn text(&self) -> Result<Option<String>, Error> {
        match (&self.prompt, &self.prompt_file) {
            (Some(text), _) if text == "-" => {
                let mut text = String::new();
                let read = io::stdin().read_to_string(&mut text);
                read.map_err(|e| Error::Usage(format!("standard input: {e}")))?;
                Ok(Some(text))
            }
            (Some(text), _) => Ok(Some(text.clone())),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some(text)),
                Err(source) => Err(crate::Error::Io { path: path.clone(), source }.into()),
            },
            (None, None) => Ok(None),
        }
    }

    /// The tokens of the prompt.
    ///
    /// # Errors
    /// When there is no prompt, no tokens are in it, or the file's tokenizer cannot be used.
    pub fn tokens(&self, model: &Model) -> Result<Vec<u32>, Error> {
        let tokens = match (&self.tokens, self.text()?) {
            (Some(ids), _) => ids.split(',').map(parse).collect::<Result<Vec<_>, _>>()?,
            (None, Some(text)) => {
                let tokenizer = tokenizer(model)?;
                tokenizer.encode(&text).map_err(crate::Error::from)?
            }
            (None, None) => {
                return Err(Error::Usage("no prompt, expected --prompt, --prompt-file or --tokens".into()));
            }
        };
        if tokens.is_empty() {
            return Err(Error::Usage("the prompt has no tokens, expected at least one".into()));
        }
        Ok(tokens)
    }
}

fn parse(id: &str) -> Result<u32, Error> {
    id.trim().parse().map_err(|_| {
        Error::Usage(format!("'{}' in --tokens is no token id, expected a list like 1,2,3", id.trim()))
    })
}

/// The file's tokenizer.
///
/// # Errors
/// When it has none that is supported.
pub fn tokenizer(model: &Model) -> Result<Tokenizer, Error> {
    let read = Tokenizer::from_metadata(&model.file().metadata);
    Ok(read.map_err(|e| crate::Error::from(e).in_file(model.mapped().path()))?)
}
