use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-B-18-PATH")]
fn in_a_file_of_another_name(claim: &mut Claim) {
    claim.check("twelve", alpha::double(6) == 12);
}
