use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-CLAIM-003")]
async fn test(claim: &mut Claim) {
    claim.compare(&1, &1);
}

fn main() {}
