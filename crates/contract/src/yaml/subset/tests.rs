use super::super::{Builder, Findings, Tree, events};
use crate::source::Source;
use std::fs;
use std::path::{Path, PathBuf};

/// What is read of a text: its tree, or the findings that say why there is none.
fn read<'t>(text: &'t str, source: &'t Source, quick: bool) -> Option<(Option<Tree>, Vec<String>)> {
    let mut findings = Findings::new(source);
    let builder = Builder::new(&mut findings);
    let tree = if quick {
        builder.build(super::events(text, 0)?.into_iter(), source)
    } else {
        builder.build(events::of(text, 0), source)
    };
    Some((tree, findings.finish().iter().map(|finding| format!("{finding:?}")).collect()))
}

/// Whether the quick reader takes a text; when it does, it must say what the library says.
fn taken(text: &str) -> bool {
    let source = Source::new("x.yaml", text);
    let Some(quick) = read(text, &source, true) else { return false };
    let whole = read(text, &source, false).expect("the library says something of any text");
    // Debug, because a NaN equals no other.
    let (quick, whole) = (format!("{quick:?}"), format!("{whole:?}"));
    let same = quick.bytes().zip(whole.bytes()).take_while(|(a, b)| a == b).count();
    let from = |told: &str| told.chars().skip(same.saturating_sub(100)).take(300).collect::<String>();
    assert!(quick == whole, "of {:.600?}\nthis one {}\nthe library {}", text, from(&quick), from(&whole));
    true
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["contracts", "tests/data/corpus/upstream", "tests/data/corpus/upstream-aprender"] {
        for entry in fs::read_dir(root.join(folder)).expect(folder) {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_it_takes_reads_as_by_the_library() {
    for text in [
        "a: b\n",
        "a: b",
        "- a\n- b: c\n  d: e\n-\n  - f\n",
        "a:\n- b\n- c\nd: e\n",
        "a:\n  - b\n  - c\nd:\ne: ~\n",
        "# one\na: b # two\n\n  # three\nc: d#e\n",
        "a: one\n  two\n\n  three\nb: c\n",
        "a: one # no more\nb: c\n",
        "a: \"one\\n\\\"two\\\" \\\\\"\nb: 'it''s'\n'c d': \"e\"\n\"f\": g\n",
        "a: \"one\n  two  \n\n  three\"\nb: 'four\n  five'\n",
        "a: |\n  one\n    two\n\n  three\n\n\nb: c\n",
        "a: |-\n  one\n\n# after\nb: c\n",
        "a: |+\n  one\n\n\nb: c\n",
        "a: >\n  one\n  two\n\n  three\n    four\n  five\n\n   six\nb: c\n",
        "a: >-\n\n  one\n  two\n",
        "- |\n one\n- >\n  two\n",
        "a: [b, \"c, d\", {e: f, g: [1, 2.5]}, -1]\nb: []\nc: {}\n",
        "a: [b,\n  c d,\n  e\n  ]\nb: {c: d,\n   e: 'f'}\n",
        "- - a\n  - b\n- - c\n",
        "a: -b\nc: ?d\ne: :f\ng: a:b\nh: a- b\n",
        "été: naïve\n",
        "just text\n",
        "just\n text\n",
        "1: a\ntrue: b\n",
        "a: 1\na: 2\n",
        "a: 0x1F\nb: 0o17\nc: 1e3\nd: .inf\ne: -.inf\nf: 12345678901234567890\ng: .nan\n",
    ] {
        assert!(taken(text), "not taken: {text:?}");
    }
}

#[test]
fn the_rest_is_left_to_the_library() {
    for text in [
        "",
        "# nothing\n",
        "---\na: b\n",
        "a: b\n---\nc: d\n",
        "a: b\n...\n",
        "%YAML 1.2\n---\na: b\n",
        "a: &x b\nc: *x\n",
        "a: !!str 1\n",
        "a:\tb\n",
        "a: b\r\nc: d\r\n",
        "? a\n: b\n",
        "a: b: c\n",
        "a: b\n  c: d\n",
        "a: b\n c\nd: e: f\n",
        "- a\nb: c\n",
        "a: [b\n",
        "a: \"b\n",
        "a: 'b' c\n",
        "a: |2\n   b\n",
        "a: |\n  b\n   \n     \n  c\n",
        "a: [b: c]\n",
        "a: {b, c}\n",
        "a: [b, ]\n",
        "a: @b\n",
        "a: \"\\q\"\n",
        "\u{feff}a: b\n",
        "a: \u{85}b\n",
        "a: \u{2028}b\n",
        "a: b\0\n",
        "a:\n    b: c\n  d: e\n",
        "a: |\n b",
        "a: [b,\nc]\n",
        "- a\n-\n- b\n",
    ] {
        assert!(super::events(text, 0).is_none(), "taken: {text:?}");
    }
}

#[test]
fn contracts_lie_within_the_subset() {
    let files = files();
    let taken = files.iter().filter(|path| taken(&fs::read_to_string(path).expect("text"))).count();
    // All but those with syntax errors, anchors or tabs; a reader that took nothing would hold every other test.
    assert!(taken * 20 >= files.len() * 19, "{taken} of {} are read quickly", files.len());
}

/// A small generator (SplitMix64), so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % bound as u64).expect("below the bound")
    }
}

/// Pieces that mean something to YAML, thrown into real contracts.
const PIECES: &[&str] = &[
    "\n",
    "\n\n",
    " ",
    "  ",
    "    ",
    "- ",
    "-",
    ": ",
    ":",
    " #",
    "#",
    "\"",
    "'",
    "''",
    "|\n",
    ">\n",
    "|-\n",
    ">+\n",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ",",
    "? ",
    "&a ",
    "*a",
    "!!int ",
    "---\n",
    "...\n",
    "a: b\n",
    "\n  a: b\n",
    "\n- a\n",
    "\\",
    "\\n",
    "~",
    "null",
    "é",
    "\n#\n",
    " # c\n",
    "a",
    "0x1",
    "'a'",
    "\"b\"",
    "- - ",
    "%",
    "@",
];

#[test]
fn damaged_contracts_read_as_by_the_library() {
    let mut random = Random(1);
    let texts: Vec<_> = files().iter().map(|path| fs::read_to_string(path).expect("text")).collect();
    let mut quick = 0;
    let rounds = 20_000;
    for _ in 0..rounds {
        // A stretch of whole lines, so that much of what is damaged can still be read.
        let lines: Vec<_> = texts[random.below(texts.len())].split_inclusive('\n').collect();
        let start = random.below(lines.len());
        let count = 1 + random.below(12);
        let mut text = lines[start..lines.len().min(start + count)].concat();
        for _ in 0..random.below(4) {
            let mut at = random.below(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let mut end = (at + random.below(4)).min(text.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            let piece = if random.below(4) == 0 { "" } else { PIECES[random.below(PIECES.len())] };
            text.replace_range(at..end, piece);
        }
        quick += usize::from(taken(&text));
    }
    assert!(quick * 5 >= rounds, "only {quick} of {rounds} are taken");
}
