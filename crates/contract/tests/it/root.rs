//! The contract root: finding it, listing it, looking falsifiers up in it.

use contract::root::{LookupError, Root};
use std::fs;
use std::path::Path;

const EXAMPLE: &str = include_str!("data/moe-router-v1.yaml");

fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in [("pv.toml", "")].iter().chain(files) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let root = Root::at(dir.path());
    (dir, root)
}

#[test]
fn the_nearest_pv_toml_above_is_the_root() {
    let (dir, root) = root(&[("a/b/c.txt", "")]);
    assert_eq!(Root::above(&dir.path().join("a/b")), Some(root));
    assert_eq!(Root::above(Path::new("/")), None);
}

#[test]
fn a_falsifier_is_found_by_its_id() {
    let (_dir, root) = root(&[("contracts/moe-router-v1.yaml", EXAMPLE)]);
    let found = root.falsifier("FALSIFY-MOE-ROUTER-002").unwrap();
    assert_eq!(found.path, Path::new("contracts/moe-router-v1.yaml"));
    assert_eq!(found.falsifier().id.as_str(), "FALSIFY-MOE-ROUTER-002");
    assert_eq!(&EXAMPLE[found.span.range()], "FALSIFY-MOE-ROUTER-002");
}

#[test]
fn what_is_not_found_says_why() {
    let other = EXAMPLE.replace("moe-router-v1", "other-v1").replace("ROUTER-002", "ROUTER-003");
    let (_dir, root) = root(&[
        ("contracts/moe-router-v1.yaml", EXAMPLE),
        ("contracts/sub/other-v1.yaml", &other),
        ("contracts/broken-v1.yaml", "schema: 1\nnotes: FALSIFY-BROKEN-1\n"),
    ]);
    assert_eq!(
        root.falsifier("FALSIFY-MOE-ROUTR-002").unwrap_err(),
        LookupError::Unknown {
            id: "FALSIFY-MOE-ROUTR-002".to_owned(),
            contracts: 3,
            nearest: Some("FALSIFY-MOE-ROUTER-002".to_owned())
        }
    );
    assert!(
        matches!(root.falsifier("FALSIFY-MOE-ROUTER-001"), Err(LookupError::Ambiguous { paths, .. }) if paths.len() == 2)
    );
    assert!(matches!(root.falsifier("FALSIFY-BROKEN-1"), Err(LookupError::Broken { .. })));
    assert!(matches!(root.falsifier(""), Err(LookupError::Unknown { .. })));
}

#[test]
fn many_files_load_in_parallel_and_in_order() {
    let texts: Vec<(String, String)> = (0..100)
        .map(|n| (format!("contracts/c{n:03}.yaml"), EXAMPLE.replace("moe-router-v1", &format!("c{n:03}"))))
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (_dir, root) = root(&files);
    let ids: Vec<String> =
        root.load_all().into_iter().map(|l| l.contract.unwrap().metadata.id.to_string()).collect();
    let expected: Vec<String> = (0..100).map(|n| format!("c{n:03}")).collect();
    assert_eq!(ids, expected);
}

#[cfg(unix)]
#[test]
fn links_in_circles_and_unreadable_files_hide_nothing() {
    use std::os::unix::fs::symlink;
    let (dir, root) = root(&[("contracts/moe-router-v1.yaml", EXAMPLE), ("contracts/sub/notes.txt", "")]);
    symlink(dir.path().join("contracts"), dir.path().join("contracts/sub/loop")).unwrap();
    symlink("nowhere", dir.path().join("contracts/gone.yaml")).unwrap();
    let listing = root.list();
    let rules: Vec<_> = listing.findings.iter().map(|finding| finding.rule.as_ref()).collect();
    assert_eq!(rules, ["link-loop"]);
    let loaded = root.load_all();
    let rules: Vec<Vec<_>> =
        loaded.iter().map(|l| l.findings.iter().map(|finding| finding.rule.as_ref()).collect()).collect();
    assert_eq!(rules, [vec!["unreadable-file"], vec![]]);
}
