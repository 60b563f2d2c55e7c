//! The tests that the contracts of this workspace name.

mod deep;
mod defects;
#[path = "elsewhere.rs"]
mod moved;
mod probes;
mod twins;

use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-B-ROOT")]
fn at_the_root(claim: &mut Claim) {
    claim.check("six", alpha::double(3) == 6);
}
