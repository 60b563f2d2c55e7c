//! What the macro refuses, and the diagnostics it gives.

use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-MACRO-001")]
fn refusals(claim: &mut Claim) {
    // The cases are judged when the value is dropped, by a panic.
    let judged = std::panic::catch_unwind(|| {
        let cases = trybuild::TestCases::new();
        cases.pass("tests/ui/accepted.rs");
        cases.compile_fail("tests/ui/refused/*.rs");
    });
    let files = std::fs::read_dir("tests/ui/refused").expect("the cases");
    let number =
        files.filter(|f| f.as_ref().is_ok_and(|f| f.path().extension().is_some_and(|e| e == "rs"))).count();
    claim.check(&format!("{number} refused cases and an accepted one"), judged.is_ok() && number >= 8);
}
