//! Which functions can be falsifiers, and what their attributes and parameters say.

use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, FnArg, ItemFn, ReturnType, Safety, Type};

/// A function that can be a falsifier.
#[derive(Debug)]
pub(crate) struct Function {
    /// As it was written.
    pub(crate) item: ItemFn,
    /// The parameter that takes the claim.
    pub(crate) claim: Option<FnArg>,
    /// Whether a `#[test]` must be added.
    pub(crate) needs_test: bool,
}

/// Attributes that make a function a test under one of these names, as the last segment of their path.
const RUNNERS: &[&str] = &["test", "rstest", "test_case", "test_matrix"];
/// Those of them that fill parameters.
const FILLERS: &[&str] = &["rstest", "test_case", "test_matrix"];

impl Function {
    /// Checks a function.
    ///
    /// # Errors
    /// Everything that is wrong with it, not only the first thing.
    pub(crate) fn check(item: ItemFn) -> Result<Self, Error> {
        let runner = item.attrs.iter().find(|attribute| is_one_of(attribute, RUNNERS));
        let fills = item.attrs.iter().any(|attribute| is_one_of(attribute, FILLERS));
        let mut problems = Problems(None);
        if let Some(attribute) = item.attrs.iter().find(|a| a.path().is_ident("should_panic")) {
            problems.add(attribute, "a panic is never a verdict: check the error with `claim.check` instead");
        }
        let signature = &item.sig;
        if let Some(parameter) = signature.generics.params.first() {
            problems.add(parameter, "a generic function is no test: instantiate it in one that is not");
        }
        if signature.asyncness.is_some() && runner.is_none() {
            let message = "an asynchronous falsifier needs a runtime: put `#[tokio::test]`, or that of another runtime, below";
            problems.add(signature.fn_token, message);
        }
        let unsafety = match &signature.safety {
            Safety::Unsafe(token) => Some(token.span()),
            Safety::Safe(token) => Some(token.span()),
            Safety::Default => None,
        };
        for (found, what) in [
            (unsafety, "an unsafe function"),
            (signature.constness.map(|t| t.span()), "a constant function"),
            (signature.abi.as_ref().map(syn::spanned::Spanned::span), "a function of another ABI"),
            (signature.variadic.as_ref().map(syn::spanned::Spanned::span), "a variadic function"),
        ] {
            if let Some(span) = found {
                problems.push(Error::new(span, format!("{what} is no test")));
            }
        }
        let mut claims = signature.inputs.iter().filter(|input| is_claim(input));
        let claim = claims.next().cloned();
        if let Some(second) = claims.next() {
            problems.add(second, "a falsifier has one claim");
        }
        let others = || signature.inputs.iter().filter(|input| !is_claim(input));
        if let Some(receiver) = others().find(|input| matches!(input, FnArg::Receiver(_))) {
            problems.add(receiver, "a method is no test");
        } else if let Some(other) = others().next().filter(|_| !fills) {
            problems.add(other, "a falsifier takes `claim: &mut Claim` or nothing");
        }
        if let ReturnType::Type(_, kind) = &signature.output
            && let Type::ImplTrait(_) | Type::Never(_) = &**kind
        {
            problems.add(kind, "a falsifier returns `()` or `Result<(), E>`");
        }
        let needs_test = runner.is_none();
        match problems.0 {
            None => Ok(Self { claim, needs_test, item }),
            Some(problems) => Err(problems),
        }
    }

    /// The parameters that an attribute below fills.
    pub(crate) fn others(&self) -> Punctuated<FnArg, syn::Token![,]> {
        self.item.sig.inputs.iter().filter(|input| !is_claim(input)).cloned().collect()
    }
}

#[derive(Debug)]
struct Problems(Option<Error>);

impl Problems {
    fn add(&mut self, at: impl quote::ToTokens, message: &str) {
        self.push(Error::new_spanned(at, message));
    }
    fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }
}

fn is_one_of(attribute: &Attribute, names: &[&str]) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|segment| names.iter().any(|name| segment.ident == name))
}

/// Whether the parameter is a `&mut Claim`, by whatever path.
fn is_claim(input: &FnArg) -> bool {
    let FnArg::Typed(input) = input else { return false };
    let Type::Reference(reference) = &*input.ty else { return false };
    let Type::Path(path) = &*reference.elem else { return false };
    reference.mutability.is_some() && path.path.segments.last().is_some_and(|last| last.ident == "Claim")
}
