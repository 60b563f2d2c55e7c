//! pv.toml: which hosts and profiles exist, what a status must reach, and how severe
//! each lint rule is. Every problem of the file is reported with its position; nothing is defaulted because a
//! key was misspelt. Which lint rules exist is not known here: their names are kept with their places.

mod reader;

pub use reader::Problem;

use crate::binding::TestBinding;
use crate::host::{HostClass, Pattern, VersionRange};
use crate::need::{Need, parse_size};
use crate::status::{FALSIFIER_STATUSES, FalsifierStatus};
use reader::{Entry, Fields, Reader, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The cargo profile of a profile that names none: what `cargo test` builds.
const CARGO_PROFILE: &str = "test";

/// The host class and the profile that exist when pv.toml declares none: any machine, and `cargo test` on it.
const IMPLIED_HOST: &str = "cpu";
const IMPLIED_PROFILE: &str = "test";

/// The whole of pv.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The versions of `pv` that may read this repository.
    pub pv: semver::VersionReq,
    /// What a status must reach.
    pub gate: Gate,
    /// Host classes by name.
    pub hosts: BTreeMap<String, HostClass>,
    /// Profiles by name.
    pub profiles: BTreeMap<String, Profile>,
    /// Model files by name.
    pub models: BTreeMap<String, ModelFile>,
    /// Severities of lint rules.
    pub lint: Lint,
}

/// What `pv check` holds every falsifier to, and whose evidence counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gate {
    /// The least status on the ladder; below it `pv check` fails.
    pub floor: Option<FalsifierStatus>,
    /// Host classes whose evidence must be signed.
    pub require_signature: BTreeSet<String>,
    /// Public keys whose signatures count, `ed25519:<hex>`.
    pub trusted_keys: Vec<String>,
}

/// One way of building and running tests, on one host class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The host class it runs on.
    pub host: String,
    /// The cargo profile the tests are built with.
    pub cargo_profile: String,
    /// Cargo features, `cuda` or `model/cuda`.
    pub features: Vec<String>,
    /// Packages it builds; all of the workspace when empty.
    pub packages: Vec<String>,
    /// Models that are present there; every declared one when left out.
    pub models: Option<Vec<String>>,
    /// Variables set for its test processes.
    pub env: BTreeMap<String, String>,
}

/// A model file that tests may need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it lies, relative to pv.toml.
    pub path: String,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Severities of lint rules, for the whole repository and for parts of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lint {
    /// For every file.
    pub severity: Vec<RuleSeverity>,
    /// For files that match; later scopes win.
    pub scopes: Vec<LintScope>,
}

/// One part of the repository with its own severities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintScope {
    /// Globs of paths relative to pv.toml.
    pub paths: Vec<PathGlob>,
    /// The severities there.
    pub severity: Vec<RuleSeverity>,
}

/// The severity of one rule, with the place of its name for those who know which rules exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSeverity {
    /// The rule's id.
    pub rule: String,
    /// What its findings count as.
    pub level: Level,
    /// Where the rule is named.
    pub span: Range<usize>,
}

/// What the findings of a rule count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The rule is not run.
    Off,
    /// Shown, never failing.
    Note,
    /// Shown; fails only where warnings are denied.
    Warning,
    /// Fails.
    Error,
}

/// Every level by its name.
pub const LEVELS: &[(&str, Level)] =
    &[("off", Level::Off), ("note", Level::Note), ("warning", Level::Warning), ("error", Level::Error)];

/// A glob over repository paths, in which `*` stops at `/` and `**` does not.
#[derive(Debug, Clone)]
pub struct PathGlob(globset::GlobMatcher);

