//! The accelerator of a machine, as its driver lists it and as a runner tells a test process. Nothing is asked here.

/// An accelerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// `NVIDIA H200`.
    pub name: String,
    /// The driver's version.
    pub driver: String,
    /// Bytes of memory.
    pub memory: u64,
}

impl Gpu {
    /// The program that lists accelerators, and its arguments; [`Gpu::listed`] reads what it prints.
    pub const LIST: [&'static str; 3] =
        ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"];

    /// The first line of the driver's table; its memory is in MiB.
    #[must_use]
    pub fn listed(table: &str) -> Option<Self> {
        let [name, driver, memory] = table.lines().next()?.split(", ").collect::<Vec<_>>().try_into().ok()?;
        let mebibytes: u64 = memory.trim().parse().ok()?;
        Some(Self {
            name: name.to_owned(),
            driver: driver.to_owned(),
            memory: mebibytes.checked_mul(1 << 20)?,
        })
    }

    /// `NAME;DRIVER;BYTES`, what a runner tells; anything else, `none` included, is no accelerator.
    #[must_use]
    pub fn told(text: &str) -> Option<Self> {
        let [name, driver, memory] = text.split(';').collect::<Vec<_>>().try_into().ok()?;
        Some(Self { name: name.to_owned(), driver: driver.to_owned(), memory: memory.parse().ok()? })
    }

    /// What a runner tells of a machine's accelerator, or of its having none.
    #[must_use]
    pub fn tell(gpu: Option<&Self>) -> String {
        gpu.map_or_else(|| "none".to_owned(), |gpu| format!("{};{};{}", gpu.name, gpu.driver, gpu.memory))
    }
}

#[cfg(test)]
mod tests {
    use super::Gpu;

    #[test]
    fn an_accelerator_is_read_from_the_runner_and_from_the_driver() {
        let gpu =
            Gpu { name: "NVIDIA H200".to_owned(), driver: "580.65.06".to_owned(), memory: 143_771 << 20 };
        let table = "NVIDIA H200, 580.65.06, 143771\nNVIDIA H200, 580.65.06, 143771\n";
        assert_eq!(Gpu::listed(table), Some(gpu.clone()));
        assert_eq!(Gpu::told(&Gpu::tell(Some(&gpu))), Some(gpu));
        assert_eq!(Gpu::told(&Gpu::tell(None)), None);
        assert_eq!(Gpu::listed(""), None);
        assert_eq!(Gpu::listed("No devices were found"), None);
        assert_eq!(Gpu::listed(&format!("a, b, {}", u64::MAX)), None);
    }
}
