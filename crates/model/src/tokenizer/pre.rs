//! How text is split before merging: one row per name that the key `tokenizer.ggml.pre` may hold.

/// One way to split text.
#[derive(Debug)]
pub struct Row {
    /// Its name in files.
    pub name: &'static str,
    /// What stays together; merges never cross these pieces.
    pub(super) split: &'static str,
    /// Text is composed first (Unicode NFC).
    pub(super) nfc: bool,
    /// A piece that is a token as it stands is taken whole, whatever the merges say.
    pub(super) whole_words: bool,
}

/// Every row. The expressions are those that the models' authors publish with their tokenizers.
pub const PRE: &[Row] = &[
    Row {
        name: "qwen2",
        split: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        nfc: true,
        whole_words: false,
    },
    Row {
        name: "llama-bpe",
        split: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        nfc: false,
        whole_words: true,
    },
    Row {
        name: "gpt-2",
        split: r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        nfc: false,
        whole_words: false,
    },
];

impl Row {
    /// The row of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static Self> {
        PRE.iter().find(|r| r.name == name)
    }
}

/// All names, for messages.
pub(super) fn names() -> String {
    PRE.iter().map(|r| r.name).collect::<Vec<_>>().join(" ")
}