impl PathGlob {
    /// Compile a glob.
    ///
    /// # Errors
    /// What is wrong with the glob.
    pub fn parse(text: &str) -> Result<Self, String> {
        globset::GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map(|glob| Self(glob.compile_matcher()))
            .map_err(|e| e.kind().to_string())
    }
    /// Whether a path relative to pv.toml, with `/` between its parts, matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
    /// The text of the glob.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.glob().glob()
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl Eq for PathGlob {}

impl Profile {
    /// The first requirement that this profile does not meet, as prose, or `None` when it runs there: what the
    /// test needs, its package, its features (each `feature` or `package/feature`). A command has no test.
    #[must_use]
    pub fn obstacle(
        &self,
        settings: &Settings,
        needs: &[Need],
        test: Option<&TestBinding>,
    ) -> Option<String> {
        if let Some(TestBinding { package, features, .. }) = test {
            if !self.packages.is_empty() && !self.packages.contains(package) {
                return Some(format!("it does not build package `{package}`"));
            }
            for feature in features {
                let qualified = format!("{package}/{feature}");
                if !self.features.iter().any(|f| f == feature || *f == qualified) {
                    return Some(format!("it does not enable feature `{feature}`"));
                }
            }
        }
        let host = settings.hosts.get(&self.host);
        needs.iter().find_map(|need| {
            let met = match need {
                Need::Model(name) => match &self.models {
                    Some(models) => models.contains(name),
                    None => settings.models.contains_key(name),
                },
                Need::Cuda | Need::GpuMemory(_) => host.is_some_and(|host| host.offers(need)),
            };
            (!met).then(|| format!("it does not offer `{need}`"))
        })
    }
}

impl Settings {
    /// Why no profile runs a test or a command on a host class, or `None` when one does.
    #[must_use]
    pub fn why_dark(&self, host: &str, needs: &[Need], test: Option<&TestBinding>) -> Option<String> {
        let mut obstacles = Vec::new();
        for profile in self.profiles.values().filter(|profile| profile.host == host) {
            let obstacle = profile.obstacle(self, needs, test)?;
            obstacles.push(format!("profile `{}`: {obstacle}", profile.name));
        }
        if obstacles.is_empty() {
            return Some(format!("no profile is for host class `{host}`"));
        }
        Some(format!("no profile runs it on host class `{host}`: {}", obstacles.join("; ")))
    }
}

impl Default for Settings {
    /// What an empty pv.toml means.
    fn default() -> Self {
        let host = HostClass { name: IMPLIED_HOST.to_owned(), ..HostClass::default() };
        let profile = Profile {
            name: IMPLIED_PROFILE.to_owned(),
            host: IMPLIED_HOST.to_owned(),
            cargo_profile: CARGO_PROFILE.to_owned(),
            features: Vec::new(),
            packages: Vec::new(),
            models: None,
            env: BTreeMap::new(),
        };
        Self {
            pv: semver::VersionReq::STAR,
            gate: Gate::default(),
            hosts: BTreeMap::from([(IMPLIED_HOST.to_owned(), host)]),
            profiles: BTreeMap::from([(IMPLIED_PROFILE.to_owned(), profile)]),
            models: BTreeMap::new(),
            lint: Lint::default(),
        }
    }
}

impl Settings {
    /// Read the text of pv.toml.
    ///
    /// # Errors
    /// Every problem, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let (mut reader, root) = Reader::parse(text);
        let settings = read(&mut reader, root);
        let problems = reader.finish();
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }
}

/// A name that must be declared elsewhere in the file.
struct Reference {
    path: String,
    name: String,
    span: Range<usize>,
}

/// References, checked when the whole file is read.
#[derive(Default)]
struct References {
    hosts: Vec<Reference>,
    models: Vec<Reference>,
}

