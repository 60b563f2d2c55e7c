//! Signed records: a DSSE envelope round the bytes of a statement, signed with Ed25519.
//!
//! A key is named by itself, `ed25519:<64 hex>`, so an envelope can be checked without a list of keys; whether a
//! key is trusted is for the policy of pv.toml to say. Unsigned evidence stops mistakes, not forgery.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use contract::evidence::Statement;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The type of the payload, as in-toto names it.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

const ALGORITHM: &str = "ed25519:";

/// A DSSE envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// [`PAYLOAD_TYPE`].
    pub payload_type: String,
    /// The statement's bytes in base64.
    pub payload: String,
    /// The signatures; at least one.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// The key, `ed25519:<64 hex>`.
    pub keyid: String,
    /// The signature in base64.
    pub sig: String,
}

/// Why bytes are no envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON of this form.
    #[error("not a DSSE envelope: {0}")]
    Json(#[from] serde_json::Error),
    /// A payload of another type.
    #[error("payloadType is `{0}` (accepted: `{PAYLOAD_TYPE}`)")]
    Type(String),
    /// No base64.
    #[error("the envelope's {what} is no base64: {source}")]
    Base64 {
        /// `payload` or `signature`.
        what: &'static str,
        /// What is wrong with it.
        source: base64::DecodeError,
    },
    /// Nobody signed it.
    #[error("the envelope has no signature")]
    Unsigned,
}

/// Why an envelope's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key's name is none.
    #[error("`{0}` is no key (accepted: ed25519: and 64 hexadecimal digits)")]
    Key(String),
    /// The signature is of other bytes, or by another key.
    #[error("the signature by {0} does not fit the content")]
    Mismatch(String),
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds no key.
    #[error("{}: no Ed25519 private key in PKCS#8 PEM: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

impl Envelope {
    /// Signs a statement's bytes.
    #[must_use]
    pub fn sign(bytes: &[u8], key: &PrivateKey) -> Self {
        let signature = key.0.sign(&pre_authentication(bytes));
        Self {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: BASE64.encode(bytes),
            signatures: vec![EnvelopeSignature {
                keyid: key.public().to_string(),
                sig: BASE64.encode(signature.to_bytes()),
            }],
        }
    }

    /// Reads an envelope. Its signatures are not checked.
    ///
    /// # Errors
    /// When the bytes are no envelope of a statement, or nobody signed it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope: Self = serde_json::from_slice(bytes)?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::Type(envelope.payload_type));
        }
        if envelope.signatures.is_empty() {
            return Err(EnvelopeError::Unsigned);
        }
        Ok(envelope)
    }

    /// The bytes of its file: JSON, one line.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let texts = |s: &EnvelopeSignature| serde_json::json!({"keyid": s.keyid, "sig": s.sig});
        let signatures: Vec<_> = self.signatures.iter().map(texts).collect();
        let value = serde_json::json!({
            "payloadType": self.payload_type, "payload": self.payload, "signatures": signatures
        });
        format!("{value}\n").into_bytes()
    }

    /// The statement's bytes.
    ///
    /// # Errors
    /// When the payload is no base64.
    pub fn payload(&self) -> Result<Vec<u8>, EnvelopeError> {
        BASE64.decode(&self.payload).map_err(|source| EnvelopeError::Base64 { what: "payload", source })
    }

    /// The keys that signed it. One signature that does not fit spoils the envelope: it was made for other bytes.
    ///
    /// # Errors
    /// The first signature that does not count.
    pub fn verify(&self) -> Result<Vec<PublicKey>, SignatureError> {
        let mismatch = |keyid: &str| SignatureError::Mismatch(keyid.to_owned());
        let payload = self.payload().ok().map(|bytes| pre_authentication(&bytes));
        let one = |signature: &EnvelopeSignature| {
            let key = PublicKey::parse(&signature.keyid)?;
            let signed = payload.as_ref().ok_or_else(|| mismatch(&signature.keyid))?;
            let fits = signature.given().is_some_and(|given| key.0.verify_strict(signed, &given).is_ok());
            if fits { Ok(key) } else { Err(mismatch(&signature.keyid)) }
        };
        self.signatures.iter().map(one).collect()
    }

    /// What [`Envelope::verify`] says of each, in half of the time when all of them fit.
    ///
    /// Only the owner of a key can make a signature that fits among others and not alone, and who owns a key has no
    /// need of one.
    #[must_use]
    pub fn verify_all(envelopes: &[&Self]) -> Vec<Result<Vec<PublicKey>, SignatureError>> {
        match Self::together(envelopes) {
            Some(keys) => keys.into_iter().map(Ok).collect(),
            None => envelopes.iter().map(|envelope| envelope.verify()).collect(),
        }
    }

    /// The keys of each when every signature fits; `None` says nothing.
    fn together(envelopes: &[&Self]) -> Option<Vec<Vec<PublicKey>>> {
        let payload = |envelope: &&Self| Some(pre_authentication(&envelope.payload().ok()?));
        let payloads: Vec<Vec<u8>> = envelopes.iter().map(payload).collect::<Option<_>>()?;
        // A key is a point that is searched for; few keys sign many records.
        let mut known: BTreeMap<&str, PublicKey> = BTreeMap::new();
        let (mut signed, mut given, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (envelope, payload) in envelopes.iter().zip(&payloads) {
            for signature in &envelope.signatures {
                let key = match known.entry(&signature.keyid) {
                    Entry::Occupied(key) => key.get().clone(),
                    Entry::Vacant(place) => place.insert(PublicKey::parse(&signature.keyid).ok()?).clone(),
                };
                if key.0.is_weak() {
                    return None;
                }
                signed.push(payload.as_slice());
                given.push(signature.given()?);
                keys.push(key.0);
            }
        }
        ed25519_dalek::verify_batch(&signed, &given, &keys).ok()?;
        let mut keys = keys.into_iter().map(PublicKey);
        let own = |envelope: &&Self| keys.by_ref().take(envelope.signatures.len()).collect();
        Some(envelopes.iter().map(own).collect())
    }
}

