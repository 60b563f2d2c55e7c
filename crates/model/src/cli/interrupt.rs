//! Ctrl-C as a flag: long work looks at it between steps, so that it ends without leaving half a result behind.

use super::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

static CAUGHT: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C (and SIGTERM) sets the flag; a second one ends the process at once.
///
/// # Errors
/// When the system takes no handler.
pub fn install() -> Result<(), Error> {
    let handler = || {
        if CAUGHT.swap(true, Ordering::Relaxed) {
            std::process::abort();
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Usage(format!("cannot handle Ctrl-C: {e}")))
}

/// Whether it was pressed.
#[must_use]
pub fn caught() -> bool {
    CAUGHT.load(Ordering::Relaxed)
}
