//! Results are a function of the operands alone: not of threads, of rows computed together, of instructions, of who
//! watches.

use crate::collect::Collect;
use crate::reference::{exact, tiny};
use falsify::{Claim, falsifier};
use model::backend::Precision;
use model::cpu::Cpu;
use model::cpu::simd::Level;
use model::session::{Model, Out, Session};
use model::stage::STAGES;
use std::num::NonZeroUsize;

/// Tokens that fill more than one page of 64 positions.
fn prompt() -> Vec<u32> {
    (0..83_u32).map(|i| (i * 37 + 11) % 500).collect()
}

/// The logits of every position, computed in parts.
fn logits(mut session: Session, parts: &[&[u32]]) -> Vec<f32> {
    let mut all = Vec::new();
    for part in parts {
        session.run(part, Out::All).unwrap();
        all.extend(session.logits().unwrap());
    }
    all
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-006")]
fn parts_threads_and_instructions_show_in_no_bit(claim: &mut Claim) {
    let tokens = prompt();
    let singles: Vec<&[u32]> = tokens.chunks(1).collect();
    let ragged = [&tokens[..1], &tokens[1..8], &tokens[8..70], &tokens[70..]];
    for file in ["q4_k_m", "q8_0", "f16"] {
        let model = tiny(file);
        let on = |threads| Session::new(&model, &exact(threads)).unwrap();
        let want = logits(on(1), &[&tokens]);
        claim.at("file", file).at("way", "single steps").compare(&want, &logits(on(1), &singles));
        for threads in [2, 3, 5] {
            let at = claim.at("file", file).at("way", "threads and ragged parts");
            at.on(format!("{threads} threads")).compare(&want, &logits(on(threads), &ragged));
        }
        for level in Level::available() {
            let cpu = Cpu::with_level(Precision::Exact, NonZeroUsize::new(2), level).unwrap();
            let session = Session::on(cpu, &model, 0..model.config().layers).unwrap();
            let at = claim.at("file", file).at("way", "instruction sets").on(level.name());
            at.compare(&want, &logits(session, &[&tokens]));
        }
    }
}

#[falsifier("FALSIFY-QW3-MOE-FORWARD-010")]
fn parts_and_threads_show_in_no_bit_of_the_fast_pass(claim: &mut Claim) {
    // More than two chunks of 256 positions, the last ones token by token.
    let tokens: Vec<u32> = (0..600_u32).map(|i| (i * 37 + 11) % 500).collect();
    let (prompt, rest) = tokens.split_at(560);
    let steps: Vec<&[u32]> = std::iter::once(prompt).chain(rest.chunks(1)).collect();
    for file in ["f16", "q8_0", "q4_k_m"] {
        let model = tiny(file);
        let on = |threads| {
            let options = model::session::Options { precision: Precision::Fast, ..exact(threads) };
            Session::new(&model, &options).unwrap()
        };
        let want = logits(on(1), &[&tokens]);
        for threads in [1, 2, 3, 5, 8] {
            let at = claim.at("file", file).at("threads", threads as i64);
            at.compare(&want, &logits(on(threads), &steps));
        }
    }
}

/// Watches each of `stages` alone and compares the logits with those of a pass that nobody watched.
fn each_watched_alone(claim: &mut Claim, model: &Model, precisions: &[Precision]) {
    let tokens = prompt();
    let stages: Vec<String> = claim.over("stage").iter().map(ToString::to_string).collect();
    for &precision in precisions {
        let options = || model::session::Options { precision, ..exact(2) };
        let want = logits(Session::new(model, &options()).unwrap(), &[&tokens]);
        let mut session = Session::new(model, &options()).unwrap();
        for name in &stages {
            let stage = STAGES.iter().find(|r| r.name == name).unwrap().stage;
            let mut seen = Collect { only: vec![stage], ..Collect::default() };
            session.rewind(0).unwrap();
            session.observe(&tokens, Out::All, &mut seen).unwrap();
            let got = session.logits().unwrap();
            let at = claim.at("stage", name.as_str()).at("precision", precision.name());
            at.compare(&want, &got);
            assert!(!seen.values.is_empty(), "{name} was never seen");
        }
    }
}

#[falsifier("FALSIFY-MOE-SUB-002")]
fn watching_a_stage_changes_no_bit(claim: &mut Claim) {
    each_watched_alone(claim, &tiny("q4_k_m"), &[Precision::Exact, Precision::Fast]);
}

#[falsifier("FALSIFY-ATTN-SUB-005")]
fn watching_attention_changes_no_bit(claim: &mut Claim) {
    each_watched_alone(claim, &tiny("q4_k_m"), &[Precision::Exact, Precision::Fast]);
}

#[test]
fn a_rewound_session_forgets() {
    let model = tiny("q4_k_m");
    let tokens = prompt();
    let mut session = Session::new(&model, &exact(2)).unwrap();
    session.run(&[7; 20], Out::Last).unwrap();
    session.rewind(0).unwrap();
    assert!(session.rewind(1).is_err(), "nothing is computed any more");
    let want = logits(Session::new(&model, &exact(2)).unwrap(), &[&tokens]);
    assert_eq!(logits(session, &[&tokens]), want);
}
