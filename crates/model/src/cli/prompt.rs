//! Flags that say what a model is given: the same for every command that takes a prompt.

use super::error::Error;
use crate::session::Model;
use crate::tokenizer::{Message, Tokenizer};
use std::io::{self, Read as _};
use std::path::PathBuf;

/// A prompt, and how it is put to the model.
#[derive(Debug, Clone, clap::Args)]
pub struct Prompt {
    /// What there is.
    #[command(flatten)]
    pub given: Given,
    /// Put the prompt into the file's chat template
    #[arg(long, conflicts_with = "tokens")]
    pub chat: bool,
    /// What the conversation starts with
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,
}

/// Text or tokens.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub struct Given {
    /// The prompt as text; - reads standard input
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// The prompt as a text file
    #[arg(long, visible_alias = "text-file", value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// The prompt as token ids: 1,2,3
    #[arg(long, value_name = "IDS")]
    pub tokens: Option<String>,
}

impl Given {
    /// Whether there is any.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.prompt.is_some() || self.prompt_file.is_some() || self.tokens.is_some()
    }
}

impl Prompt {
    /// The text, if it was given as text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn text(&self) -> Result<Option<String>, Error> {
        match (&self.given.prompt, &self.given.prompt_file) {
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
        let tokens = match (&self.given.tokens, self.text()?) {
            (Some(ids), _) => ids.split(',').map(parse).collect::<Result<Vec<_>, _>>()?,
            (None, Some(text)) if self.chat => {
                let mut messages = self.opening();
                messages.push(message("user", &text));
                conversation(&tokenizer(model)?, &messages, model)?
            }
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

    /// What a conversation starts with.
    #[must_use]
    pub fn opening(&self) -> Vec<Message> {
        self.system.iter().map(|content| message("system", content)).collect()
    }
}

/// One turn of a conversation.
#[must_use]
pub fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned() }
}

/// The tokens of a conversation, in the file's own template.
///
/// # Errors
/// When it has none, or what the template reports.
pub fn conversation(tokenizer: &Tokenizer, messages: &[Message], model: &Model) -> Result<Vec<u32>, Error> {
    let template = tokenizer.chat().ok_or_else(|| {
        let file = model.mapped().path().display();
        Error::Usage(format!(
            "{file}: has no chat template (key tokenizer.chat_template), run without --chat"
        ))
    })?;
    let tokens = template.render(messages).and_then(|text| tokenizer.encode(&text));
    Ok(tokens.map_err(crate::Error::from)?)
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