impl EnvelopeSignature {
    fn given(&self) -> Option<Signature> {
        Signature::from_slice(&BASE64.decode(&self.sig).ok()?).ok()
    }
}

/// What is signed: DSSE's encoding of type and bytes, which no other pair has.
fn pre_authentication(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), bytes.len()).into_bytes();
    encoded.extend_from_slice(bytes);
    encoded
}

/// A key that checks signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads `ed25519:<64 hex>`.
    ///
    /// # Errors
    /// When the text is no key.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let fail = || SignatureError::Key(text.to_owned());
        let hex =
            text.strip_prefix(ALGORITHM).filter(|hex| hex.len() == 64 && hex.is_ascii()).ok_or_else(fail)?;
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).map_err(|_| fail())?;
        }
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| fail())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALGORITHM)?;
        self.0.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key that signs.
pub struct PrivateKey(SigningKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public())
    }
}

impl PrivateKey {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// When the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| KeyError::Random(e.to_string()))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Its other half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it cannot be read or holds no key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        SigningKey::from_pkcs8_pem(&text)
            .map(Self)
            .map_err(|e| KeyError::Form { path: path.to_owned(), reason: e.to_string() })
    }

    /// Writes a key file that only its owner can read. An existing file is never overwritten.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let form =
            |e: ed25519_dalek::pkcs8::Error| KeyError::Form { path: path.to_owned(), reason: e.to_string() };
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).map_err(form)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| file.write_all(pem.as_bytes()));
        written.map_err(|source| KeyError::File { path: path.to_owned(), source })
    }
}

impl Envelope {
    /// The statement in it.
    ///
    /// # Errors
    /// When the payload is no base64 or no statement.
    pub fn statement(&self) -> Result<Statement, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Statement::from_bytes(&self.payload()?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked_together_is_what_is_checked_alone() {
        let keys = [1, 2].map(|seed| PrivateKey(SigningKey::from_bytes(&[seed; 32])));
        let bytes = |number: usize| format!("{{\"number\":{number}}}").into_bytes();
        let mut all: Vec<Envelope> = (0..40).map(|n| Envelope::sign(&bytes(n), &keys[n % 2])).collect();
        let second = Envelope::sign(&bytes(7), &keys[0]).signatures;
        all[7].signatures.extend(second);
        let compare = |all: &[Envelope]| {
            let alone: Vec<_> = all.iter().map(Envelope::verify).collect();
            assert_eq!(Envelope::verify_all(&all.iter().collect::<Vec<_>>()), alone);
            alone.iter().filter(|keys| keys.is_ok()).count()
        };
        assert_eq!(compare(&all), 40);
        assert_eq!(compare(&[]), 0);
        assert!(Envelope::together(&all.iter().collect::<Vec<_>>()).is_some(), "each is checked alone");
        let bytes_of_another = all[3].payload.clone();
        let weak = format!("{ALGORITHM}01{}", "0".repeat(62));
        let damages: [fn(&mut Envelope, &str, &str); 5] = [
            |envelope, other, _| other.clone_into(&mut envelope.payload),
            |envelope, _, _| envelope.payload.push('!'),
            |envelope, _, _| envelope.signatures[0].sig.truncate(8),
            |envelope, _, _| envelope.signatures[0].keyid.truncate(9),
            |envelope, _, weak| weak.clone_into(&mut envelope.signatures[0].keyid),
        ];
        for (at, damage) in damages.into_iter().enumerate() {
            let mut all = all.clone();
            damage(&mut all[20], &bytes_of_another, &weak);
            assert_eq!(compare(&all), 39, "damage {at}");
        }
    }
}
