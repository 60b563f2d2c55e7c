//! A byte-level BPE vocabulary of any size: bytes, merges learned from a list of words, then pronounceable syllables.
//!
//! Every token decodes to text, so that a model with random weights writes something that can be read.

use crate::tokenizer::alphabet::letter;
use std::collections::{BTreeMap, HashSet};

/// How a family's tokenizer splits text and which special tokens it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Qwen2,
    Llama3,
}

impl Dialect {
    /// That of the models of an architecture.
    pub(super) fn of(architecture: &str) -> Self {
        if architecture == "llama" { Self::Llama3 } else { Self::Qwen2 }
    }
}

/// What the metadata under `tokenizer.` hold.
pub(super) struct Vocabulary {
    /// Name of the pre-tokenizer.
    pub(super) pre: &'static str,
    /// Every token, byte-level encoded; specials last.
    pub(super) tokens: Vec<String>,
    /// Per token: [`NORMAL`] or [`CONTROL`].
    pub(super) kinds: Vec<i32>,
    /// Pairs of tokens, by rank.
    pub(super) merges: Vec<String>,
    pub(super) bos: Option<u32>,
    pub(super) eos: u32,
    pub(super) padding: u32,
    pub(super) chat_template: &'static str,
}

/// Token types of GGUF files.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// Common words, the most common first: merges are learned from them.
const WORDS: &str = "the of and to in is that for it as was with be by on not he his but at are this have from or had \
    an they which one you were all her she there would their we him been has when who will no more if out so up said \
    what its about than into them can only other time new some could these two may first then do any like my now over \
    such our man me even most made after also did many off before must well back through years much where your way \
    down should because long each just state those people too how little good world make very year still see own work \
    men day get here old life both between being under three never know same last while us might great another go \
    come since against right came take used himself few house use place during high without again home around small \
    however found part think went say general once upon school every does got united number hand course water until \
    away public something fact less though far put head almost give why enough told took having system set better \
    nothing end called find going look asked later point next city program order present tensor model token layer";

const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const HEADERS: &str = "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}\
    <|end_header_id|>\n\n{{ message.content | trim }}<|eot_id|>{% endfor %}\
    {% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";

