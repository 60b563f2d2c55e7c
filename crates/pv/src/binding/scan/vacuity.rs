//! Whether the text of a test can show anything false. Only what is certain counts: a claim that is handed to
//! another function is taken to be compared there. How many comparisons a run really made is in its record.

use super::file::line;
use crate::binding::{ClaimUse, Vacuity};
use fault::fault;
use proc_macro2::{LineColumn, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Expr, ExprMethodCall, FnArg, Ident, ItemFn, Pat, Type};

/// Methods of a claim that only read it. One that names a cell hands out something that compares.
const READING: &[&str] = &["bound", "metric", "over"];

/// Methods that name a place and hand it out.
const PLACING: &[&str] = &["at", "on"];

/// Macros that fail, and so assert something.
const ASSERTING: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "panic",
    "prop_assert",
    "prop_assert_eq",
    "prop_assert_ne",
    "assert_snapshot",
    "assert_json_snapshot",
    "assert_debug_snapshot",
    "unreachable",
];

/// Why the text of a test can show nothing false (`None` when it can, or might), and what it does with its claim.
#[must_use]
pub fn of(function: &ItemFn) -> (Option<Vacuity>, ClaimUse) {
    let mut facts = Facts { claim: claim_of(function), ..Facts::default() };
    facts.visit_block(&function.block);
    let vacuity = match (facts.compares, facts.returns) {
        _ if fault!("vacuity-trusts-every-body") => None,
        _ if function.block.stmts.is_empty() => Some(Vacuity::Empty),
        (None, _) if facts.asserts => Some(Vacuity::NoComparison),
        (None, _) => Some(Vacuity::NoAssertion),
        (Some(compares), Some((at, line))) if at < compares && !fault!("vacuity-trusts-early-returns") => {
            Some(Vacuity::EarlyReturn { line })
        }
        (Some(_), _) => None,
    };
    (vacuity, facts.uses)
}

/// The name of the argument that is the claim: the one whose type is `Claim`.
fn claim_of(function: &ItemFn) -> Option<Ident> {
    function.sig.inputs.iter().find_map(|argument| {
        let FnArg::Typed(argument) = argument else { return None };
        let Pat::Ident(name) = &*argument.pat else { return None };
        let mut kind = &*argument.ty;
        while let Type::Reference(reference) = kind {
            kind = &reference.elem;
        }
        let Type::Path(path) = kind else { return None };
        (path.path.segments.last()?.ident == "Claim").then(|| name.ident.clone())
    })
}

#[derive(Default)]
struct Facts {
    claim: Option<Ident>,
    /// Where the first comparison starts, or the first use that may hide one.
    compares: Option<LineColumn>,
    /// Where the first return of success starts, and its line.
    returns: Option<(LineColumn, u32)>,
    asserts: bool,
    uses: ClaimUse,
}

impl Facts {
    /// The claim goes where its use is not seen.
    fn escapes(&mut self, span: Span) {
        self.uses.escapes = true;
        self.compared(span);
    }

    fn compared(&mut self, span: Span) {
        let at = span.start();
        if self.compares.is_none_or(|first| at < first) {
            self.compares = Some(at);
        }
    }

