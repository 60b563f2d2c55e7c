//! One falsifier in every kind of test function.

use falsify::{Claim, falsifier};
use rstest::rstest;

/// What each kind shows: that its own body ran, with its own values.
fn ran(claim: &mut Claim, kind: &str) {
    claim.at("kind", kind).compare(kind, &kind.chars().collect::<String>());
}

#[falsifier("FALSIFY-MACRO-004")]
fn plain(claim: &mut Claim) {
    ran(claim, "plain");
}

#[falsifier("FALSIFY-MACRO-004")]
fn fallible(handle: &mut Claim) -> Result<(), std::num::ParseIntError> {
    let kind = if "1".parse::<u8>()? == 1 { "fallible" } else { "plain" };
    ran(handle, kind);
    Ok(())
}

#[falsifier("FALSIFY-MACRO-004")]
#[tokio::test]
async fn asynchronous(claim: &mut Claim) {
    tokio::task::yield_now().await;
    ran(claim, "asynchronous");
}

#[falsifier("FALSIFY-MACRO-004")]
#[rstest]
#[case("case-one")]
#[case("case-two")]
fn parametrised(#[case] kind: &str, claim: &mut falsify::Claim) {
    ran(claim, kind);
}

macro_rules! made {
    ($name:ident) => {
        #[falsifier("FALSIFY-MACRO-004")]
        fn $name(claim: &mut Claim) {
            ran(claim, "macro-made");
        }
    };
}

made!(made_by_a_macro);
