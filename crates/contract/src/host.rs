//! Host classes: patterns over the facts of a machine, declared in pv.toml and matched against what a record
//! says of the machine that wrote it. Which machine prints a status plays no part.

use crate::evidence::Host;
use crate::need::Need;
use globset::{GlobBuilder, GlobMatcher};
use std::fmt;

/// What is known of a machine. No name, no user, no address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    /// Instruction set, `x86_64`.
    pub arch: Option<String>,
    /// Operating system, `linux`.
    pub os: Option<String>,
    /// Model name of the processor.
    pub cpu: Option<String>,
    /// Model name of the GPU.
    pub gpu: Option<String>,
    /// Bytes of GPU memory.
    pub gpu_memory: Option<u64>,
    /// Version of the GPU driver, `580.65.06`.
    pub driver: Option<String>,
}

/// One `[host.NAME]` of pv.toml.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostClass {
    /// The class.
    pub name: String,
    /// Pattern of the instruction set.
    pub arch: Option<Pattern>,
    /// Pattern of the operating system.
    pub os: Option<Pattern>,
    /// Pattern of the processor's name.
    pub cpu: Option<Pattern>,
    /// Pattern of the GPU's name.
    pub gpu: Option<Pattern>,
    /// The least GPU memory, in bytes.
    pub gpu_memory: Option<u64>,
    /// Requirement on the driver.
    pub driver: Option<VersionRange>,
    /// Nothing else runs on such a machine while a measurement does.
    pub exclusive: bool,
}

/// Why a machine is not of a class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fact} is {}, and host class `{class}` wants {wanted}", .found.as_deref().unwrap_or("unknown"))]
pub struct Mismatch {
    /// The class.
    pub class: String,
    /// Which fact does not match.
    pub fact: &'static str,
    /// What the class wants.
    pub wanted: String,
    /// What the machine has.
    pub found: Option<String>,
}

impl HostClass {
    /// Whether a machine is of this class; a fact that the class names and the machine does not know is none.
    ///
    /// # Errors
    /// The first fact that does not match.
    pub fn matches(&self, host: &HostFacts) -> Result<(), Mismatch> {
        let fail = |fact, wanted: String, found: Option<String>| {
            Err(Mismatch { class: self.name.clone(), fact, wanted, found })
        };
        let patterns = [
            ("arch", &self.arch, &host.arch),
            ("os", &self.os, &host.os),
            ("cpu", &self.cpu, &host.cpu),
            ("gpu", &self.gpu, &host.gpu),
        ];
        for (fact, pattern, found) in patterns {
            let Some(pattern) = pattern else { continue };
            if !found.as_deref().is_some_and(|text| pattern.matches(text)) {
                return fail(fact, pattern.to_string(), found.clone());
            }
        }
        if let Some(least) = self.gpu_memory
            && host.gpu_memory.is_none_or(|bytes| bytes < least)
        {
            let found = host.gpu_memory.map(crate::need::format_size);
            return fail("gpu_memory", format!(">={}", crate::need::format_size(least)), found);
        }
        match &self.driver {
            Some(range) if !self.matches_driver(host.driver.as_deref()) => {
                fail("driver", range.to_string(), host.driver.clone())
            }
            _ => Ok(()),
        }
    }

    /// Whether a driver version satisfies the class; any does when the class names none.
    #[must_use]
    pub fn matches_driver(&self, version: Option<&str>) -> bool {
        self.driver.as_ref().is_none_or(|range| version.is_some_and(|version| range.contains(version)))
    }

    /// Whether the machine of a record is of the class by its processor and its GPU. A record tells no operating
    /// system and no size of memory: the class was matched in full where the record was made.
    #[must_use]
    pub fn matches_hardware(&self, host: &Host) -> bool {
        let holds = |pattern: &Option<Pattern>, fact: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| fact.is_some_and(|fact| pattern.matches(fact)))
        };
        holds(&self.arch, Some(&host.arch))
            && holds(&self.cpu, Some(&host.cpu))
            && holds(&self.gpu, host.gpu.as_deref())
    }

    /// Whether every machine of the class has what the need asks for. Model files are no matter of the class.
    #[must_use]
    pub fn offers(&self, need: &Need) -> bool {
        match need {
            Need::Cuda => self.gpu.is_some(),
            Need::GpuMemory(bytes) => self.gpu_memory.is_some_and(|least| least >= *bytes),
            Need::Model(_) => true,
        }
    }
}

/// A glob over names, in which `*` crosses everything.
#[derive(Clone)]
pub struct Pattern(GlobMatcher);

