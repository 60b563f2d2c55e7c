use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-B-18-DEEP")]
fn in_a_nested_file(claim: &mut Claim) {
    claim.check("eight", alpha::double(4) == 8);
}

include!("../included.rs.in");
