//! The families of models, and the reading of a model's shape from a file's metadata. It knows no tensor but the
//! embedding, whose rows are the vocabulary, and the rotation factors.
//!
//! Nothing is guessed: a key is in the file, or its absence has the one meaning that the architecture's row of
//! [`ARCHITECTURES`] states. A key that asks for something the engine does not compute is an error, not ignored.

use crate::config::{Config, Experts, Pairing, Rope};
use crate::gguf::{self, Decode, KeyError, Metadata};
use fault::fault;

/// What a family of models is, beyond what its files say.
#[derive(Debug)]
pub struct Architecture {
    /// `general.architecture`, and the prefix of the keys.
    pub name: &'static str,
    /// Its feed-forward blocks are mixtures; the chosen weights are divided by their sum unless the file says not.
    pub experts: bool,
    /// [`Config::head_norm`].
    pub head_norm: bool,
    /// [`Config::qkv_bias`].
    pub qkv_bias: bool,
    /// [`Rope::pairing`].
    pub pairing: Pairing,
    /// Files without `attention.key_length` mean heads that share the hidden width evenly.
    pub even_heads: bool,
}

/// Every supported architecture, once.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "qwen3moe",
        experts: true,
        head_norm: true,
        qkv_bias: false,
        pairing: Pairing::Halves,
        even_heads: false,
    },
    Architecture {
        name: "qwen3",
        experts: false,
        head_norm: true,
        qkv_bias: false,
        pairing: Pairing::Halves,
        even_heads: false,
    },
    Architecture {
        name: "qwen2",
        experts: false,
        head_norm: false,
        qkv_bias: true,
        pairing: Pairing::Halves,
        even_heads: true,
    },
    Architecture {
        name: "llama",
        experts: false,
        head_norm: false,
        qkv_bias: false,
        pairing: Pairing::Neighbours,
        even_heads: true,
    },
];

/// Keys that change the computation in a way that is not implemented, and the value that asks for nothing.
const REFUSED: &[(&str, f64)] = &[
    ("expert_shared_count", 0.0),
    ("expert_shared_feed_forward_length", 0.0),
    ("expert_group_count", 0.0),
    // 1 is softmax.
    ("expert_gating_func", 1.0),
    ("expert_weights_scale", 1.0),
    ("leading_dense_block_count", 0.0),
    ("attention.sliding_window", 0.0),
    ("attention.logit_softcapping", 0.0),
    ("final_logit_softcapping", 0.0),
    ("attention.max_alibi_bias", 0.0),
    ("attention.clamp_kqv", 0.0),
    ("logit_scale", 1.0),
    ("embedding_scale", 1.0),
    ("residual_scale", 1.0),
    ("attention.scale", 0.0),
];

/// Why a file's metadata describes no model that can be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `general.architecture` is missing or no string.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An architecture that is not supported.
    #[error("architecture {} is not supported, expected one of {}", gguf::Quoted(.found), names())]
    Architecture {
        /// `general.architecture`.
        found: String,
    },
    /// Everything that is missing or contradicts itself.
    #[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Metadata {
        /// One for each key.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong with the metadata.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A key is missing or of another type.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A value that cannot be.
    #[error("metadata key '{key}' is {found}, expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// A tensor that the shape depends on is missing or has another shape.
    #[error("tensor '{tensor}' {found}, expected {expected}")]
    Tensor {
        /// Its name.
        tensor: &'static str,
        /// What is there.
        found: String,
        /// What is accepted.
        expected: String,
    },
}

fn names() -> String {
    ARCHITECTURES.iter().map(|a| a.name).collect::<Vec<_>>().join(" ")
}

/// The tensor whose rows are the vocabulary.
pub const EMBEDDING: &str = "token_embd.weight";
/// The tensor that holds [`Rope::factors`], where a model has them.
pub const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Keys of one file, and what was found wrong with them so far.
struct Keys<'a> {
    metadata: &'a Metadata,
    prefix: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Keys<'a> {
    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    /// A key that may be absent.
    fn optional<T: Decode<'a>>(&mut self, key: &str) -> Option<T> {
        match self.metadata.optional(&self.full(key)) {
            Ok(value) => value,
            Err(error) => {
                self.problems.push(error.into());
                None
            }
        }
    }

    /// A key that has to be there; what it gives otherwise is never used, because a problem is recorded.
    fn required<T: Decode<'a> + Default>(&mut self, key: &str) -> T {
        match self.metadata.required(&self.full(key)) {
            Ok(value) => value,
            Err(_) if fault!("load-missing-key-defaulted") => T::default(),
            Err(error) => {
                self.problems.push(error.into());
                T::default()
            }
        }
    }

    /// A length: at least 1.
    fn length(&mut self, key: &str) -> usize {
        let n = self.required(key);
        if n == 0 && self.metadata.get(&self.full(key)).is_some() {
            self.wrong(key, n, "at least 1");
        }
        n
    }

    fn wrong(&mut self, key: &str, found: impl ToString, expected: impl ToString) {
        let key = self.full(key);
        // A missing or mistyped key was reported already.
        if !self.problems.iter().any(|p| matches!(p, Problem::Key(e) if e.key() == key)) {
            let (found, expected) = (found.to_string(), expected.to_string());
            self.problems.push(Problem::Value { key, found, expected });
        }
    }
}

