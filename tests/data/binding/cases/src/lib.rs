//! `#[test_case(A, B)]`: one test per argument, in a module named after the function, as the crates of that name
//! expand.

use proc_macro::{TokenStream, TokenTree};

/// Makes `fn name(case: i32)` a module `name` of tests `case_1`, `case_2`, ...
#[proc_macro_attribute]
pub fn test_case(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut tokens = item.clone().into_iter();
    let name = loop {
        match tokens.next() {
            Some(TokenTree::Ident(word)) if word.to_string() == "fn" => match tokens.next() {
                Some(TokenTree::Ident(name)) => break name.to_string(),
                _ => return item,
            },
            Some(_) => {}
            None => return item,
        }
    };
    let arguments = arguments.to_string();
    let tests: String = arguments
        .split(',')
        .enumerate()
        .map(|(i, argument)| format!("#[test] fn case_{}() {{ super::{name}({argument}) }}", i + 1))
        .collect();
    let module: TokenStream = format!("mod {name} {{ {tests} }}").parse().expect("the module is Rust");
    item.into_iter().chain(module).collect()
}
