use falsify::falsifier;

#[falsifier("FALSIFY-CLAIM-O03")]
fn test() {}

fn main() {}
