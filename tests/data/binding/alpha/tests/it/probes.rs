//! One place per case T01 to T22 of cases.tsv.

use falsify::{Claim, falsifier};

#[falsifier("FALSIFY-T-01")]
fn t01_plain(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

/*
#[falsifier("FALSIFY-T-03")]
#[test]
fn t03_in_a_block_comment() {}
*/

const _: &str = r#"
#[falsifier("FALSIFY-T-04")]
#[test]
fn t04_in_a_raw_string() {}
"#;

#[cfg(any())]
#[falsifier("FALSIFY-T-05")]
fn t05_cfg_off(claim: &mut Claim) {
    claim.check("never", false);
}

#[falsifier("FALSIFY-T-06")]
#[ignore = "slow"]
fn t06_ignored(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

#[rustfmt::skip]
#[falsifier("FALSIFY-T-07")] fn t07_one_line(claim: &mut Claim) { claim.check("two", alpha::double(1) == 2); }

#[falsifier("FALSIFY-T-08")]
pub(super) fn t08_visible(claim: &mut Claim) {
    claim.check("two", alpha::double(1) == 2);
}

mod t13_family {
    #[test]
    fn t13_first() {
        assert_eq!(alpha::double(1), 2);
    }

    #[test]
    fn t13_second() {
        assert_eq!(alpha::double(2), 4);
    }
}

#[falsifier("FALSIFY-T-16")]
#[cases::test_case(1, 2, 3)]
fn t16_cases(claim: &mut Claim, case: i32) {
    claim.check("even", alpha::double(case) % 2 == 0);
}

#[allow(dead_code)]
fn t17_helper_without_test() {
    assert_eq!(alpha::double(1), 2);
}

mod t18_here {
    #[test]
    fn t18_test() {
        assert_eq!(alpha::double(1), 2);
    }
}

// #[test]
// fn t19_in_a_line_comment() {}

macro_rules! make_test {
    ($id:literal, $name:ident) => {
        #[falsifier($id)]
        fn $name(claim: &mut Claim) {
            claim.check("two", alpha::double(1) == 2);
        }
    };
}

make_test!("FALSIFY-T-22", t22_made_by_a_macro);
