//! Falsifiers of the harness itself: the claim handle, the recorder and the macro. They live here because a crate
//! and its tests would otherwise link two versions of it.

mod claim;
mod domain;
mod expansion;
mod kinds;
mod recorder;
