//! A second package, whose tests have names of the first.

#[cfg(test)]
mod tests {
    #[test]
    fn only_in_beta() {
        assert_eq!(1 + 1, 2);
    }
}
