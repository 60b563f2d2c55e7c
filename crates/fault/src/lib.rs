//! Planted faults: `fault!("name")` is the constant `false` unless the crate graph is built with
//! `--cfg pv_faults`, where it is true for the one fault named by the environment variable `PV_FAULT`.
//!
//! A falsifier that has never been red may be unable to fail. The engine therefore carries its known failure
//! classes as switches at the very lines where they happened, and the runner turns each one on and demands red.
//! This crate knows no fault by name and has no dependencies.
#![forbid(unsafe_code)]

mod armed;

pub use armed::{COMPILED, armed, hits};

#[doc(hidden)]
pub mod __private {
    pub use crate::armed::is_name;
    #[cfg(pv_faults)]
    pub use crate::armed::strike;
}

/// Whether the named fault is armed at this line: the constant `false` in every normal build.
///
/// The name is a literal of lower-case letters, digits and `-`; anything else does not compile.
///
/// ```
/// # fn renormalise(w: Vec<f32>) -> Vec<f32> { w }
/// fn weights(raw: Vec<f32>) -> Vec<f32> {
///     if fault::fault!("router-skip-renorm") {
///         return raw;
///     }
///     renormalise(raw)
/// }
/// # assert_eq!(weights(vec![1.0]), [1.0]);
/// ```
///
/// ```compile_fail
/// let _ = fault::fault!("Not A Name");
/// ```
#[cfg(not(pv_faults))]
#[macro_export]
macro_rules! fault {
    ($name:literal) => {{
        const { assert!($crate::__private::is_name($name), "a fault's name is lower-case letters, digits, `-`") };
        false
    }};
}

/// Whether the named fault is armed at this line, and if so, one more hit of it.
#[cfg(pv_faults)]
#[macro_export]
macro_rules! fault {
    ($name:literal) => {{
        const { assert!($crate::__private::is_name($name), "a fault's name is lower-case letters, digits, `-`") };
        $crate::__private::strike($name)
    }};
}
