use falsify::falsifier;

#[falsifier]
fn test() {}

#[falsifier(FALSIFY_CLAIM_003)]
fn other() {}

fn main() {}
