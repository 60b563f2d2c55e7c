//! The machine that this process runs on: what a host class is matched against and what a record says of it.

use contract::evidence::Host;
use contract::gpu::Gpu;
use contract::host::{HostClass, HostFacts};
use contract::settings::Settings;
use std::process::{Command, Stdio};

/// What is known of this machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What host classes are matched against.
    pub facts: HostFacts,
    gpu: Option<Gpu>,
}

impl Machine {
    /// Another machine, by what it said of itself; `memory` are the bytes of its accelerator, whose name is empty
    /// when there is none.
    #[must_use]
    pub fn told_by(arch: &str, cpu: &str, gpu: &str, driver: &str, memory: u64) -> Self {
        let gpu = Gpu { name: gpu.to_owned(), driver: driver.to_owned(), memory };
        Self::of(arch.to_owned(), None, Some(cpu.to_owned()), Some(gpu).filter(|gpu| !gpu.name.is_empty()))
    }

    fn of(arch: String, os: Option<String>, cpu: Option<String>, gpu: Option<Gpu>) -> Self {
        let facts = HostFacts {
            arch: Some(arch),
            os,
            cpu,
            gpu: gpu.as_ref().map(|gpu| gpu.name.clone()),
            gpu_memory: gpu.as_ref().map(|gpu| gpu.memory),
            driver: gpu.as_ref().map(|gpu| gpu.driver.clone()),
        };
        Self { facts, gpu }
    }

    /// This machine. The accelerator is asked for by the driver's own program, so nothing is linked.
    #[must_use]
    pub fn here() -> Self {
        Self::of(std::env::consts::ARCH.to_owned(), Some(std::env::consts::OS.to_owned()), cpu(), gpu())
    }

    /// The host class of pv.toml that the machine is of: one that names an accelerator before one that does not.
    #[must_use]
    pub fn class<'s>(&self, settings: &'s Settings) -> Option<&'s HostClass> {
        let mut classes: Vec<_> =
            settings.hosts.values().filter(|class| class.matches(&self.facts).is_ok()).collect();
        classes.sort_by_key(|class| class.gpu.is_none());
        classes.first().copied()
    }

    /// What test processes are told of the accelerator, so that they need not ask.
    #[must_use]
    pub fn told(&self) -> String {
        Gpu::tell(self.gpu.as_ref())
    }

    /// What a record says of this machine as one of a host class.
    #[must_use]
    pub fn host(&self, class: &str) -> Host {
        Host {
            class: class.to_owned(),
            arch: self.facts.arch.clone().unwrap_or_default(),
            cpu: self.facts.cpu.clone().unwrap_or_else(|| "unknown".to_owned()),
            gpu: self.facts.gpu.clone(),
            driver: self.facts.driver.clone(),
        }
    }
}

impl std::fmt::Display for Machine {
    /// `x86_64, AMD EPYC, NVIDIA H200`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let facts = [&self.facts.arch, &self.facts.cpu, &self.facts.gpu];
        let known: Vec<&str> = facts.into_iter().flatten().map(String::as_str).collect();
        f.write_str(&known.join(", "))
    }
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn gpu() -> Option<Gpu> {
    let hidden = std::env::var_os("CUDA_VISIBLE_DEVICES").is_some_and(|v| v.is_empty() || v == "-1");
    let [program, arguments @ ..] = Gpu::LIST;
    if hidden { None } else { Gpu::listed(&said(program, &arguments)?) }
}

fn cpu() -> Option<String> {
    if cfg!(target_os = "macos") {
        return said("sysctl", &["-n", "machdep.cpu.brand_string"]).map(|name| name.trim().to_owned());
    }
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
