//! The expansion. The body becomes a closure over the claim, so that its value can be judged; everything else of
//! the function stays what and where it was. On an error the function is kept, so that one mistake is one message.

use crate::function::Function;
use crate::lookup::{self, Found};
use contract::marker::{FIELD, HEAD, TAIL};
use contract::tokens;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, LitStr, ReturnType};

pub(crate) fn falsifier(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let Ok(parsed) = syn::parse2::<ItemFn>(item.clone()) else {
        // What is no function keeps its own syntax errors.
        let error = match syn::parse2::<syn::Item>(item.clone()) {
            Ok(other) => Error::new_spanned(other, "only a function can be a falsifier").to_compile_error(),
            Err(_) => TokenStream::new(),
        };
        return quote!(#error #item);
    };
    let found = syn::parse2::<LitStr>(arguments.clone())
        .map_err(|error| {
            let message = "the falsifier's id is missing: write #[falsifier(\"ID\")]";
            if arguments.is_empty() { Error::new(error.span(), message) } else { error }
        })
        .and_then(|id| {
            lookup::falsifier(&id.value())
                .map(|found| (id.clone(), found))
                .map_err(|e| Error::new(id.span(), e))
        });
    match (found, Function::check(parsed)) {
        (Ok((id, found)), Ok(function)) => expand(&id.value(), &found, &function),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => refused(&error, &item),
        (Err(mut first), Err(second)) => {
            first.combine(second);
            refused(&first, &item)
        }
    }
}

fn refused(error: &Error, item: &TokenStream) -> TokenStream {
    let error = error.to_compile_error();
    quote!(#error #[allow(dead_code)] #item)
}

fn expand(id: &str, found: &Found, function: &Function) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = &function.item;
    let Found { contract, claim, hash, if_fails, file } = found;
    let file = file.display().to_string();
    let name = sig.ident.to_string();
    let name = name.trim_start_matches("r#");
    let body = tokens::of_function(&function.item);
    let parameter = match &function.claim {
        Some(parameter) => quote!(#parameter),
        None => quote!(_: &mut ::falsify::Claim),
    };
    let output = match &sig.output {
        ReturnType::Default => quote!(-> ()),
        output => quote!(#output),
    };
    let call = if sig.asyncness.is_some() {
        quote!(::falsify::__private::run_async(&SITE, async |#parameter| #output #block).await)
    } else {
        quote!(::falsify::__private::run(&SITE, |#parameter| #output #block))
    };
    let test = function.needs_test.then(|| quote!(#[::core::prelude::v1::test]));
    let mut signature = sig.clone();
    signature.inputs = function.others();
    signature.output = ReturnType::Default;
    quote! {
        #(#attrs)*
        #test
        #vis #signature {
            // The compiler reads both again when they change.
            const _: &[::core::primitive::u8] = ::core::include_bytes!(#file);
            const _: ::core::option::Option<&::core::primitive::str> = ::core::option_env!("PV_ROOT");
            const SITE: ::falsify::__private::Site = ::falsify::__private::Site {
                contract: #contract,
                claim: #claim,
                if_fails: #if_fails,
                marker: ::core::concat!(
                    #HEAD, #id, #FIELD, ::core::module_path!(), #FIELD, #name, #FIELD, ::core::file!(), #FIELD,
                    ::core::line!(), #FIELD, #body, #FIELD, #hash, #FIELD, #TAIL
                ),
            };
            #call
        }
    }
}
