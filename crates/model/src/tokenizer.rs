//! Text to tokens and back, as the file's own metadata say.
//!
//! Byte-level BPE is read; how text is split before it, and whether it is normalised, is a row of [`PRE`]. Encoding is the
//! work of the `tokenizers` library, so that it is the one of the models' authors. This module knows no weights.

pub mod alphabet;
mod chat;
mod pre;
mod stream;

pub use chat::{ChatTemplate, Message};
pub use pre::{PRE, Row};
pub use stream::Stream;

use crate::gguf::{KeyError, Metadata};
use fault::fault;
use std::collections::HashSet;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, PreTokenizerWrapper};

/// A vocabulary that is no tokenizer, or text that is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A metadata key is missing or of another type.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Another kind of tokenizer.
    #[error("tokenizer model '{found}' is not supported, expected 'gpt2' (byte-level BPE)")]
    Model {
        /// Its name.
        found: String,
    },
    /// An unknown way to split text.
    #[error("pre-tokenizer '{found}' is not supported, expected one of {}", pre::names())]
    Pre {
        /// Its name.
        found: String,
    },
    /// Lists that should be of one length.
    #[error("{tokens} tokens but {kinds} token types")]
    Kinds {
        /// Entries in the list of tokens.
        tokens: usize,
        /// Entries in the list of types.
        kinds: usize,
    },
    /// A merge that is not two tokens.
    #[error("merge {index} is {found:?}, expected two tokens and a space between")]
    Merge {
        /// Its rank.
        index: usize,
        /// Its text.
        found: String,
    },
    /// A special token outside the vocabulary.
    #[error("metadata key '{key}' is {id}, expected a token below {tokens}")]
    Special {
        /// The key.
        key: &'static str,
        /// Its value.
        id: u32,
        /// Entries in the list of tokens.
        tokens: usize,
    },
    /// The library refused.
    #[error("the vocabulary makes no tokenizer: {0}")]
    Vocabulary(String),
    /// Text that could not be encoded.
    #[error("text cannot be encoded: {0}")]
    Encode(String),
    /// The chat template does not work.
    #[error("chat template: {0}")]
    Chat(String),
}

/// Types of tokens in GGUF files that mean something here; the others are ordinary text.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Control tokens that end an answer, by the names under which they are known. The metadata name one or two of them; models
/// also end with the others.
const ENDS: &[&str] = &[
    "<|endoftext|>",
    "<|im_end|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "</s>",
    "<|end|>",
    "<|eot|>",
];

