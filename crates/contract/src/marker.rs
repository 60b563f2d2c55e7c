//! The marker that `#[falsifier]` embeds in a test executable and that is found there without running it: in
//! debug, release and stripped binaries, for tests made by macros, and for binaries that cannot start here.
//!
//! A marker is one text: [`HEAD`], the fields each followed by [`FIELD`], [`TAIL`]. The macro writes it with
//! `concat!`, so that `module_path!()`, `file!()` and `line!()` are filled in by the compiler. Whatever does not
//! read as a whole marker is no marker: the head alone occurs in every binary that links this crate.

use crate::id::FalsifierId;
use memchr::memmem;
use serde::{Deserialize, Serialize};

/// What a marker starts with; the number is the version of the layout.
pub const HEAD: &str = "\u{1}pv-falsifier:1\u{1f}";
/// What ends each field.
pub const FIELD: &str = "\u{1f}";
/// What a marker ends with.
pub const TAIL: &str = "\u{2}";

/// No marker is longer than this, so a stray head is given up soon.
const LONGEST: usize = 4096;

/// One `#[falsifier]` as compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Marker {
    /// The falsifier the test is for.
    pub id: FalsifierId,
    /// `module_path!()` of the test function, crate name first.
    pub module: String,
    /// The name of the test function.
    pub function: String,
    /// `file!()`: the source file, relative to the workspace root.
    pub file: String,
    /// `line!()`: from 1.
    pub line: u32,
    /// The token hash of the test's body.
    pub body: String,
    /// The hash of the claim that was compiled in.
    pub claim: String,
}

impl Marker {
    /// The test's path as `--list` prints it: the module path without the crate, and the function.
    #[must_use]
    pub fn test_path(&self) -> String {
        match self.module.split_once("::") {
            Some((_, module)) => format!("{module}::{}", self.function),
            None => self.function.clone(),
        }
    }

    /// The text that the macro embeds.
    #[must_use]
    pub fn encode(&self) -> String {
        let line = self.line.to_string();
        let fields =
            [self.id.as_str(), &self.module, &self.function, &self.file, &line, &self.body, &self.claim];
        let mut text = HEAD.to_owned();
        for field in fields {
            text.push_str(field);
            text.push_str(FIELD);
        }
        text.push_str(TAIL);
        text
    }

    /// Read the bytes after a head; `None` when they are no whole marker.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        let end = memmem::find(bytes, TAIL.as_bytes())?;
        let text = std::str::from_utf8(&bytes[..end]).ok()?.strip_suffix(FIELD)?;
        let fields: [&str; 7] = text.split(FIELD).collect::<Vec<_>>().try_into().ok()?;
        let [id, module, function, file, line, body, claim] = fields;
        Some(Self {
            id: FalsifierId::parse(id).ok()?,
            module: module.to_owned(),
            function: function.to_owned(),
            file: direct(file),
            line: line.parse().ok()?,
            body: body.to_owned(),
            claim: claim.to_owned(),
        })
    }
}

/// A path without the detours of `#[path = "../other.rs"]`, which the compiler writes as they are.
fn direct(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("..", Some(&last)) if !matches!(last, "" | "..") => _ = parts.pop(),
            (".", Some(_)) => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Every marker in a binary, sorted, each once.
#[must_use]
pub fn scan(binary: &[u8]) -> Vec<Marker> {
    let mut markers: Vec<_> = memmem::find_iter(binary, HEAD.as_bytes())
        .filter_map(|at| Marker::decode(&binary[at + HEAD.len()..]))
        .collect();
    markers.sort();
    markers.dedup();
    markers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(line: u32) -> Marker {
        Marker {
            id: FalsifierId::parse("FALSIFY-X-001").unwrap(),
            module: "it::router".to_owned(),
            function: "weights".to_owned(),
            file: "tests/it/router.rs".to_owned(),
            line,
            body: "sha256:00".to_owned(),
            claim: "sha256:11".to_owned(),
        }
    }

    #[test]
    fn markers_are_found_between_other_bytes_and_counted_once() {
        let mut binary = vec![0xff, 0, 1];
        for line in [7, 3, 7] {
            binary.extend(marker(line).encode().into_bytes());
            binary.extend([0x80, 0]);
        }
        assert_eq!(scan(&binary), [marker(3), marker(7)]);
        assert_eq!(marker(3).test_path(), "router::weights");
    }

    #[test]
    fn what_is_no_whole_marker_is_none() {
        let whole = marker(7).encode();
        for cut in 1..whole.len() {
            assert_eq!(scan(&whole.as_bytes()[..cut]), [], "cut at {cut}");
        }
        assert_eq!(scan(format!("{HEAD}{HEAD}{whole}").as_bytes()).len(), 1);
        assert_eq!(scan(whole.replace("FALSIFY-X-001", "a b").as_bytes()), []);
        assert_eq!(scan(whole.replace("\u{1f}7\u{1f}", "\u{1f}x\u{1f}").as_bytes()), []);
        assert_eq!(scan(format!("{HEAD}{}{TAIL}", "x".repeat(9000)).as_bytes()), []);
    }

    #[test]
    fn a_file_is_named_by_its_own_place() {
        let found = |file: &str| {
            let marker = Marker { file: file.to_owned(), ..marker(1) };
            scan(marker.encode().as_bytes()).pop().map(|marker| marker.file).unwrap_or_default()
        };
        assert_eq!(found("tests/it/../generated/norm_v1.rs"), "tests/generated/norm_v1.rs");
        assert_eq!(found("tests/it/./router.rs"), "tests/it/router.rs");
        assert_eq!(found("../../a/../b.rs"), "../../b.rs");
        assert_eq!(found("/a/b.rs"), "/a/b.rs");
    }

    #[test]
    fn a_test_at_the_crate_root_has_no_module() {
        let root = Marker { module: "it".to_owned(), ..marker(1) };
        assert_eq!(root.test_path(), "weights");
    }
}