impl Vocabulary {
    /// A vocabulary of `size` tokens, or why there is none.
    pub(super) fn new(dialect: Dialect, size: usize) -> Result<Self, String> {
        // Positions of begin (where text starts with it), end of turn and padding among the specials.
        let (pre, specials, bos, eos, padding, chat_template): (_, &[&str], _, _, _, _) = match dialect {
            Dialect::Qwen2 => ("qwen2", &["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, 2, 0, CHATML),
            Dialect::Llama3 => (
                "llama-bpe",
                &[
                    "<|begin_of_text|>",
                    "<|end_of_text|>",
                    "<|start_header_id|>",
                    "<|end_header_id|>",
                    "<|eot_id|>",
                ],
                Some(0),
                4,
                1,
                HEADERS,
            ),
        };
        let least = 256 + specials.len();
        if size < least || u32::try_from(size).is_err() {
            return Err(format!("a vocabulary of {size}, expected {least} to {}", u32::MAX));
        }
        let mut growth = Growth::new(size - specials.len());
        growth.learn();
        growth.syllables();
        let Growth { mut tokens, merges, room, .. } = growth;
        if tokens.len() < room {
            return Err(format!(
                "a vocabulary of {size}, expected at most {}",
                tokens.len() + specials.len()
            ));
        }
        let first = tokens.len() as u32;
        let mut kinds = vec![NORMAL; tokens.len()];
        tokens.extend(specials.iter().map(|s| (*s).to_owned()));
        kinds.resize(tokens.len(), CONTROL);
        Ok(Self {
            pre,
            tokens,
            kinds,
            merges,
            bos: bos.map(|i: u32| first + i),
            eos: first + eos,
            padding: first + padding,
            chat_template,
        })
    }
}

/// A vocabulary that grows by merges until it has no more room.
struct Growth {
    tokens: Vec<String>,
    known: HashSet<String>,
    merges: Vec<String>,
    room: usize,
}

impl Growth {
    fn new(room: usize) -> Self {
        let tokens: Vec<String> = (0..=255).map(|b| letter(b).to_string()).collect();
        Self { known: tokens.iter().cloned().collect(), tokens, merges: Vec::new(), room }
    }

    /// Adds the token of a merge, if there is room and it is new.
    fn merge(&mut self, left: &str, right: &str) {
        let joined = format!("{left}{right}");
        if self.tokens.len() < self.room && self.known.insert(joined.clone()) {
            self.merges.push(format!("{left} {right}"));
            self.tokens.push(joined);
        }
    }

    /// Learns merges from the words: the most frequent pair first, where the n-th word of N counts N - n times.
    fn learn(&mut self) {
        let space = letter(b' ');
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let mut split: Vec<(usize, Vec<String>)> = words
            .iter()
            .enumerate()
            .map(|(n, word)| (words.len() - n, format!("{space}{word}").chars().map(String::from).collect()))
            .collect();
        while self.tokens.len() < self.room {
            let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for (count, parts) in &split {
                for pair in parts.windows(2) {
                    *pairs.entry((&pair[0], &pair[1])).or_default() += count;
                }
            }
            // Of equally frequent pairs the first in the order of the alphabet.
            let Some((&(left, right), _)) = pairs.iter().rev().max_by_key(|(_, count)| **count) else {
                return;
            };
            let (left, right) = (left.to_owned(), right.to_owned());
            self.merge(&left, &right);
            for (_, parts) in &mut split {
                let mut at = 0;
                while at + 1 < parts.len() {
                    if parts[at] == left && parts[at + 1] == right {
                        parts[at] += &right;
                        parts.remove(at + 1);
                    }
                    at += 1;
                }
            }
        }
    }

    /// Fills what is left with syllables, pairs of them and triples of them, first plain and then after a space.
    fn syllables(&mut self) {
        let space = letter(b' ').to_string();
        let singles: Vec<[String; 2]> = "bcdfghjklmnpqrstvwxyz"
            .chars()
            .flat_map(|c| "aeiou".chars().map(move |v| [c.to_string(), v.to_string()]))
            .collect();
        for [c, v] in &singles {
            self.merge(c, v);
        }
        let singles: Vec<String> = singles.iter().map(|p| p.concat()).collect();
        let mut longer = singles.clone();
        for _ in 0..2 {
            for word in &longer {
                self.merge(&space, word);
            }
            let mut next = Vec::new();
            for (first, last) in longer.iter().flat_map(|a| singles.iter().map(move |b| (a, b))) {
                if self.tokens.len() == self.room {
                    return;
                }
                self.merge(first, last);
                next.push(format!("{first}{last}"));
            }
            longer = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Vocabulary};
    use std::collections::HashSet;

    #[test]
    fn every_size_is_met_and_every_merge_makes_a_later_token() {
        for (dialect, size) in [(Dialect::Qwen2, 259), (Dialect::Qwen2, 512), (Dialect::Llama3, 20_000)] {
            let v = Vocabulary::new(dialect, size).unwrap();
            assert_eq!((v.tokens.len(), v.kinds.len()), (size, size));
            assert_eq!(v.tokens.iter().collect::<HashSet<_>>().len(), size);
            let mut known: HashSet<String> = v.tokens[..256].iter().cloned().collect();
            for (merge, token) in v.merges.iter().zip(&v.tokens[256..]) {
                let (left, right) = merge.split_once(' ').unwrap();
                assert!(known.contains(left) && known.contains(right), "{merge}");
                assert_eq!(&format!("{left}{right}"), token);
                known.insert(token.clone());
            }
            assert_eq!(256 + v.merges.len(), size - if dialect == Dialect::Qwen2 { 3 } else { 5 });
            assert!(v.tokens[v.eos as usize].starts_with("<|"));
        }
        assert!(Vocabulary::new(Dialect::Qwen2, 258).is_err());
        assert!(Vocabulary::new(Dialect::Qwen2, 10_000_000).is_err());
    }
}
