use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-CLAIM-003")]
fn another(_seed: u64) {}

#[falsifier("FALSIFY-CLAIM-003")]
fn twice(_first: &mut Claim, _second: &mut Claim) {}

#[falsifier("FALSIFY-CLAIM-003")]
unsafe fn several(_count: usize) -> impl Sized {}

fn main() {}