fn read<'t>(r: &mut Reader<'t>, root: Value<'t>) -> Settings {
    let implied = Settings::default();
    let mut references = References::default();
    let mut top = r.fields("", root, &["pv", "gate", "host", "profile", "model", "lint"]);
    let pv = match top.take("pv") {
        Some(value) => r.parsed("pv", &value, semver::VersionReq::parse).unwrap_or(implied.pv),
        None => {
            r.problem(
                0..0,
                "`pv` is missing: the version of pv this repository is written for".to_owned(),
                Some(format!("write pv = \"{}\"", env!("CARGO_PKG_VERSION"))),
            );
            implied.pv
        }
    };
    let gate = top.take("gate").map(|v| gate(r, v, &mut references)).unwrap_or_default();
    let hosts = match top.take("host") {
        Some(value) => named(r, "host", value, host),
        None => implied.hosts,
    };
    let profiles = match top.take("profile") {
        Some(value) => named(r, "profile", value, |r, path, e| profile(r, path, e, &mut references)),
        None => {
            let mut profiles = implied.profiles;
            // One host class needs no word on where tests run; with several, guessing would be a choice.
            match hosts.keys().collect::<Vec<_>>().as_slice() {
                [host] => profiles.values_mut().for_each(|profile| (*host).clone_into(&mut profile.host)),
                _ => r.problem(
                    0..0,
                    format!("{} host classes and no `profile`: no one says where tests run", hosts.len()),
                    Some("write [profile] light = { host = \"...\" }".to_owned()),
                ),
            }
            profiles
        }
    };
    let models = match top.take("model") {
        Some(value) => named(r, "model", value, model),
        None => BTreeMap::new(),
    };
    let lint = top.take("lint").map(|v| lint(r, v)).unwrap_or_default();
    for Reference { path, name, span } in references.hosts {
        if !hosts.contains_key(&name) {
            r.unknown(span, &path, &name, hosts.keys().map(String::as_str));
        }
    }
    for Reference { path, name, span } in references.models {
        if !models.contains_key(&name) {
            r.unknown(span, &path, &name, models.keys().map(String::as_str));
        }
    }
    Settings { pv, gate, hosts, profiles, models, lint }
}

/// The entries of a table of named tables.
fn named<'t, T>(
    r: &mut Reader<'t>,
    kind: &str,
    value: Value<'t>,
    mut read: impl FnMut(&mut Reader<'t>, &str, Entry<'t>) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    for entry in r.entries(kind, value) {
        let name = entry.name.clone();
        if let Some(bad) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'))
        {
            let message =
                format!("{kind} name `{name}` holds {bad:?}, accepted: letters, digits, `-`, `_`, `.`");
            r.problem(entry.at.clone(), message, None);
        }
        let path = format!("{kind}.{name}");
        if let Some(read) = read(r, &path, entry) {
            all.insert(name, read);
        }
    }
    all
}

fn gate<'t>(r: &mut Reader<'t>, value: Value<'t>, references: &mut References) -> Gate {
    let mut fields = r.fields("gate", value, &["floor", "require_signature", "trusted_keys"]);
    let ladder: Vec<_> =
        FALSIFIER_STATUSES.iter().filter(|s| s.status.rung().is_some()).map(|s| (s.name, s.status)).collect();
    let floor = fields.take("floor").and_then(|v| r.one_of("gate.floor", &v, &ladder));
    let path = fields.path("require_signature");
    let mut require_signature = BTreeSet::new();
    if let Some(value) = fields.take("require_signature") {
        for (name, span) in r.strings(&path, value) {
            references.hosts.push(Reference { path: path.clone(), name: name.clone(), span });
            require_signature.insert(name);
        }
    }
    let path = fields.path("trusted_keys");
    let mut trusted_keys = Vec::new();
    if let Some(value) = fields.take("trusted_keys") {
        for (key, span) in r.strings(&path, value) {
            if key.strip_prefix("ed25519:").is_none_or(str::is_empty) {
                r.problem(span, format!("`{path}`: `{key}` is no key, accepted: ed25519:<key>"), None);
            } else {
                trusted_keys.push(key);
            }
        }
    }
    Gate { floor, require_signature, trusted_keys }
}