impl Pattern {
    /// Compile a glob.
    ///
    /// # Errors
    /// What is wrong with the glob.
    pub fn parse(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).build().map_err(|e| e.kind().to_string())?;
        Ok(Self(glob.compile_matcher()))
    }
    /// Whether the whole text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.0.glob())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.glob())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl Eq for Pattern {}

/// Comparisons of dotted version numbers, all of which must hold: `>=580, <600`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange(Vec<(Comparison, Vec<u64>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    // Longer signs first, so that `>=` is not read as `>`.
    const SIGNS: [(&str, Self); 5] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        (">", Self::Greater),
        ("<", Self::Less),
        ("=", Self::Equal),
    ];

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.trim().split('.').map(|part| part.parse().ok()).collect()
}

/// The number at a place, where a version that ends before it counts as zero.
fn compare(a: &[u64], b: &[u64]) -> std::cmp::Ordering {
    let length = a.len().max(b.len());
    let at = |v: &[u64], i: usize| v.get(i).copied().unwrap_or(0);
    (0..length).map(|i| at(a, i).cmp(&at(b, i))).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

impl VersionRange {
    /// Read comma-separated comparisons.
    ///
    /// # Errors
    /// The part that is no comparison.
    pub fn parse(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let part = part.trim();
            let (comparison, rest) = Comparison::SIGNS
                .iter()
                .find_map(|(sign, c)| part.strip_prefix(sign).map(|rest| (*c, rest)))
                .ok_or_else(|| format!("`{part}` starts with none of >=, <=, >, <, ="))?;
            let version =
                numbers(rest).ok_or_else(|| format!("`{}` is no dotted version number", rest.trim()))?;
            Ok((comparison, version))
        };
        text.split(',').map(part).collect::<Result<_, String>>().map(Self)
    }

    /// Whether a version satisfies every comparison; a text that is no dotted number satisfies none.
    #[must_use]
    pub fn contains(&self, version: &str) -> bool {
        let Some(version) = numbers(version) else { return false };
        self.0.iter().all(|(comparison, bound)| {
            let order = compare(&version, bound);
            match comparison {
                Comparison::Equal => order.is_eq(),
                Comparison::Less => order.is_lt(),
                Comparison::AtMost => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::AtLeast => order.is_ge(),
            }
        })
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (comparison, version)) in self.0.iter().enumerate() {
            let version: Vec<_> = version.iter().map(u64::to_string).collect();
            write!(f, "{}{}{}", if i == 0 { "" } else { ", " }, comparison.sign(), version.join("."))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h200() -> HostClass {
        HostClass {
            name: "h200".to_owned(),
            gpu: Some(Pattern::parse("NVIDIA H200*").unwrap()),
            gpu_memory: Some(100 << 30),
            driver: Some(VersionRange::parse(">=580").unwrap()),
            ..HostClass::default()
        }
    }

    fn facts() -> HostFacts {
        HostFacts {
            gpu: Some("NVIDIA H200 NVL".to_owned()),
            gpu_memory: Some(139 << 30),
            driver: Some("580.65.06".to_owned()),
            ..HostFacts::default()
        }
    }

    #[test]
    fn a_machine_is_of_a_class_when_every_named_fact_matches() {
        assert_eq!(h200().matches(&facts()), Ok(()));
        let mut old = facts();
        old.driver = Some("570.1".to_owned());
        assert_eq!(h200().matches(&old).unwrap_err().fact, "driver");
        let mut other = facts();
        other.gpu = Some("NVIDIA H100".to_owned());
        assert_eq!(h200().matches(&other).unwrap_err().fact, "gpu");
        assert_eq!(h200().matches(&HostFacts::default()).unwrap_err().found, None);
    }

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        let range = VersionRange::parse(">=9.2, <10").unwrap();
        assert!(range.contains("9.10") && range.contains("9.2.0"));
        assert!(!range.contains("9.1.9") && !range.contains("10.0") && !range.contains("9.x"));
        assert_eq!(range.to_string(), ">=9.2, <10");
        assert!(VersionRange::parse("580").is_err() && VersionRange::parse(">=a").is_err());
    }

    #[test]
    fn a_class_offers_what_its_pattern_guarantees() {
        let h200 = h200();
        assert!(h200.offers(&Need::Cuda) && h200.offers(&Need::GpuMemory(80 << 30)));
        assert!(!h200.offers(&Need::GpuMemory(200 << 30)));
        assert!(!HostClass::default().offers(&Need::Cuda));
    }
}
