use super::{Parts, SourceFile, of_file, of_function};

fn hash(text: &str) -> String {
    of_file(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn parts_of(text: &str) -> Parts {
    SourceFile::parse(text).unwrap().into_parts()
}

/// Sources that must have one hash.
const SAME: &[&[&str]] = &[
    &["a + b", "a+b", "a // why\n + b", "a /* why */ + b", "a\n+\nb"],
    &["/// doc\nfn f() {}", "fn f() {}", "#[doc = \"doc\"] fn f() {}", "#[doc(hidden)] fn f() {}"],
    &["//! doc\nfn f() {}", "fn f() {}", "#![doc = \"doc\"] fn f() {}"],
    &["f(a, b,)", "f(a, b)"],
    &["[1, 2,]", "[1, 2]"],
    &["f::<A, B,>(x)", "f::<A, B>(x)"],
    &["match x { A => { f() } B => g(), }", "match x { A => f(), B => g() }"],
    &["match x { A => { f(); g() } B => h }", "match x { A => { f(); g() }, B => h, }"],
    &["xs.map(|x| { x + 1 })", "xs.map(|x| x + 1)"],
    &["let f = || { g() };", "let f = || g();"],
    &["let f = move |a, b| { a == b };", "let f = move |a, b| a == b;"],
    &["Some(x,)", "Some(x)"],
    &["x.0.1", "x.0 .1", "x\n.0\n.1"],
    &["match x { A => return y, B => z }", "match x { A => { return y; } B => z }"],
    &["{ f(); return x }", "{ f(); return x; }"],
    &["loop { break }", "loop { break; }"],
    &["#!/usr/bin/env run\nfn f() {}", "fn f() {}"],
];

/// Sources of which no two may have one hash.
const DIFFERENT: &[&[&str]] = &[
    &["1e-6", "1e-7", "1.0e-6", "0.000_001", "a"],
    &["\"a\"", "'a'", "b\"a\"", "a", "r\"a\"", "r#\"a\"#"],
    &["a - b", "a(-b)", "a, -b", "a; -b"],
    &["(x,)", "(x)", "x", "((x,))"],
    &["return (x,)", "return (x)"],
    &["x | { a == b }", "x | a == b"],
    &["let y = || { a } + 1;", "let y = || a + 1;"],
    &["match x { A => { f(); } B => g() }", "match x { A => f(), B => g() }"],
    &["#[cfg(x)] fn f() {}", "fn f() {}", "#[ignore] fn f() {}"],
    &["#![allow(x)] fn f() {}", "#[allow(x)] fn f() {}"],
    &["ab", "a b", "r#ab"],
    &["{ a }", "a", "(a)", "[a]"],
    &["unsafe { f() }", "unsafe { f(); }"],
    &["assert!(a)", "assert(a)"],
    &["'a", "'a'"],
    &["0..0.1", "0..0 .1"],
    &["{ return; f() }", "{ return; f(); }"],
    &["{ f(); }", "{ f() }"],
];

#[test]
fn formatting_and_comments_do_not_count() {
    for class in SAME {
        for text in *class {
            assert_eq!(hash(text), hash(class[0]), "{text:?} against {:?}", class[0]);
        }
    }
}

#[test]
fn content_counts() {
    for class in DIFFERENT {
        for (i, a) in class.iter().enumerate() {
            for b in &class[i + 1..] {
                assert_ne!(hash(a), hash(b), "{a:?} against {b:?}");
            }
        }
    }
}

/// The hash is part of stored evidence: if these change, every record of every repository becomes stale.
#[test]
fn golden_vectors() {
    let vectors = [
        ("", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        // The bytes `ia\0p+\0l1\0`.
        ("a + 1", "sha256:d5f8e58532a3edf5eb0510b6125cb199830fa10bda6af26d260fb29fc89abfa3"),
        (
            include_str!("golden.txt"),
            "sha256:2dea89a2fd35921955093cb7cef0986bcd5084164e36662972fde782b49ecc9f",
        ),
    ];
    for (text, expected) in vectors {
        assert_eq!(hash(text), expected, "{text}");
    }
}

#[test]
fn a_function_is_its_signature_and_body() {
    let function = |text: &str| of_function(&syn::parse_str(text).unwrap());
    let plain = function("fn f(c: &mut Claim) { c.check(\"x\", true); }");
    assert_eq!(
        plain,
        function("/// Doc.\n#[ignore]\npub fn f(c: &mut Claim) {\n    c.check(\"x\", true);\n}")
    );
    assert_ne!(plain, function("fn f(c: &mut Claim) { c.check(\"x\", false); }"));
    assert_ne!(plain, function("fn f(d: &mut Claim) { c.check(\"x\", true); }"));
    assert_ne!(plain, function("async fn f(c: &mut Claim) { c.check(\"x\", true); }"));
}

#[test]
fn what_is_no_rust_has_no_hash() {
    assert!(of_file("fn f( {").is_err());
    assert!(of_file("\"open").is_err());
}

#[test]
fn a_test_rests_on_itself_and_on_what_is_no_test() {
    let file = "use a::b;\nconst N: usize = 3;\n#[falsifier(\"F-1\")] fn one() { b(N) }\n\
                mod inner { #[test] fn plain() {} #[falsifier(\"F-2\")] #[rstest] #[case(1)] fn two(n: u8) {} }";
    let parts = parts_of(file);
    assert_eq!(parts.falsifiers.keys().collect::<Vec<_>>(), ["F-1", "F-2"]);
    let after = |from: &str, to: &str| {
        assert!(file.contains(from));
        parts_of(&file.replace(from, to))
    };
    let changed = |from: &str, to: &str| {
        let other = after(from, to);
        let differs = |id: &str| parts.falsifiers[id] != other.falsifiers[id];
        (parts.rest != other.rest, differs("F-1"), differs("F-2"))
    };
    assert_eq!(changed("b(N)", "b(N) /* why */"), (false, false, false));
    assert_eq!(changed("b(N)", "b(N + 1)"), (false, true, false));
    assert_eq!(changed("case(1)", "case(2)"), (false, false, true));
    assert_eq!(changed("plain() {}", "plain() { f() }"), (false, false, false));
    assert_eq!(changed("N: usize = 3", "N: usize = 4"), (true, false, false));
    assert_eq!(changed("use a::b", "use a::c as b"), (true, false, false));
    assert_eq!(parts_of("1 + 1").rest, hash("1 + 1"));
}