fn host<'t>(r: &mut Reader<'t>, path: &str, entry: Entry<'t>) -> Option<HostClass> {
    let mut fields = r.fields(path, entry.value, &["match", "exclusive"]);
    let mut class = HostClass { name: entry.name, ..HostClass::default() };
    if let Some(value) = fields.take("exclusive") {
        class.exclusive = r.boolean(&fields.path("exclusive"), &value)?;
    }
    let Some(value) = fields.take("match") else {
        r.problem(
            fields.span,
            format!("`{path}` has no `match`: which machines are of this class"),
            Some("write match = { arch = \"x86_64\" }, or match = {} for any machine".to_owned()),
        );
        return None;
    };
    let path = fields.path("match");
    let mut facts = r.fields(&path, value, &["arch", "os", "cpu", "gpu", "gpu_memory", "driver"]);
    let pattern = |r: &mut Reader<'t>, facts: &mut Fields<'t>, key: &str| {
        let value = facts.take(key)?;
        r.parsed(&facts.path(key), &value, Pattern::parse)
    };
    class.arch = pattern(r, &mut facts, "arch");
    class.os = pattern(r, &mut facts, "os");
    class.cpu = pattern(r, &mut facts, "cpu");
    class.gpu = pattern(r, &mut facts, "gpu");
    class.driver =
        facts.take("driver").and_then(|value| r.parsed(&facts.path("driver"), &value, VersionRange::parse));
    class.gpu_memory = facts.take("gpu_memory").and_then(|value| {
        r.parsed(&facts.path("gpu_memory"), &value, |text| {
            text.strip_prefix(">=").and_then(parse_size).ok_or("accepted: \">=NGiB\" or \">=NMiB\"")
        })
    });
    Some(class)
}

fn profile<'t>(
    r: &mut Reader<'t>,
    path: &str,
    entry: Entry<'t>,
    references: &mut References,
) -> Option<Profile> {
    let accepted = ["host", "cargo_profile", "features", "packages", "models", "env"];
    let mut fields = r.fields(path, entry.value, &accepted);
    let Some(value) = fields.take("host") else {
        let help = Some("write host = \"cpu\"".to_owned());
        r.problem(fields.span, format!("`{path}` has no `host`: the host class it runs on"), help);
        return None;
    };
    let host = r.string(&fields.path("host"), &value)?;
    references.hosts.push(Reference { path: fields.path("host"), name: host.clone(), span: value.span() });
    let cargo_profile = match fields.take("cargo_profile") {
        Some(value) => r.string(&fields.path("cargo_profile"), &value)?,
        None => CARGO_PROFILE.to_owned(),
    };
    let texts = |r: &mut Reader<'t>, fields: &mut Fields<'t>, key: &str| {
        let path = fields.path(key);
        fields.take(key).map(|value| r.strings(&path, value))
    };
    let plain = |list: Option<Vec<(String, Range<usize>)>>| -> Vec<String> {
        list.unwrap_or_default().into_iter().map(|(text, _)| text).collect()
    };
    let features = plain(texts(r, &mut fields, "features"));
    let packages = plain(texts(r, &mut fields, "packages"));
    let models = texts(r, &mut fields, "models").map(|models| {
        let path = fields.path("models");
        models
            .into_iter()
            .map(|(name, span)| {
                references.models.push(Reference { path: path.clone(), name: name.clone(), span });
                name
            })
            .collect()
    });
    let mut env = BTreeMap::new();
    if let Some(value) = fields.take("env") {
        let path = fields.path("env");
        for entry in r.entries(&path, value) {
            if let Some(text) = r.string(&format!("{path}.{}", entry.name), &entry.value) {
                env.insert(entry.name, text);
            }
        }
    }
    Some(Profile { name: entry.name, host, cargo_profile, features, packages, models, env })
}

fn model<'t>(r: &mut Reader<'t>, path: &str, entry: Entry<'t>) -> Option<ModelFile> {
    let mut fields = r.fields(path, entry.value, &["path", "sha256"]);
    let file = fields.take("path").and_then(|v| r.string(&fields.path("path"), &v));
    let digest = fields.take("sha256").and_then(|v| {
        r.parsed(&fields.path("sha256"), &v, |text| {
            let hex = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if hex { Ok(text.to_owned()) } else { Err("accepted: 64 lower-case hexadecimal digits") }
        })
    });
    if let (Some(path), Some(sha256)) = (file, digest) {
        return Some(ModelFile { path, sha256 });
    }
    let help = Some("write { path = \"...\", sha256 = \"<64 hex>\" }".to_owned());
    r.problem(fields.span, format!("`{path}` needs a `path` and a `sha256`"), help);
    None
}