impl Config {
    /// The model that a file describes. `bytes` is the whole file.
    ///
    /// # Errors
    /// An unknown architecture, or everything that is missing or contradicts itself, together.
    pub fn from_gguf(file: &gguf::File, bytes: &[u8]) -> Result<Self, Error> {
        let found: &str = file.metadata.required("general.architecture")?;
        let Some(arch) = ARCHITECTURES.iter().find(|a| a.name == found) else {
            return Err(Error::Architecture { found: found.to_owned() });
        };
        let mut keys = Keys { metadata: &file.metadata, prefix: arch.name, problems: Vec::new() };

        let layers = keys.length("block_count");
        let hidden = keys.length("embedding_length");
        let heads = keys.length("attention.head_count");
        let kv_heads = keys.length("attention.head_count_kv");
        if kv_heads > 0 && !heads.is_multiple_of(kv_heads) {
            keys.wrong("attention.head_count_kv", kv_heads, format!("a divisor of the {heads} query heads"));
        }
        let head_dim = match keys.optional("attention.key_length") {
            Some(n) => n,
            None if arch.even_heads && heads > 0 => {
                if !hidden.is_multiple_of(heads) {
                    keys.wrong("embedding_length", hidden, format!("a multiple of the {heads} heads"));
                }
                hidden / heads
            }
            None => keys.required("attention.key_length"),
        };
        if let Some(n) = keys.optional::<usize>("attention.value_length").filter(|&n| n != head_dim) {
            keys.wrong("attention.value_length", n, format!("the key length, {head_dim}"));
        }
        let (experts, ff) = if arch.experts {
            let (count, used) = (keys.length("expert_count"), keys.length("expert_used_count"));
            if used > count {
                keys.wrong("expert_used_count", used, format!("at most the {count} experts"));
            }
            let renormalize = keys.optional("expert_weights_norm").unwrap_or(true);
            (Some(Experts { count, used, renormalize }), keys.length("expert_feed_forward_length"))
        } else {
            if let Some(n) = keys.optional::<usize>("expert_count").filter(|&n| n != 0) {
                keys.wrong("expert_count", n, format!("none for architecture '{}'", arch.name));
            }
            (None, keys.length("feed_forward_length"))
        };
        let eps: f32 = keys.required("attention.layer_norm_rms_epsilon");
        if !(eps >= 0.0 && eps.is_finite()) {
            keys.wrong("attention.layer_norm_rms_epsilon", eps, "a finite number that is not negative");
        }
        let context = keys.length("context_length");
        for &(key, neutral) in REFUSED {
            let value = keys.metadata.get(&keys.full(key)).and_then(gguf::Value::number);
            if value.is_some_and(|v| v != neutral && v != 0.0) {
                keys.wrong(key, value.unwrap_or_default(), format!("{neutral} or none: it is not supported"));
            }
        }
        let rope = rope(&mut keys, arch, file, bytes, head_dim);

        let vocab = match file.tensor(EMBEDDING) {
            Some(t) if t.dims.len() == 2 && (t.cols() == hidden || hidden == 0) => t.rows(),
            other => {
                let found = other.map_or("is missing".to_owned(), |t| format!("has shape {:?}", t.dims));
                let expected = format!("[{hidden}, vocabulary]");
                keys.problems.push(Problem::Tensor { tensor: EMBEDDING, found, expected });
                0
            }
        };
        if let Some(n) = keys.optional::<usize>("vocab_size").filter(|&n| n != vocab) {
            keys.wrong("vocab_size", n, format!("the {vocab} rows of tensor '{EMBEDDING}'"));
        }

        if !keys.problems.is_empty() {
            return Err(Error::Metadata { problems: keys.problems });
        }
        Ok(Self {
            architecture: arch.name,
            layers,
            hidden,
            heads,
            kv_heads,
            head_dim,
            ff,
            vocab,
            experts,
            eps,
            rope,
            head_norm: arch.head_norm,
            qkv_bias: arch.qkv_bias,
            context,
        })
    }
}

fn rope(keys: &mut Keys<'_>, arch: &Architecture, file: &gguf::File, bytes: &[u8], head_dim: usize) -> Rope {
    let base: f64 = if fault!("rope-default-base") { 10_000.0 } else { keys.required("rope.freq_base") };
    if !(base > 0.0 && base.is_finite()) {
        keys.wrong("rope.freq_base", base, "a positive number");
    }
    // Absent where whole heads are rotated.
    let dims = keys.optional("rope.dimension_count").unwrap_or(head_dim);
    if dims == 0 || !dims.is_multiple_of(2) || dims > head_dim {
        keys.wrong("rope.dimension_count", dims, format!("an even number up to the head's {head_dim}"));
    }
    let scaling: Option<&str> = keys.optional("rope.scaling.type");
    let scale = match scaling {
        None | Some("none") => 1.0,
        Some("linear") => {
            let factor: f64 = keys.required("rope.scaling.factor");
            if !(factor > 0.0 && factor.is_finite()) {
                keys.wrong("rope.scaling.factor", factor, "a positive number");
            }
            1.0 / factor
        }
        Some(other) => {
            keys.wrong("rope.scaling.type", gguf::Quoted(other), "'none' or 'linear'");
            1.0
        }
    };
    let mut factors = Vec::new();
    if let Some(tensor) = file.tensor(ROPE_FACTORS) {
        factors.resize(tensor.weights(), 0.0);
        let read = bytes.get(tensor.bytes.clone()).map(|b| tensor.format.dequantize(b, &mut factors));
        let found = match read {
            Some(Ok(())) if factors.len() != dims / 2 => Some(format!("has shape {:?}", tensor.dims)),
            Some(Ok(())) => factors
                .iter()
                .position(|f| !(*f > 0.0 && f.is_finite()))
                .map(|i| format!("holds {} at {i}", factors[i])),
            Some(Err(error)) => Some(error.to_string()),
            None => Some("lies past the end of the file".to_owned()),
        };
        if let Some(found) = found {
            let expected = format!("{} positive numbers", dims / 2);
            keys.problems.push(Problem::Tensor { tensor: ROPE_FACTORS, found, expected });
        }
    }
    Rope { base, dims, pairing: arch.pairing, factors, scale }
}
