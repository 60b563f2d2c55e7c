//! Tests that exist and are wrong, or are right in an unusual way.

use falsify::{Claim, falsifier};

#[cfg(feature = "extra")]
#[falsifier("FALSIFY-B-01")]
fn b01_needs_a_feature(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

#[test]
fn b05_without_attribute() {
    assert_eq!(alpha::double(1), 2);
}

#[falsifier("FALSIFY-B-06-OTHER")]
fn b06_of_another(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

#[falsifier("FALSIFY-B-07")]
fn b07_empty() {}

#[falsifier("FALSIFY-B-08")]
fn b08_bound_twice(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

mod b09 {
    use falsify::{Claim, falsifier};

    #[falsifier("FALSIFY-B-09")]
    fn family_one(claim: &mut Claim) {
        claim.check("two", alpha::double(1) == 2);
    }

    #[falsifier("FALSIFY-B-09")]
    fn family_two(claim: &mut Claim) {
        claim.check("four", alpha::double(2) == 4);
    }
}

mod b10 {
    use falsify::{Claim, falsifier};

    #[falsifier("FALSIFY-B-10")]
    fn family_one(claim: &mut Claim) {
        claim.check("two", alpha::double(1) == 2);
    }
}

#[falsifier("FALSIFY-B-12")]
#[ignore = "heavy"]
fn b12_ignored_as_declared(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

#[falsifier("FALSIFY-B-13")]
fn b13_not_ignored(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

#[falsifier("FALSIFY-B-14")]
fn b14_needs_a_device(claim: &mut Claim) {
    falsify::require!(cuda);
    claim.check("two", alpha::double(1) == 2);
}

#[falsifier("FALSIFY-B-15")]
fn b15_named_by_no_binding(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

#[falsifier("FALSIFY-B-16")]
fn b16_returns_early(claim: &mut Claim) {
    if alpha::double(1) == 3 {
        return;
    }
    claim.check("two", alpha::double(1) == 2);
}

#[falsifier("FALSIFY-B-17")]
fn b17_compares_nothing(claim: &mut Claim) {
    assert!(claim.bound().is_none());
}

#[cfg_attr(not(feature = "extra"), ignore = "needs the feature")]
#[falsifier("FALSIFY-B-21")]
fn b21_ignored_without_the_feature(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}
