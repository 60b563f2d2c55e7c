//! The one-line form of a test binding, `cargo test -p P --test T path`, read strictly: a word that has no
//! meaning here is an error at its column, never a filter and never skipped. It names exactly one test of
//! exactly one target.

use super::{Target, TestBinding};
use std::ops::Range;

/// Why a line is no binding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{reason} (accepted: cargo test -p PACKAGE --lib|--bin NAME|--test NAME [--features LIST] [-- --exact] [--ignored] TEST_PATH)"
)]
pub struct ShorthandError {
    /// What is wrong.
    pub reason: String,
    /// The bytes of the line it is about.
    pub span: Range<usize>,
}

/// The words of a line with their places.
fn words(line: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    line.split_whitespace().map(move |word| {
        let start = word.as_ptr() as usize - line.as_ptr() as usize;
        (word, start..start + word.len())
    })
}

/// Whether a text is a test's path: Rust identifiers joined by `::`.
#[must_use]
pub fn is_test_path(text: &str) -> bool {
    !text.is_empty()
        && text.split("::").all(|segment| {
            let segment = segment.strip_prefix("r#").unwrap_or(segment);
            segment.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && segment.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
}

/// Read a line into a binding.
///
/// # Errors
/// The first word that does not fit, or what is missing.
pub fn parse(line: &str) -> Result<TestBinding, ShorthandError> {
    let refuse = |span: Range<usize>, reason: String| ShorthandError { reason, span };
    let fail = |span: Range<usize>, reason: String| Err(refuse(span, reason));
    let mut words = words(line);
    let mut head = || words.next().unwrap_or(("", 0..line.len()));
    let (cargo, at) = head();
    if cargo != "cargo" {
        return fail(at, format!("`{cargo}` is not `cargo`: prose and other programs bind nothing"));
    }
    let (test, at) = head();
    if test != "test" {
        return fail(at, format!("`cargo {test}` is not `cargo test`"));
    }
    let mut package = None;
    let mut target = None;
    let mut path = None;
    let mut features = Vec::new();
    let mut ignored = false;
    let mut separated = false;
    let mut words = words.peekable();
    while let Some((word, at)) = words.next() {
        let (flag, mut inline) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value)),
            _ => (word, None),
        };
        let mut value = || match inline.take() {
            Some("") | None => match words.next_if(|(word, _)| !word.starts_with('-')) {
                Some((word, _)) => Ok(word),
                None => Err(refuse(at.clone(), format!("`{flag}` lacks its value"))),
            },
            Some(value) => Ok(value),
        };
        match flag {
            "-p" | "--package" if !separated => {
                let name = value()?.to_owned();
                if package.replace(name).is_some() {
                    return fail(at, "a second package".to_owned());
                }
            }
            "--lib" | "--bin" | "--test" if !separated => {
                let found = match flag {
                    "--lib" => Target::Lib,
                    "--bin" => Target::Bin(value()?.to_owned()),
                    _ => Target::Test(value()?.to_owned()),
                };
                if target.replace(found).is_some() {
                    return fail(at, "a second target".to_owned());
                }
            }
            "--features" if !separated => features.extend(value()?.split(',').map(str::to_owned)),
            "--" if !separated => separated = true,
            // Paths are exact with and without it.
            "--exact" if separated => {}
            "--ignored" | "--include-ignored" if separated => ignored = true,
            _ if word.starts_with('-') => return fail(at, format!("`{word}` has no meaning in a binding")),
            _ if !is_test_path(word) => return fail(at, format!("`{word}` is no test path")),
            _ if path.replace(word.to_owned()).is_some() => {
                return fail(at, format!("`{word}` is a second test; write a list of bindings"));
            }
            _ => {}
        }
        if let Some(value) = inline {
            return fail(at, format!("`{flag}` takes no value, found `{value}`"));
        }
    }
    let missing = |what: &str| ShorthandError { reason: format!("{what} is missing"), span: 0..line.len() };
    Ok(TestBinding {
        package: package.ok_or_else(|| missing("the package (`-p PACKAGE`)"))?,
        target: target.ok_or_else(|| missing("the target (`--lib`, `--bin NAME` or `--test NAME`)"))?,
        path: Some(path.ok_or_else(|| missing("the test's path"))?),
        prefix: None,
        at_least: None,
        features,
        ignored,
        needs: Vec::new(),
        timeout_s: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{is_test_path, parse};
    use crate::binding::Target;

    #[test]
    fn the_accepted_forms_mean_one_test() {
        for line in [
            "cargo test -p model --test it router::weights",
            "cargo test --package=model --test=it -- --exact router::weights",
            "cargo  test  --test it  -p model -- router::weights",
        ] {
            let binding = parse(line).expect(line);
            assert_eq!(binding.package, "model", "{line}");
            assert_eq!(binding.target, Target::Test("it".to_owned()), "{line}");
            assert_eq!(binding.path.as_deref(), Some("router::weights"), "{line}");
        }
        let heavy =
            parse("cargo test -p model --lib --features cuda,f16 x -- --include-ignored").expect("heavy");
        assert_eq!(heavy.features, ["cuda", "f16"]);
        assert!(heavy.ignored);
    }

    #[test]
    fn every_other_word_is_an_error_at_its_place() {
        for (line, wrong) in [
            ("proptest with random shapes", "proptest"),
            ("cargo nextest run -p a --lib b", "nextest"),
            ("cargo test -p a --lib b (11/11 PASS)", "(11/11"),
            ("cargo test -p a --lib b\nAsserts: symmetry", "Asserts:"),
            ("cargo test -p a --lib b c", "c"),
            ("cargo test -p a -p b --lib c", "-p"),
            ("cargo test -p a --lib --test b c", "--test"),
            ("cargo test -p a --lib --release c", "--release"),
            ("cargo test -p a --lib --exact c", "--exact"),
            ("cargo test -p a --lib=3 c", "--lib=3"),
            ("cargo test -p --lib c", "-p"),
            ("RUST_LOG=x cargo test -p a --lib c", "RUST_LOG=x"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(&line[error.span.clone()], wrong, "{line}: {error}");
        }
    }

    #[test]
    fn a_missing_part_is_named() {
        for (line, part) in [
            ("cargo test --lib c", "package"),
            ("cargo test -p a c", "target"),
            ("cargo test -p a --test t", "path"),
            ("", "cargo"),
        ] {
            assert!(parse(line).expect_err(line).reason.contains(part), "{line}");
        }
    }

    #[test]
    fn paths_are_identifiers() {
        assert!(is_test_path("a::r#type::b_1"));
        for bad in ["", "a:", "a::", "a b", "1a", "a-b", "::a"] {
            assert!(!is_test_path(bad), "{bad:?}");
        }
    }
}
