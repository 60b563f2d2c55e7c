//! The CUDA simulator, built once, by whichever process comes first, and where the CUDA backend runs on this host.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the simulator's libraries.
pub(crate) fn folder() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = falsify::root().expect("the workspace");
        let out = root.join("target/cuda-sim");
        // Test processes run side by side, and `make` knows nothing of another one.
        std::fs::create_dir_all(&out).expect("a folder");
        let lock = std::fs::File::create(out.join("lock")).expect("a lock file");
        lock.lock().expect("the lock");
        let make = Command::new("make")
            .args(["--silent", "-C"])
            .arg(root.join("tests/cuda-sim"))
            .arg(format!("OUT={}", out.display()))
            .output()
            .expect("make starts");
        assert!(make.status.success(), "make: {}", String::from_utf8_lossy(&make.stderr));
        out
    })
}
