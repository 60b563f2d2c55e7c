//! What this machine is: its processor, its memory, and how much of that this process took at most. What the system does not
//! tell is `None`, never 0.

use std::path::Path;

/// Memory of the machine, or of the part of it that this process may take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What can be taken without anything being moved to a disk: pages of files that can be read again count as free.
    pub available: u64,
}

/// The memory there is.
#[must_use]
pub fn memory() -> Option<Memory> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let whole = Memory { total: field(&text, "MemTotal:")?, available: field(&text, "MemAvailable:")? };
    let number = |name: &str| {
        let text = std::fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    // A container's limit, where there is one: `max` is no number.
    Some(match (number("memory.max"), number("memory.current")) {
        (Some(most), Some(now)) if most < whole.total => {
            Memory { total: most, available: whole.available.min(most.saturating_sub(now)) }
        }
        _ => whole,
    })
}

/// The most memory that this process held at once, mapped files included.
#[must_use]
pub fn peak() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Bytes of a line `Name:   123 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The processor's name, as the system gives it.
#[must_use]
pub fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Instructions that kernels are, or could be, made of: a name, and whether this processor has it.
#[must_use]
pub fn features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! features {
            ($($name:tt)*) => { vec![$(($name, std::arch::is_x86_feature_detected!($name))),*] };
        }
        features!("avx2" "fma" "f16c" "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_found_by_their_whole_line() {
        let text = "MemTotal:       24588292 kB\nVmHWM:\t     132 kB\nMemFree: many\n";
        assert_eq!(field(text, "MemTotal:"), Some(24_588_292 * 1024));
        assert_eq!(field(text, "VmHWM:"), Some(132 * 1024));
        assert_eq!(field(text, "MemFree:"), None);
        assert_eq!(field(text, "Swap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory_and_this_process_some_of_it() {
        let (memory, peak) = (super::memory().unwrap(), super::peak().unwrap());
        assert!(memory.available <= memory.total && peak > 0 && peak < memory.total, "{memory:?} {peak}");
    }
}
