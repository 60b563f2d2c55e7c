//! A package with every kind of test target.

/// Something to test.
pub fn double(x: i32) -> i32 {
    2 * x
}

#[cfg(test)]
mod tests {
    use falsify::{Claim, falsifier};

    #[falsifier("FALSIFY-B-19-LIB")]
    fn in_the_library(claim: &mut Claim) {
        claim.check("two", super::double(1) == 2);
    }

    #[test]
    fn only_in_the_library() {
        assert_eq!(super::double(2), 4);
    }
}
