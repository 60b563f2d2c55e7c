use falsify::falsifier;

#[falsifier("FALSIFY-CLAIM-003")]
fn test<T: Default>() {
    let _ = T::default();
}

fn main() {}
