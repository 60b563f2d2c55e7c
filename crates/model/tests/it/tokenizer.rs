//! The tokenizer against Hugging Face's, and the errors of vocabularies that are none.

use crate::gguf::sample::file;
use falsify::{Claim, falsifier, require};
use model::gguf::{Array, File, Metadata, Value};
use model::mapped::Mapped;
use model::synth::{Mix, Plan, Preset};
use model::tokenizer::{Error, Message, Stream, Tokenizer};
use safetensors::SafeTensors;
use std::ops::ControlFlow;

fn tiny() -> Tokenizer {
    let map = Mapped::open(&require!(data "tiny.q4_k_m.gguf")).unwrap();
    Tokenizer::from_metadata(&File::parse(&map).unwrap().metadata).unwrap()
}

/// The parts of a flat list, given the end of each.
fn parts<'a, T>(flat: &'a [T], ends: &[u8]) -> Vec<&'a [T]> {
    let ends = ends.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b) as usize);
    let mut start = 0;
    ends.map(|end| &flat[std::mem::replace(&mut start, end)..end]).collect()
}

/// The vectors: texts, their tokens, whether a text is its own NFC form.
struct Vectors {
    text: Vec<String>,
    tokens: Vec<Vec<u32>>,
    composed: Vec<bool>,
}

fn vectors() -> Vectors {
    let bytes = std::fs::read(require!(data "tokenizer/vectors.safetensors")).unwrap();
    let vectors = SafeTensors::deserialize(&bytes).unwrap();
    let get = |name: &str| vectors.tensor(name).unwrap();
    let ids: Vec<u32> =
        get("tokens").data().as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b).into()).collect();
    let text = parts(get("text").data(), get("text.ends").data());
    let text: Vec<String> = text.into_iter().map(|t| str::from_utf8(t).unwrap().to_owned()).collect();
    let tokens: Vec<_> = parts(&ids, get("tokens.ends").data()).into_iter().map(<[u32]>::to_vec).collect();
    assert_eq!((text.len(), tokens.len()), (10_000, 10_000));
    Vectors { text, tokens, composed: get("composed").data().iter().map(|&c| c == 1).collect() }
}

#[falsifier("FALSIFY-TOKENIZER-HF-001")]
fn ten_thousand_texts_have_the_tokens_of_hugging_face(claim: &mut Claim) {
    let (vectors, tokenizer) = (vectors(), tiny());
    for (text, expected) in vectors.text.iter().zip(&vectors.tokens) {
        claim.on(format!("{text:?}")).compare(expected, &tokenizer.encode(text).unwrap());
    }
}

#[falsifier("FALSIFY-TOKENIZER-STREAM-001")]
fn streamed_text_is_the_text_of_the_whole(claim: &mut Claim) {
    let (vectors, tokenizer) = (vectors(), tiny());
    let all = vectors.text.iter().zip(&vectors.tokens).zip(vectors.composed);
    for ((text, tokens), composed) in all {
        let mut stream = Stream::default();
        let mut streamed: String = tokens.iter().map(|&t| stream.push(tokenizer.bytes(t).unwrap())).collect();
        streamed += &stream.finish();
        let whole = if composed { text.clone() } else { tokenizer.decode(tokens) };
        claim.on(format!("{text:?}")).compare(&whole, &streamed);
    }
}

#[test]
fn special_tokens_are_known() {
    let t = tiny();
    assert_eq!((t.len(), t.is_empty()), (512, false));
    // The file names <|im_end|>; models of this family also end with <|endoftext|>.
    assert_eq!([500, 501, 502, 503].map(|id| t.is_end(id)), [true, false, true, false]);
    assert_eq!([499, 500, 501, 503].map(|id| t.is_control(id)), [false, true, true, false]);
    assert_eq!(t.bytes(512), None);
    assert!(t.chat().is_none());
}

