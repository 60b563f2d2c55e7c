//! One test per way of ending.

use falsify::{Claim, falsifier, require};

#[falsifier("FALSIFY-END-PASS")]
fn passes(claim: &mut Claim) {
    claim.check("twice one is two", probe::double(1) == 2);
}

#[falsifier("FALSIFY-END-MISS")]
fn passes_over_a_fault(claim: &mut Claim) {
    claim.check("half of two is one", probe::half(2) == 1);
}

#[falsifier("FALSIFY-END-CLAIM")]
fn fails_by_its_claim(claim: &mut Claim) {
    claim.check("twice one is three", probe::double(1) == 3);
}

#[falsifier("FALSIFY-END-RETURN")]
fn returns_an_error(claim: &mut Claim) -> Result<(), String> {
    claim.check("twice one is two", probe::double(1) == 2);
    Err("no file".to_owned())
}

#[falsifier("FALSIFY-END-PANIC")]
fn panics(claim: &mut Claim) {
    claim.check("twice one is two", probe::double(1) == 2);
    panic!("gone");
}

#[falsifier("FALSIFY-END-EXIT")]
fn leaves_the_process(claim: &mut Claim) {
    claim.check("twice one is two", probe::double(1) == 2);
    // The harness sees an exit code of zero.
    std::process::exit(0);
}

#[falsifier("FALSIFY-END-ABORT")]
fn aborts(claim: &mut Claim) {
    claim.check("twice one is two", probe::double(1) == 2);
    std::process::abort();
}

#[falsifier("FALSIFY-END-HANG")]
fn hangs(claim: &mut Claim) {
    claim.check("twice one is two", probe::double(1) == 2);
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[falsifier("FALSIFY-END-SKIP")]
fn needs_what_is_not_there(claim: &mut Claim) {
    require!(data "nothing-of-that-name");
    claim.check("twice one is two", probe::double(1) == 2);
}

#[falsifier("FALSIFY-END-VACUOUS")]
fn compares_nothing(claim: &mut Claim) {
    for n in 0..probe::half(1) {
        claim.check("never reached", n == 7);
    }
}

struct Breaks;

impl Drop for Breaks {
    fn drop(&mut self) {
        std::process::exit(3);
    }
}

thread_local! {
    static BREAKS: std::cell::RefCell<Option<Breaks>> = const { std::cell::RefCell::new(None) };
}

#[falsifier("FALSIFY-END-LATE")]
fn breaks_the_process_afterwards(claim: &mut Claim) {
    claim.check("twice one is two", probe::double(1) == 2);
    // Dropped when the test's thread ends, after its record was written.
    BREAKS.with(|breaks| *breaks.borrow_mut() = Some(Breaks));
}

#[test]
fn without_attribute() {
    assert_eq!(probe::double(1), 2);
}