fn lint<'t>(r: &mut Reader<'t>, value: Value<'t>) -> Lint {
    let mut fields = r.fields("lint", value, &["severity", "scope"]);
    let severity = fields.take("severity").map(|v| severities(r, "lint.severity", v)).unwrap_or_default();
    let mut scopes = Vec::new();
    if let Some(value) = fields.take("scope") {
        for scope in r.list("lint.scope", value) {
            let mut fields = r.fields("lint.scope", scope, &["paths", "severity"]);
            let mut paths = Vec::new();
            if let Some(value) = fields.take("paths") {
                for element in r.list("lint.scope.paths", value) {
                    paths.extend(r.parsed("lint.scope.paths", &element, PathGlob::parse));
                }
            }
            let severity =
                fields.take("severity").map(|v| severities(r, "lint.scope.severity", v)).unwrap_or_default();
            if paths.is_empty() || severity.is_empty() {
                let message = "a lint scope needs `paths` and `severity`, neither empty".to_owned();
                r.problem(fields.span, message, None);
            }
            scopes.push(LintScope { paths, severity });
        }
    }
    Lint { severity, scopes }
}

fn severities<'t>(r: &mut Reader<'t>, path: &str, value: Value<'t>) -> Vec<RuleSeverity> {
    r.entries(path, value)
        .into_iter()
        .filter_map(|entry| {
            let level = r.one_of(&format!("{path}.{}", entry.name), &entry.value, LEVELS)?;
            Some(RuleSeverity { rule: entry.name, level, span: entry.at })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::Target;

    const WHOLE: &str = r#"
pv = "0.1"
gate = { floor = "ALGORITHM_LEVEL_DISCHARGED", require_signature = ["h200"], trusted_keys = ["ed25519:00"] }
[host.cpu]
match = { arch = "x86_64" }
[host.h200]
match = { gpu = "NVIDIA H200*", gpu_memory = ">=100GiB", driver = ">=580" }
exclusive = true
[profile]
light = { host = "cpu" }
gpu = { host = "h200", cargo_profile = "release", features = ["model/cuda"], models = ["tiny-q4"] }
[model]
tiny-q4 = { path = "tests/data/tiny.gguf", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
other = { path = "o.gguf", sha256 = "1111111111111111111111111111111111111111111111111111111111111111" }
[lint.severity]
references-empty = "off"
[[lint.scope]]
paths = ["contracts/legacy/**"]
severity = { test-missing = "warning" }
"#;

    fn problems(text: &str) -> Vec<String> {
        Settings::parse(text).expect_err("the text must be refused").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_file_reads_into_its_types() {
        let settings = Settings::parse(WHOLE).expect("the file is right");
        assert_eq!(settings.gate.floor, Some(FalsifierStatus::AlgorithmLevelDischarged));
        assert!(settings.hosts["h200"].exclusive && !settings.hosts["cpu"].exclusive);
        assert_eq!(settings.hosts["h200"].gpu_memory, Some(100 << 30));
        assert_eq!(settings.profiles["light"].cargo_profile, "test");
        assert_eq!(settings.lint.severity[0].level, Level::Off);
        assert_eq!(&WHOLE[settings.lint.severity[0].span.clone()], "references-empty");
        let scope = &settings.lint.scopes[0].paths[0];
        assert!(scope.matches("contracts/legacy/a/b.yaml") && !scope.matches("contracts/a.yaml"));
    }

    #[test]
    fn an_absent_table_is_any_machine_running_cargo_test() {
        let settings = Settings::parse("pv = \"0.1\"").expect("the shortest file");
        assert_eq!(settings.profiles["test"].host, "cpu");
        assert_eq!(settings.hosts["cpu"].matches(&crate::host::HostFacts::default()), Ok(()));
        let settings = Settings::parse("pv = \"0.1\"\nhost.a.match = {}").expect("one host");
        assert_eq!(settings.profiles["test"].host, "a");
    }

    #[test]
    fn every_problem_is_reported_with_its_position() {
        let text = "pv = \"new\"\ngates = 1\n[profile]\nlight = { host = \"cpuu\", feature = [] }\n[host.cpu]\nmatch = { arch = 3 }\n";
        assert_eq!(
            problems(text),
            [
                "1:6: `pv`: unexpected character 'n' while parsing major version number",
                "2:1: unknown key `gates`, accepted: `pv`, `gate`, `host`, `profile`, `model` or `lint` (did you mean `gate`?)",
                "4:18: `profile.light.host` is `cpuu`, accepted: `cpu` (did you mean `cpu`?)",
                "4:26: unknown key `feature` of `profile.light`, accepted: `host`, `cargo_profile`, `features`, `packages`, `models` or `env` (did you mean `features`?)",
                "6:18: `host.cpu.match.arch`: found integer, wanted a string",
            ]
        );
    }

    #[test]
    fn wrong_values_are_refused() {
        for (text, part) in [
            ("", "`pv` is missing"),
            ("pv = \"1\"\ngate.floor = \"STALE\"", "accepted: `PROPOSED`"),
            ("pv = \"1\"\ngate.trusted_keys = [\"rsa:1\"]", "is no key"),
            ("pv = \"1\"\ngate.require_signature = [\"nowhere\"]", "accepted: `cpu`"),
            ("pv = \"1\"\n[host.a]\nexclusive = true", "has no `match`"),
            ("pv = \"1\"\nhost.a.match.driver = \"580\"", "starts with none of"),
            ("pv = \"1\"\nhost.a.match.gpu_memory = \"24GiB\"", "accepted: \">=NGiB\""),
            ("pv = \"1\"\nhost.a.match.gpu = \"[\"", "host.a.match.gpu"),
            ("pv = \"1\"\nprofile.x = {}", "has no `host`"),
            ("pv = \"1\"\nmodel.x = { path = \"a\", sha256 = \"AB\" }", "64 lower-case"),
            ("pv = \"1\"\nlint.severity.a = \"banana\"", "accepted: `off`, `note`, `warning` or `error`"),
            ("pv = \"1\"\n[[lint.scope]]\npaths = [\"a\"]", "neither empty"),
            ("pv = \"1\"\nhost = 3", "found integer, wanted a table"),
            ("pv = ", "string values must be quoted"),
        ] {
            let found = problems(text).join("\n");
            assert!(found.contains(part), "{text:?}: {found}");
        }
    }

    #[test]
    fn a_profile_names_what_it_lacks() {
        let settings = Settings::parse(WHOLE).expect("the file is right");
        let (light, gpu) = (&settings.profiles["light"], &settings.profiles["gpu"]);
        let test = |features: &[&str]| TestBinding {
            package: "model".to_owned(),
            target: Target::Lib,
            path: None,
            prefix: None,
            at_least: None,
            features: features.iter().map(|f| (*f).to_owned()).collect(),
            ignored: false,
            needs: Vec::new(),
            timeout_s: None,
        };
        let cuda = [Need::Cuda];
        let plain = Some(test(&[]));
        let featured = Some(test(&["cuda"]));
        assert_eq!(gpu.obstacle(&settings, &cuda, featured.as_ref()), None);
        let lacks =
            |needs: &[Need], test: &Option<TestBinding>| light.obstacle(&settings, needs, test.as_ref());
        assert!(lacks(&cuda, &plain).is_some_and(|o| o.contains("`cuda`")));
        assert!(lacks(&[], &featured).is_some_and(|o| o.contains("feature")));
        let other = [Need::Model("other".to_owned())];
        assert_eq!(lacks(&other, &plain), None);
        assert!(gpu.obstacle(&settings, &other, None).is_some());
        assert_eq!(settings.why_dark("h200", &cuda, featured.as_ref()), None);
        assert!(settings.why_dark("cpu", &cuda, None).is_some_and(|why| why.contains("`light`")));
        assert!(settings.why_dark("tpu", &[], None).is_some_and(|why| why.contains("no profile is for")));
    }
}