#[test]
fn synthetic_vocabularies_encode_decode_and_chat() {
    for (preset, begins) in [("tiny", false), ("tiny-llama", true)] {
        let shape = &Preset::from_name(preset).unwrap().shape;
        let plan = Plan::new(preset, shape, Mix::from_name("q8_0").unwrap(), 0).unwrap();
        let mut bytes = Vec::new();
        plan.write(&mut bytes, |_| ControlFlow::Continue(())).unwrap();
        let t = Tokenizer::from_metadata(&File::parse(&bytes).unwrap().metadata).unwrap();
        let text = "once upon a time, Größe 12 😀\n";
        let tokens = t.encode(text).unwrap();
        assert!(tokens.len() < text.len(), "{preset}: words are merged");
        assert_eq!(t.is_control(tokens[0]), begins, "{preset}");
        assert_eq!(t.decode(&tokens[usize::from(begins)..]), text, "{preset}");
        let user = Message { role: "user".into(), content: "hi".into() };
        let chat = t.chat().unwrap().render(&[user]).unwrap();
        let tokens = t.encode(&chat).unwrap();
        assert_eq!(tokens.iter().filter(|&&id| t.is_end(id)).count(), 1, "{preset}: {chat:?}");
        // The template spells the beginning out; it is not doubled.
        assert!(t.is_control(tokens[0]) && tokens[0] != tokens[1], "{preset}");
    }
}

#[test]
fn long_runs_of_space_are_encoded() {
    let t = tiny();
    let text = format!("a{}b", " ".repeat(100_000));
    assert_eq!(t.decode(&t.encode(&text).unwrap()), text);
}

/// A small vocabulary that works.
fn metadata() -> Metadata {
    let strings = |list: &[&str]| Value::Array(Array::String(list.iter().map(|&s| s.into()).collect()));
    let mut m = Metadata::default();
    m.set("tokenizer.ggml.model", Value::String("gpt2".into()));
    m.set("tokenizer.ggml.pre", Value::String("gpt-2".into()));
    m.set("tokenizer.ggml.tokens", strings(&["a", "b", "ab", "<|endoftext|>"]));
    m.set("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![1, 1, 1, 3])));
    m.set("tokenizer.ggml.merges", strings(&["a b"]));
    m
}

#[test]
fn broken_vocabularies_are_refused() {
    type Change<'a> = &'a dyn Fn(&mut Metadata);
    let read = |change: Change<'_>| {
        let mut m = metadata();
        change(&mut m);
        // Through a file, as it would come.
        let parsed = File::parse(&file(&m, &[])).unwrap();
        Tokenizer::from_metadata(&parsed.metadata)
            .map(|t| t.encode("abba").unwrap())
            .map_err(|e| e.to_string())
    };
    assert_eq!(read(&|_| ()), Ok(vec![2, 1, 0]));
    let text = |v: &str| Value::String(v.into());
    let merges = |v: &str| Value::Array(Array::String(vec![v.into()]));
    let cases: [(Change<'_>, &str); 8] = [
        (&|m| m.set("tokenizer.ggml.model", text("llama")), "'llama' is not supported, expected 'gpt2'"),
        (
            &|m| m.set("tokenizer.ggml.pre", text("new")),
            "'new' is not supported, expected one of qwen2 llama-bpe",
        ),
        (&|m| m.set("tokenizer.ggml.tokens", Value::Bool(true)), "is bool true, expected array of string"),
        (
            &|m| m.set("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![]))),
            "4 tokens but 0 token types",
        ),
        (&|m| m.set("tokenizer.ggml.merges", merges("ab")), "merge 0 is \"ab\""),
        (&|m| m.set("tokenizer.ggml.merges", merges("a x")), "makes no tokenizer"),
        (&|m| m.set("tokenizer.ggml.eos_token_id", Value::U32(4)), "is 4, expected a token below 4"),
        (
            &|m| m.set("tokenizer.ggml.add_bos_token", Value::Bool(true)),
            "'tokenizer.ggml.bos_token_id' is missing",
        ),
    ];
    for (change, says) in cases {
        let error = read(change).unwrap_err();
        assert!(error.contains(says) && !error.contains('\n'), "{error}");
    }
    assert!(matches!(Tokenizer::from_metadata(&Metadata::default()), Err(Error::Key(_))));
}
