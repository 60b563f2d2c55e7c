use falsify::falsifier;

#[falsifier("FALSIFY-CLAIM-003")]
#[should_panic(expected = "no")]
fn test() {}

fn main() {}
