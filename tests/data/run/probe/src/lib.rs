//! Something to be wrong about.

use fault::fault;

/// Twice `n`, unless a fault is planted.
pub fn double(n: u32) -> u32 {
    if fault!("double-adds-one") { 2 * n + 1 } else { 2 * n }
}

/// Half of `n`; nothing in its tests looks at odd numbers.
pub fn half(n: u32) -> u32 {
    if fault!("half-rounds-up") { n.div_ceil(2) } else { n / 2 }
}
