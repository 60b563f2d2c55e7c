use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-CLAIM-003")]
#[rust_analyzer::test]
fn test(claim: &mut Claim) -> bool {
    true
}

fn main() {}
