//! What a claim's evidence is pinned to: digests over canonical JSON (RFC 8785).
//!
//! The claim hash covers what is measured and by which test; evidence for another one counts for nothing. The
//! statement hash covers the words around it; a change there is worth a warning.

use crate::binding::TestBinding;
use crate::binding::shorthand::ShorthandError;
use crate::claim::Claim;
use crate::id::FalsifierId;
use crate::schema::{Falsifier, Tests};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest (accepted: sha256: and 64 lower-case hexadecimal digits)")]
pub struct DigestError(pub String);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Read the written form.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let fail = || DigestError(text.to_owned());
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64).ok_or_else(fail)?;
        let nibble = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = nibble(pair[0]).zip(nibble(pair[1])).ok_or_else(fail)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits alone.
    #[must_use]
    pub fn hex(&self) -> String {
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            hex.push(digit(byte >> 4));
            hex.push(digit(byte & 15));
        }
        hex
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(&self.hex())
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A falsifier that has no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Its binding is no binding. A loaded contract holds none of these.
    #[error("the test of the falsifier: {0}")]
    Binding(#[from] ShorthandError),
    /// It holds a number that JSON has no form for.
    #[error("the claim has no canonical form: {0}")]
    Canonical(#[from] serde_json::Error),
}

/// The hash of what is measured: id, claim, and binding without its timeout.
///
/// # Errors
/// When the binding's shorthand is none, or a number is not finite.
pub fn claim(falsifier: &Falsifier) -> Result<Digest, HashError> {
    /// Nothing is written of what the falsifier does not have.
    #[derive(Serialize)]
    struct Measured<'f> {
        id: &'f FalsifierId,
        claim: &'f Option<Claim>,
        #[serde(skip_serializing_if = "Option::is_none")]
        test: Option<Vec<TestBinding>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        command: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        review: Option<Value>,
    }
    let mut test = falsifier.test.as_ref().map(Tests::bindings).transpose()?;
    test.iter_mut().flatten().for_each(|test| test.timeout_s = None);
    let command = falsifier.command.as_ref();
    let review = falsifier.review.as_ref();
    canonical(&Measured {
        id: &falsifier.id,
        claim: &falsifier.claim,
        test,
        command: command.map(|of| json!({ "argv": of.argv, "exit": of.exit, "needs": of.needs })),
        review: review.map(|of| json!({ "question": of.question })),
    })
}

/// The hash of the words around the claim: rule, prediction, where to look when it fails.
///
/// # Errors
/// Never for a loaded contract.
pub fn statement(falsifier: &Falsifier) -> Result<Digest, HashError> {
    let Falsifier { rule, prediction, if_fails, .. } = falsifier;
    #[derive(Serialize)]
    struct Words<'f> {
        rule: &'f str,
        prediction: &'f str,
        if_fails: &'f str,
    }
    canonical(&Words { rule, prediction, if_fails })
}

fn canonical(value: &impl Serialize) -> Result<Digest, HashError> {
    Ok(Digest::of(&serde_json_canonicalizer::to_vec(value)?))
}

impl Tests {
    /// All bindings in the long form.
    ///
    /// # Errors
    /// When the shorthand is none.
    pub fn bindings(&self) -> Result<Vec<TestBinding>, ShorthandError> {
        match self {
            Self::Shorthand(text) => Ok(vec![crate::binding::shorthand::parse(text)?]),
            Self::One(test) => Ok(vec![(**test).clone()]),
            Self::Many(tests) => Ok(tests.clone()),
        }
    }
}
