use super::*;

struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }
    fn root(&self) -> &Path {
        self.0.path()
    }
    fn git(&self, words: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.root())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
    }
    fn source(&self) -> SourceTree {
        SourceTree::of(self.root()).unwrap()
    }
}

#[test]
fn a_tree_is_the_same_before_and_after_its_commit_and_after_its_evidence() {
    let repository = Repository::new();
    repository.write("a.rs", "one");
    repository.write(".gitignore", "/target/\n");
    let fresh = repository.source();
    assert!(fresh.dirty && fresh.commit.is_none());
    repository.commit();
    let committed = repository.source();
    assert_eq!((committed.tree.as_str(), committed.dirty), (fresh.tree.as_str(), false));
    repository.write("evidence/c/f/cpu/x.json", "{}");
    repository.write("STATUS.md", "all well");
    repository.write("target/debug/x", "binary");
    assert_eq!(repository.source(), committed);
    repository.commit();
    let with_evidence = repository.source();
    assert_eq!((&with_evidence.tree, with_evidence.dirty), (&committed.tree, false));
    assert_ne!(with_evidence.commit, committed.commit);
}

#[test]
fn every_kind_of_change_is_dirty_and_changes_the_id() {
    let repository = Repository::new();
    repository.write("a.rs", "one");
    repository.write("b.rs", "two");
    repository.commit();
    let clean = repository.source();
    let changes: [&dyn Fn(); 4] = [
        &|| repository.write("a.rs", "eno"),
        &|| repository.write("new.rs", "untracked"),
        &|| std::fs::remove_file(repository.root().join("b.rs")).unwrap(),
        &|| {
            repository.write("a.rs", "staged");
            repository.git(&["add", "a.rs"]);
        },
    ];
    for change in changes {
        change();
        let changed = repository.source();
        assert!(changed.dirty);
        assert_ne!(changed.tree, clean.tree);
        repository.git(&["reset", "--quiet", "--hard"]);
        repository.git(&["clean", "-fdq"]);
        assert_eq!(repository.source(), clean);
    }
}

#[test]
fn the_repository_is_not_touched_and_a_folder_in_it_has_its_own_id() {
    let repository = Repository::new();
    repository.write("inner/a.rs", "one");
    repository.write("outer.rs", "two");
    repository.commit();
    repository.write("inner/b.rs", "three");
    let before = (repository.git(&["status", "--porcelain"]), repository.git(&["count-objects"]));
    let inner = SourceTree::of(&repository.root().join("inner")).unwrap();
    assert!(inner.dirty);
    assert_eq!((repository.git(&["status", "--porcelain"]), repository.git(&["count-objects"])), before);
    repository.commit();
    assert_eq!(repository.git(&["rev-parse", "HEAD:inner"]).trim(), inner.tree);
    repository.write("outer.rs", "changed");
    assert!(!SourceTree::of(&repository.root().join("inner")).unwrap().dirty);
}

#[test]
fn a_folder_without_git_has_no_id() {
    let dir = tempfile::tempdir().unwrap();
    let error = SourceTree::of(dir.path()).unwrap_err().to_string();
    assert!(error.contains("not a git repository"), "{error}");
}
