//! A binary with a test of its own.

fn main() {
    println!("{}", alpha::double(21));
}

#[cfg(test)]
mod tests {
    use falsify::{Claim, falsifier};

    #[falsifier("FALSIFY-B-19-BIN")]
    fn in_the_binary(claim: &mut Claim) {
        claim.check("four", alpha::double(2) == 4);
    }
}
