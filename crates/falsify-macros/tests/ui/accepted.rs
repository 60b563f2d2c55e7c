//! A falsifier compiles beside other attributes. An inert attribute named `test` stands for a runner, because these
//! cases are built without tests.

use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-CLAIM-003")]
#[rust_analyzer::test]
#[allow(dead_code)]
fn with_a_claim(claim: &mut Claim) -> Result<(), std::fmt::Error> {
    claim.compare(&1, &1);
    Ok(())
}

fn main() {}
