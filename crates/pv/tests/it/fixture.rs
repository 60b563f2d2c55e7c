//! The little workspaces under tests/data, each in a copy that a test may change and compile. A copy is brought
//! back to what the repository holds by content, so that cargo builds again what really changed and nothing else.

use contract::Loaded;
use contract::root::Root;
use contract::schema::Contract;
use contract::settings::Settings;
use pv::binding::Bindings;
use pv::binding::build::Flavour;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The copy of a workspace, held by one test at a time, in whatever process it runs.
pub(crate) struct Fixture {
    dir: PathBuf,
    _lock: File,
}

impl Fixture {
    /// The copy of tests/data/`data`, as the repository has it.
    pub(crate) fn of(data: &str) -> Self {
        let repository = falsify::root().expect("the repository");
        let source = repository.join("tests/data").join(data);
        let place = repository.join("target/pv-fixtures");
        fs::create_dir_all(&place).expect("a folder");
        let lock = File::create(place.join(format!("{data}.lock"))).expect("a lock file");
        lock.lock().expect("the lock");
        let dir = place.join(data);
        let mut files = BTreeSet::new();
        let mut put = |file: &str, bytes: &[u8]| {
            let path = dir.join(file);
            files.insert(path.clone());
            if fs::read(&path).is_ok_and(|old| old == bytes) {
                return;
            }
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, bytes).expect("the copy can be written");
        };
        for path in walk(&source) {
            let name = path.strip_prefix(&source).expect("a file of it").to_str().expect("text").to_owned();
            let bytes = fs::read(&path).expect("the fixture");
            if name == "Cargo.toml" {
                let text = String::from_utf8(bytes).expect("text");
                let crates = repository.join("crates");
                let text = text.replace("../../../crates", crates.to_str().expect("text"));
                put(&name, text.as_bytes());
            } else {
                put(&name, &bytes);
            }
        }
        put(".cargo/config.toml", b"[net]\noffline = true\n");
        // The versions of the repository; cargo drops from its own copy what the workspace does not need.
        let lock_file = fs::read(repository.join("Cargo.lock")).expect("the lock file");
        let seen = dir.join("target/Cargo.lock.seen");
        if fs::read(&seen).is_ok_and(|old| old == lock_file) {
            files.insert(dir.join("Cargo.lock"));
        } else {
            put("Cargo.lock", &lock_file);
            fs::create_dir_all(dir.join("target")).expect("a folder");
            fs::write(&seen, &lock_file).expect("a note");
        }
        for path in walk(&dir) {
            if !files.contains(&path) {
                fs::remove_file(&path).expect("what a test left can be removed");
            }
        }
        let snapshots = dir.join("target/pv");
        if snapshots.exists() {
            fs::remove_dir_all(snapshots).expect("what pv left can be removed");
        }
        Self { dir, _lock: lock }
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Replace a text in a file; it must be there.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).expect("the file");
        assert!(text.contains(from), "{file} does not hold {from:?}");
        fs::write(&path, text.replacen(from, to, 1)).expect("the file can be written");
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> Settings {
        let text = fs::read_to_string(self.dir.join("pv.toml")).expect("pv.toml");
        Settings::parse(&text).expect("pv.toml is right")
    }

    /// Its contract files.
    pub(crate) fn loaded(&self) -> Vec<Loaded> {
        Root::at(&self.dir).load_all()
    }

    /// Its bindings, compiled.
    pub(crate) fn bindings(&self) -> Bindings {
        let loaded = self.loaded();
        Bindings::compile(Path::new("cargo"), &self.dir, &self.settings(), Flavour::Plain, contracts(&loaded))
            .expect("cargo runs")
    }

    /// Its bindings, as last compiled.
    pub(crate) fn cached(&self) -> Option<Bindings> {
        let loaded = self.loaded();
        Bindings::cached(&self.dir, &self.settings(), contracts(&loaded)).expect("the folder can be read")
    }
}

/// The typed contracts among loaded files.
pub(crate) fn contracts(loaded: &[Loaded]) -> impl Iterator<Item = &Contract> {
    loaded.iter().filter_map(|loaded| loaded.contract.as_ref())
}

/// The files below a folder, but for cargo's.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if !path.is_dir() {
                files.push(path);
            } else if path != dir.join("target") {
                pending.push(path);
            }
        }
    }
    files
}
