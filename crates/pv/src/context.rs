//! What every command shares: the contract root, where output goes, and whether it is coloured.

use crate::error::Error;
use clap::ValueEnum;
use contract::date::Date;
use contract::evidence::sha256_hex;
use contract::root::Root;
use contract::settings::Settings;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Flags that every command takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The folder that holds pv.toml [default: $PV_ROOT, or the nearest one above the current folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Whether to colour the output
    #[arg(long, global = true, value_enum, default_value_t)]
    pub color: Color,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A repository as pv.toml describes it.
#[derive(Debug)]
pub struct Repository {
    /// The contract root, if there is one.
    pub root: Option<Root>,
    /// pv.toml, or what an empty one means.
    pub settings: Settings,
    /// The text of pv.toml.
    pub text: String,
}

impl Repository {
    /// Where pv.toml is or would be.
    #[must_use]
    pub fn settings_path(&self) -> PathBuf {
        self.root.as_ref().map_or_else(|| PathBuf::from(SETTINGS), |root| root.dir().join(SETTINGS))
    }
}

/// The surroundings of one command.
#[derive(Debug)]
pub struct Context {
    root: Option<PathBuf>,
    color: bool,
    cwd: PathBuf,
    today: Date,
    cargo: PathBuf,
    cache: Option<PathBuf>,
}

/// The name of the settings file, which marks the contract root.
const SETTINGS: &str = "pv.toml";

/// The folder for what can be made again, by the rules of the XDG base directories.
fn user_cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
}

impl Context {
    /// Read the environment once.
    ///
    /// # Errors
    /// When the current folder cannot be read, or `--root` or PV_ROOT names no folder.
    pub fn new(global: &Global) -> Result<Self, Error> {
        let cwd = std::env::current_dir().map_err(Error::file("."))?;
        let named = global.root.clone().or_else(|| std::env::var_os("PV_ROOT").map(PathBuf::from));
        let root = match named {
            Some(dir) => {
                let dir = cwd.join(dir);
                if !dir.is_dir() {
                    return Err(Error::Usage(format!("{}: the contract root is no folder", dir.display())));
                }
                Some(dir)
            }
            None => Root::above(&cwd).map(|root| root.dir().to_owned()),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let today = Date::from_unix(now.as_secs());
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        // Cargo names itself to what it runs; otherwise it is the one in PATH.
        let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let cache = match &root {
            Some(root) => Some(root.join("target/pv/contracts.cache")),
            None => user_cache().map(|folder| {
                let name = sha256_hex(cwd.as_os_str().as_encoded_bytes());
                folder.join("pv").join(format!("{}.cache", &name[..16]))
            }),
        };
        Ok(Self { root, color, cwd, today, cargo, cache })
    }

    /// A context that reads no environment: a folder with its pv.toml, on a given day, without colours and
    /// without a memory of earlier runs.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>, today: Date) -> Self {
        let cwd = root.into();
        let cargo = PathBuf::from("cargo");
        Self { root: Some(cwd.clone()), color: false, cwd, today, cargo, cache: None }
    }

    /// The same surroundings for whoever works in a folder: a root that was not named is looked for from there.
    #[must_use]
    pub fn near(&self, folder: &Path) -> Self {
        let found = || Root::above(folder).map(|root| root.dir().to_owned());
        let root = self.root.clone().or_else(found);
        Self { root, cwd: folder.to_owned(), cargo: self.cargo.clone(), cache: None, ..*self }
    }

    /// The contract root.
    ///
    /// # Errors
    /// When there is none: no pv.toml in the current folder or above it.
    pub fn root(&self) -> Result<&Path, Error> {
        self.root.as_deref().ok_or_else(|| {
            Error::Usage(format!(
                "no pv.toml in {} or above it (name its folder with --root or PV_ROOT)",
                self.cwd.display()
            ))
        })
    }

    /// The contract root, if there is one.
    #[must_use]
    pub fn root_if_any(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The contract root with its settings; without a root, what an empty pv.toml means.
    ///
    /// # Errors
    /// When pv.toml cannot be read, is wrong, or is for another version of pv.
    pub fn repository(&self) -> Result<Repository, Error> {
        let empty = || Repository { root: None, settings: Settings::default(), text: String::new() };
        let Some(dir) = &self.root else { return Ok(empty()) };
        let path = dir.join(SETTINGS);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Repository { root: Some(Root::at(dir)), ..empty() });
            }
            Err(error) => return Err(Error::file(path)(error)),
        };
        let settings =
            Settings::parse(&text).map_err(|problems| Error::Settings { path: path.clone(), problems })?;
        let version = env!("CARGO_PKG_VERSION");
        if semver::Version::parse(version).is_ok_and(|version| !settings.pv.matches(&version)) {
            let wanted = &settings.pv;
            return Err(Error::Usage(format!("{}: asks for pv {wanted}, this is {version}", path.display())));
        }
        Ok(Repository { root: Some(Root::at(dir)), settings, text })
    }

    /// The day it is, in UTC.
    #[must_use]
    pub fn today(&self) -> Date {
        self.today
    }

    /// Where what was found in unchanged files is kept, if anywhere.
    #[must_use]
    pub fn cache(&self) -> Option<PathBuf> {
        self.cache.clone()
    }

    /// The cargo to call.
    #[must_use]
    pub fn cargo(&self) -> &Path {
        &self.cargo
    }

    /// The current folder.
    #[must_use]
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// Whether to colour the output.
    #[must_use]
    pub fn color(&self) -> bool {
        self.color
    }

    /// The standard output, locked and buffered. Flush it, so that a failing write is seen.
    #[must_use]
    pub fn stdout(&self) -> impl Write + use<> {
        io::BufWriter::new(io::stdout().lock())
    }
}
