use falsify::falsifier;

#[falsifier("FALSIFY-CLAIM-003")]
struct Test;

fn main() {}