/// A file's tokenizer.
pub struct Tokenizer {
    library: tokenizers::Tokenizer,
    /// What each token stands for.
    pieces: Vec<Vec<u8>>,
    control: HashSet<u32>,
    ends: HashSet<u32>,
    /// Put before every text, where the file says so.
    begin: Option<u32>,
    chat: Option<ChatTemplate>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("tokens", &self.pieces.len()).finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads the keys under `tokenizer.`.
    ///
    /// # Errors
    /// When a key is missing, a list is broken, or model and pre-tokenizer are not supported.
    pub fn from_metadata(m: &Metadata) -> Result<Self, Error> {
        let model: &str = m.required("tokenizer.ggml.model")?;
        if model != "gpt2" {
            return Err(Error::Model { found: model.to_owned() });
        }
        let name: &str = m.required("tokenizer.ggml.pre")?;
        let pre = Row::from_name(name).ok_or_else(|| Error::Pre { found: name.to_owned() })?;
        let tokens: &[String] = m.required("tokenizer.ggml.tokens")?;
        let kinds: Vec<i64> = m.required("tokenizer.ggml.token_type")?;
        if tokens.len() != kinds.len() {
            return Err(Error::Kinds { tokens: tokens.len(), kinds: kinds.len() });
        }
        let merges: &[String] = m.required("tokenizer.ggml.merges")?;
        let special = |key: &'static str| match m.optional::<u32>(key)? {
            Some(id) if id as usize >= tokens.len() => Err(Error::Special { key, id, tokens: tokens.len() }),
            other => Ok(other),
        };
        let eos = special("tokenizer.ggml.eos_token_id")?;
        let bos = special("tokenizer.ggml.bos_token_id")?;
        let mut ends: HashSet<u32> =
            [eos, special("tokenizer.ggml.eot_token_id")?, special("tokenizer.ggml.eom_token_id")?]
                .into_iter()
                .flatten()
                .collect();
        let mut control = HashSet::new();
        for (id, (token, kind)) in (0_u32..).zip(tokens.iter().zip(&kinds)) {
            if *kind == CONTROL {
                control.insert(id);
                if ENDS.contains(&token.as_str()) {
                    ends.insert(id);
                }
            }
        }
        let begin = match m.optional::<bool>("tokenizer.ggml.add_bos_token")? {
            Some(true) => Some(m.required::<u32>("tokenizer.ggml.bos_token_id")?),
            // Files of byte-level BPE that do not say do not want one.
            Some(false) | None => None,
        };
        let text = |id: Option<u32>| id.map(|id| tokens[id as usize].clone()).unwrap_or_default();
        let chat = m
            .optional::<&str>("tokenizer.chat_template")?
            .map(|source| ChatTemplate::new(source, text(bos), text(eos)))
            .transpose()?;
        Ok(Self {
            library: library(pre, tokens, &kinds, merges)?,
            pieces: tokens.iter().zip(&kinds).map(|(t, &kind)| piece(t, kind)).collect(),
            control,
            ends,
            begin,
            chat,
        })
    }

    /// Tokens in the vocabulary.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether the vocabulary is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The tokens of a text. Special tokens that are spelled out in it are taken as such; the token that begins a text is put
    /// in front where the file asks for it, unless the text spells it out.
    ///
    /// # Errors
    /// When the library refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.library.encode_fast(text, false).map_err(|e| Error::Encode(e.to_string()))?;
        let ids = encoding.get_ids();
        let begin = self.begin.filter(|begin| ids.first() != Some(begin));
        Ok(begin.into_iter().chain(ids.iter().copied()).collect())
    }

    /// The bytes that a token stands for: not always whole characters. `None` outside the vocabulary.
    #[must_use]
    pub fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.pieces.get(token as usize).map(Vec::as_slice)
    }

    /// The text of tokens; bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().filter_map(|&t| self.bytes(t)).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether a token is for control, and not to be shown.
    #[must_use]
    pub fn is_control(&self, token: u32) -> bool {
        self.control.contains(&token)
    }

    /// Whether a token ends an answer.
    #[must_use]
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The file's chat template, if it has one.
    #[must_use]
    pub fn chat(&self) -> Option<&ChatTemplate> {
        self.chat.as_ref()
    }
}

/// What a token stands for: letters of the byte alphabet for ordinary ones, the text itself for special ones and for those
/// that are not written in that alphabet.
fn piece(token: &str, kind: i64) -> Vec<u8> {
    let special = kind == CONTROL || kind == USER_DEFINED;
    let letters = || token.chars().map(alphabet::byte).collect::<Option<Vec<u8>>>();
    (!special).then(letters).flatten().unwrap_or_else(|| token.as_bytes().to_vec())
}

fn library(
    pre: &Row,
    tokens: &[String],
    kinds: &[i64],
    merges: &[String],
) -> Result<tokenizers::Tokenizer, Error> {
    let refuse = |e: tokenizers::Error| Error::Vocabulary(e.to_string());
    let vocabulary: ahash::AHashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let pairs = merges
        .iter()
        .enumerate()
        .map(|(index, merge)| {
            let pair = merge.split_once(' ').filter(|(a, b)| !a.is_empty() && !b.is_empty());
            let (a, b) = pair.ok_or_else(|| Error::Merge { index, found: merge.clone() })?;
            Ok((a.to_owned(), b.to_owned()))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary, pairs)
        .ignore_merges(pre.whole_words)
        .build()
        .map_err(refuse)?;
    let mut library = tokenizers::Tokenizer::new(bpe);
    if pre.nfc && !fault!("tokenizer-no-nfc") {
        library.with_normalizer(Some(NFC));
    }
    let split =
        Split::new(SplitPattern::Regex(pre.split.to_owned()), SplitDelimiterBehavior::Isolated, false)
            .map_err(refuse)?;
    let bytes = ByteLevel::new(false, true, false);
    library.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Split(split),
        PreTokenizerWrapper::ByteLevel(bytes),
    ])));
    let of_kind = |wanted: i64, special: bool| -> Vec<AddedToken> {
        tokens
            .iter()
            .zip(kinds)
            .filter(|(token, kind)| **kind == wanted && !token.is_empty())
            .map(|(token, _)| AddedToken::from(token.clone(), special))
            .collect()
    };
    if !fault!("tokenizer-special-as-text") {
        library.add_special_tokens(&of_kind(CONTROL, true));
    }
    library.add_tokens(&of_kind(USER_DEFINED, false));
    Ok(library)
}
