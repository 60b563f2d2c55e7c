//! `#[falsifier("ID")]`: a test function tied to a claim of a contract, checked while it is compiled.
//!
//! This crate reads contracts and writes tokens. It runs nothing and judges nothing: what the expansion calls is
//! in `falsify`, through which the macro is used.
#![forbid(unsafe_code)]

mod expand;
mod function;
mod lookup;

/// Makes a function the test of a falsifier.
///
/// The id is looked up in the contracts while compiling: an unknown one is an error at the literal, with the id
/// that may be meant. The contract's bound and domain are compiled in, the test is compiled again when the
/// contract changes, and the binary carries a marker by which the test is found without running it.
///
/// The function takes `claim: &mut Claim` or nothing, and returns nothing or a `Result<(), E>` whose error can be
/// displayed. A `#[test]` is added unless an attribute below makes the function a test, as those of rstest and of
/// asynchronous runtimes do; the parameters that such an attribute fills stay.
#[proc_macro_attribute]
pub fn falsifier(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand::falsifier(arguments.into(), item.into()).into()
}