    fn is_claim(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Path(path) => self.claim.as_ref().is_some_and(|claim| path.path.get_ident() == Some(claim)),
            Expr::Reference(reference) => self.is_claim(&reference.expr),
            Expr::Paren(paren) => self.is_claim(&paren.expr),
            Expr::Unary(unary) => self.is_claim(&unary.expr),
            _ => false,
        }
    }

    /// The methods of a chain that starts at the claim, innermost first; `None` when it starts elsewhere.
    fn chain<'e>(&self, call: &'e ExprMethodCall) -> Option<Vec<&'e Ident>> {
        let mut methods = match &*call.receiver {
            Expr::MethodCall(inner) => self.chain(inner)?,
            receiver if self.is_claim(receiver) => Vec::new(),
            _ => return None,
        };
        methods.push(&call.method);
        Some(methods)
    }

    /// A claim among the tokens of a macro: anything but a reading method may compare.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(name) if self.claim.as_ref().is_some_and(|claim| name == *claim) => {
                    let dot = tokens.next_if(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == '.'));
                    let reads = dot.is_some()
                        && matches!(tokens.peek(), Some(TokenTree::Ident(method))
                            if READING.contains(&method.to_string().as_str()));
                    if !reads {
                        self.escapes(name.span());
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether a returned value says success without looking: nothing, `()`, or `Ok` of anything.
fn is_success(value: Option<&Expr>) -> bool {
    match value {
        None => true,
        Some(Expr::Tuple(tuple)) => tuple.elems.is_empty(),
        Some(Expr::Call(call)) => {
            matches!(&*call.func, Expr::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Ok"))
        }
        Some(_) => false,
    }
}

impl<'ast> Visit<'ast> for Facts {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if matches!(call.method.to_string().as_str(), "unwrap" | "expect" | "unwrap_err" | "expect_err") {
            self.asserts = true;
        }
        match self.chain(call) {
            Some(methods) => {
                // After places comes the one method that does something; what follows is its value's.
                let method = methods.iter().find(|m| !PLACING.contains(&m.to_string().as_str()));
                match method.map(|method| (method, method.to_string())) {
                    None => self.escapes(call.method.span()),
                    Some((method, name)) => {
                        if !READING.contains(&name.as_str()) {
                            self.compared(method.span());
                        }
                        self.uses.methods.insert(name);
                    }
                }
                // The receiver is the claim itself, which is no further use; the arguments may be.
                let mut call = call;
                loop {
                    call.args.iter().for_each(|argument| self.visit_expr(argument));
                    match &*call.receiver {
                        Expr::MethodCall(inner) => call = inner,
                        _ => break,
                    }
                }
            }
            None => visit::visit_expr_method_call(self, call),
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        // A claim that is not the receiver of a method goes somewhere else.
        if let Some(name) = path.path.get_ident()
            && self.claim.as_ref() == Some(name)
        {
            self.escapes(name.span());
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if call.path.segments.last().is_some_and(|s| ASSERTING.contains(&s.ident.to_string().as_str())) {
            self.asserts = true;
        }
        self.tokens(call.tokens.clone());
    }

    fn visit_expr_try(&mut self, expression: &'ast syn::ExprTry) {
        self.asserts = true;
        visit::visit_expr_try(self, expression);
    }

    fn visit_expr_return(&mut self, expression: &'ast syn::ExprReturn) {
        let span = expression.return_token.span;
        if is_success(expression.expr.as_deref()) && self.returns.is_none_or(|(at, _)| span.start() < at) {
            self.returns = Some((span.start(), line(span)));
        }
        visit::visit_expr_return(self, expression);
    }

    // A return inside these leaves only them.
    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        let returns = self.returns;
        visit::visit_expr_closure(self, closure);
        self.returns = returns;
    }
    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        let returns = self.returns;
        visit::visit_expr_async(self, block);
        self.returns = returns;
    }
    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(body: &str) -> Option<Vacuity> {
        let text = format!("fn t(claim: &mut Claim) -> Result<(), Error> {body}");
        of(&syn::parse_str(&text).expect(body)).0
    }

    #[test]
    fn the_methods_called_on_a_claim_are_known_unless_it_escapes() {
        let uses =
            |body: &str| of(&syn::parse_str(&format!("fn t(claim: &mut Claim) {body}")).expect(body)).1;
        let direct = uses(
            "{ claim.check(\"a\", claim.bound().is_some()); claim.at(\"n\", 1).on(\"x\").compare(&a, &b); }",
        );
        assert_eq!(direct.methods.iter().collect::<Vec<_>>(), ["bound", "check", "compare"]);
        assert!(!direct.escapes);
        for body in ["{ helper(claim); }", "{ each!(claim); }", "{ let p = claim.at(\"n\", 1); }"] {
            assert!(uses(body).escapes, "{body}");
        }
    }

    #[test]
    fn a_body_that_compares_or_may_compare_can_fail() {
        for body in [
            "{ claim.compare(&a, &b); Ok(()) }",
            "{ for case in cases { claim.at(\"case\", case).compare(&a, &b); } Ok(()) }",
            "{ helper(claim)?; Ok(()) }",
            "{ (&mut *claim).measure(\"x\", 1.0, \"s\"); Ok(()) }",
            "{ each!(claim, 1, 2); Ok(()) }",
            "{ let cell = claim.at(\"n\", 1); cell.compare(&a, &b); Ok(()) }",
            "{ claim.compare(&a, &b); if x { return Ok(()); } claim.compare(&a, &b); Ok(()) }",
            "{ if x { return Err(e); } claim.check(\"x\", true); Ok(()) }",
            "{ let f = || { return; }; claim.check(\"x\", f()); Ok(()) }",
            "{ fn g() { return; } claim.check(\"x\", g()); Ok(()) }",
        ] {
            assert_eq!(judged(body), None, "{body}");
        }
    }

    #[test]
    fn a_body_that_cannot_fail_is_told_why() {
        for (body, why) in [
            ("{}", Vacuity::Empty),
            ("{ Ok(()) }", Vacuity::NoAssertion),
            ("{ let b = claim.bound(); Ok(()) }", Vacuity::NoAssertion),
            ("{ for case in claim.over(\"case\") { work(case); } Ok(()) }", Vacuity::NoAssertion),
            ("{ let b = claim.bound().is_some(); Ok(()) }", Vacuity::NoAssertion),
            ("{ assert!(claim.bound() > 0.0); Ok(()) }", Vacuity::NoComparison),
            ("{ run()?; Ok(()) }", Vacuity::NoComparison),
            ("{ // claim.compare(&a, &b);\n let s = \"claim.compare\"; Ok(()) }", Vacuity::NoAssertion),
            ("{ fn g(claim: &mut Claim) { claim.compare(1, 2); } Ok(()) }", Vacuity::NoAssertion),
            (
                "{\n if !p.exists() {\n return Ok(());\n }\n claim.compare(&a, &b); Ok(()) }",
                Vacuity::EarlyReturn { line: 3 },
            ),
            (
                "{ let Ok(x) = new() else { return Ok(()) }; claim.compare(x, 1); Ok(()) }",
                Vacuity::EarlyReturn { line: 1 },
            ),
        ] {
            assert_eq!(judged(body), Some(why), "{body}");
        }
        let plain = syn::parse_str("fn t() { assert_eq!(1, 1); }").expect("it parses");
        assert_eq!(of(&plain).0, Some(Vacuity::NoComparison));
    }
}
