"""Write vectors.safetensors: texts and their tokens as Hugging Face `tokenizers` has them for the vocabulary of ../tiny.*.gguf.

`text` and `text.ends`, `tokens` and `tokens.ends`: all texts (UTF-8) and all token lists, one after the other, with the end of each.
`composed`: 1 where the text is its own NFC form, so that decoding gives the text back.
usage: pip install tokenizers==0.23.3 safetensors numpy && python3 make.py TOKENIZER.json
The tokenizer.json is the one that the tiny model was made with: byte-level BPE of 500 tokens, the pre-tokenizer of Qwen 2.
"""
import pathlib
import random
import sys
import unicodedata

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

COUNT = 10_000
random.seed(11)
# Ranges of characters: scripts with their own words, marks that combine, wide and narrow spaces, digits of several
# scripts, pictures joined by U+200D, private use, unassigned, the last plane.
RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF),
    (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1EFF),
    (0x2000, 0x206F), (0x2070, 0x209F), (0x2100, 0x218F), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xE000, 0xE0FF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x10FFF0, 0x10FFFF),
    (0xD7B0, 0xD7FF), (0x2F800, 0x2FA1F),
]
PIECES = [
    "'s", "'S", "'t", "'re", "'LL", "'ve", "'\u017f", "don't", "I'M", " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "\u00a0",
    "\u3000", "\u2028", "\u0085", "the", " the", "The", "123", "1,234.5", "3.14e-10", "\u0661\u0662", "\u00bd", "\u2167", "x=1;",
    "{}", "()", "/*", "*/", "://", "...", "!!!", "\u2026", "e\u0301", "\u0065\u0323\u0301", "\u1100\u1161\u11a8", "\u212b", "\u0344",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\ufeff", "\u200b", "\0", "\ufffd", "\uffff",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "start|>", "<|", "|>", "<|im_start |>", "[PAD503]",
]


def character(block):
    while True:
        c = random.randint(*block)
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def text():
    kind = random.random()
    if kind < 0.3:
        return "".join(random.choice(PIECES) for _ in range(random.randint(1, 8)))
    if kind < 0.5:
        block = random.choice(RANGES)
        return "".join(character(block) for _ in range(random.randint(1, 12)))
    if kind < 0.7:
        return "".join(character(random.choice(RANGES)) for _ in range(random.randint(1, 10)))
    if kind < 0.8:
        return random.choice(PIECES) * random.randint(1, 12)
    parts = [random.choice(PIECES) if random.random() < 0.5 else character(random.choice(RANGES)) for _ in range(9)]
    return "".join(parts)


tokenizer = Tokenizer.from_file(sys.argv[1])
texts = ["", " " * 200, "\n" * 200, "a" * 200, "\u0301" * 50] + [text() for _ in range(COUNT - 5)]
tokens = [tokenizer.encode(t).ids for t in texts]
composed = [unicodedata.is_normalized("NFC", t) for t in texts]
for t, ids, whole in zip(texts, tokens, composed):
    assert not whole or tokenizer.decode(ids, skip_special_tokens=False) == t, repr(t)
encoded = [t.encode() for t in texts]


def flat(parts, dtype):
    joined = np.array([x for part in parts for x in part], dtype=dtype)
    return joined, np.cumsum([len(part) for part in parts]).astype(np.int32)


out = {"composed": np.array(composed, dtype=np.uint8)}
out["text"], out["text.ends"] = flat(encoded, np.uint8)
out["tokens"], out["tokens.ends"] = flat(tokens, np.uint16)
save_file(out, pathlib.Path(__file__).with_name("vectors.safetensors"))
