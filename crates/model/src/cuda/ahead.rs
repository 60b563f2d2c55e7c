//! Kernels compiled ahead of time: what the build embedded where it found nvcc, nothing elsewhere.

use super::rtc::Unit;

/// A unit compiled for every one of `ARCHITECTURES`.
struct Fatbin {
    source: &'static str,
    definitions: &'static [&'static str],
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/fatbins.rs"));

/// How many units were compiled ahead of time, and into how many bytes.
#[must_use]
pub fn embedded() -> (usize, usize) {
    (FATBINS.len(), FATBINS.iter().map(|fatbin| fatbin.bytes.len()).sum())
}

/// Whether there is device code for an architecture.
pub(super) fn is_for(architecture: &str) -> bool {
    !FATBINS.is_empty() && serves(architecture)
}

/// The unit's device code for an architecture, `sm_90`.
pub(super) fn find(unit: &Unit<'_>, architecture: &str) -> Option<&'static [u8]> {
    let is_it =
        |fatbin: &&Fatbin| fatbin.source == unit.name && fatbin.definitions.iter().eq(unit.definitions);
    FATBINS.iter().find(is_it).filter(|_| serves(architecture)).map(|fatbin| fatbin.bytes)
}

/// Whether one of the architectures runs on a device of this one: the same generation, and no newer.
fn serves(architecture: &str) -> bool {
    let number = |name: &str| name.trim_start_matches("sm_").trim_end_matches('a').parse::<u32>().ok();
    let Some(device) = number(architecture) else { return false };
    ARCHITECTURES
        .iter()
        .filter_map(|name| number(name))
        .any(|built| built / 10 == device / 10 && built <= device)
}

#[cfg(test)]
mod tests {
    use super::serves;

    #[test]
    fn code_runs_on_its_own_generation_from_its_number_on() {
        for device in ["sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_103"] {
            assert!(serves(device), "{device}");
        }
        for device in ["sm_75", "sm_120", "sm_", ""] {
            assert!(!serves(device), "{device}");
        }
    }
}
