//! What a check looks at: the named contract files, and those beside them that references may lead to.
//!
//! Every file is read and judged alone, in parallel; what is kept of it is small. The typed contract is made
//! again for the few who ask for it.

use crate::cache::{self, Cache, Fresh};
use crate::context::{Context, Repository};
use crate::error::Error;
use crate::evidence::source::DERIVED;
use crate::faults::{self, Site};
use crate::lint::{self, allow::Allow};
use crate::report::{Counts, Report};
use crate::stamp::Stamp;
use contract::Loaded;
use contract::date::Date;
use contract::diagnostic::{Diagnostic, Location, Span};
use contract::hash::Digest;
use contract::load;
use contract::outline::{Item, Outline};
use contract::root::{self, Listing, Root};
use contract::schema::Contract;
use contract::source::{self, Source};
use contract::walk::Dialect;
use contract::yaml::{Data, Node, Tree};
// Its hashes are quickly made, and names are looked up often.
use hashbrown::HashMap as Table;
use rayon::prelude::*;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The files of a check and what they define.
#[derive(Debug)]
pub struct Workspace {
    /// The contract root and its settings.
    pub repository: Repository,
    /// Every file, sorted by path within its scope.
    pub files: Vec<File>,
    /// The day it is.
    pub today: Date,
    /// What could not be listed.
    unlisted: Vec<Diagnostic>,
    tree: OnceLock<Vec<String>>,
    faults: OnceLock<BTreeMap<String, Site>>,
    index: OnceLock<Index>,
}

/// Where contracts and falsifiers are defined, by scope and kind, then by name.
type Index = Table<(usize, Item), Table<Box<str>, Sites>>;

/// Where something is defined: almost always once.
#[derive(Debug)]
enum Sites {
    One(Definition),
    Many(Vec<Definition>),
}

impl Sites {
    fn add(&mut self, site: Definition) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, site]),
            Self::Many(sites) => sites.push(site),
        }
    }

    fn list(&self) -> &[Definition] {
        match self {
            Self::One(site) => std::slice::from_ref(site),
            Self::Many(sites) => sites,
        }
    }
}

/// A contract file.
#[derive(Debug)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// Its text, under the path that findings show.
    pub source: Source,
    /// What is known of it alone.
    pub analysis: Analysis,
    /// References lead to files of the same scope: those of the contract root, or of one named folder.
    pub scope: usize,
    /// Whether it belongs to the contract root, so that its paths and names are those of the repository.
    pub rooted: bool,
    /// Whether it was asked for, rather than read for what it defines.
    pub named: bool,
    /// Made again from the text for those who ask: most never do, and both are large.
    typed: OnceLock<Option<Contract>>,
    parsed: OnceLock<Option<Tree>>,
}

/// What one file says, seen alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// The language of the file.
    pub dialect: Dialect,
    /// The start of its content.
    pub start: Span,
    /// What it defines and mentions; missing when it is no YAML.
    pub outline: Option<Outline>,
    /// What is wrong with it.
    pub findings: Vec<Diagnostic>,
    /// What its comments allow.
    pub allows: Vec<Allow>,
    /// Its falsifiers by kind.
    pub counts: Counts,
}

/// Where something is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The file, as an index of [`Workspace::files`].
    pub file: usize,
    /// The bytes of the name.
    pub span: Span,
}

impl Workspace {
    /// Read the files that `paths` name, or all contracts of the root when there are none.
    ///
    /// # Errors
    /// When a path does not exist, there is neither path nor root, or pv.toml is wrong.
    pub fn read(context: &Context, paths: &[PathBuf]) -> Result<Self, Error> {
        let repository = context.repository()?;
        let (mut cache, scopes) =
            rayon::join(|| Cache::load(context.cache()), || scopes(context, repository.root.as_ref(), paths));
        let workspace = Self::judge(context, repository, scopes?, &mut cache, &Open::default());
        let base = workspace.repository.root.as_ref().map_or(context.cwd(), Root::dir);
        let read: HashSet<&OsStr> =
            workspace.files.iter().map(|file| file.source.path().as_os_str()).collect();
        // A tree that cannot be written to is judged all the same, only not as fast the next time.
        let _ = cache.store(|path| read.contains(OsStr::new(path)) || base.join(path).exists());
        Ok(workspace)
    }

    /// Read files as part of a repository, with what is known of unchanged ones and the texts that are open in an
    /// editor.
    ///
    /// # Errors
    /// As [`Workspace::read`].
    pub fn of(
        context: &Context,
        repository: Repository,
        paths: &[PathBuf],
        cache: &mut Cache,
        open: &Open,
    ) -> Result<Self, Error> {
        let root = repository.root.as_ref();
        let mut scopes = scopes(context, root, paths)?;
        // What an editor has not written yet has its place among the contracts all the same.
        if let (true, Some(scope), Some(root)) = (paths.is_empty(), scopes.first_mut(), root) {
            let yaml = |path: &&PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
            let inside = open.keys().filter(yaml).filter(|path| path.starts_with(root.contracts()));
            scope.files.extend(inside.map(|path| (path.clone(), true)));
        }
        Ok(Self::judge(context, repository, scopes, cache, open))
    }

    /// Read the files of the scopes and judge each alone.
    fn judge(
        context: &Context,
        repository: Repository,
        scopes: Vec<Scope>,
        cache: &mut Cache,
        open: &Open,
    ) -> Self {
        let root = repository.root.as_ref();
        let unlisted = scopes.iter().flat_map(|scope| &scope.unlisted).cloned().collect();
        let files: Vec<(usize, PathBuf, bool)> = scopes
            .into_iter()
            .enumerate()
            .flat_map(|(index, scope)| {
                scope.sorted().into_iter().map(move |(path, named)| (index, path, named))
            })
            .collect();
        let base = root.map_or(context.cwd(), Root::dir);
        let (files, fresh): (Vec<File>, Vec<Option<Fresh>>) = files
            .into_par_iter()
            .map(|(scope, path, named)| {
                let rooted = root.is_some_and(|root| path.starts_with(root.contracts()));
                let Read { source, analysis, fresh } =
                    read(&path, path.strip_prefix(base).unwrap_or(&path), cache, open);
                let (typed, parsed) = (OnceLock::new(), OnceLock::new());
                (File { path, source, analysis, scope, rooted, named, typed, parsed }, fresh)
            })
            .unzip();
        let fresh = files.iter().zip(fresh).filter_map(|(file, fresh)| Some((file.source.path(), fresh?)));
        cache.extend(fresh);
        let (tree, faults, index) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { repository, files, today: context.today(), unlisted, tree, faults, index }
    }

    /// Look up at once what most rules ask for one after the other: where names are defined, which faults are planted.
    pub fn look_up(&self) {
        rayon::join(|| _ = self.index(), || _ = self.faults());
    }

    /// What was found in each file alone, in the order of the files: moved out, because there may be very much.
    #[must_use]
    pub fn take_findings(&mut self) -> Vec<Vec<Diagnostic>> {
        self.files.iter_mut().map(|file| std::mem::take(&mut file.analysis.findings)).collect()
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut index = Index::new();
            for (at, file) in self.files.iter().enumerate() {
                for (item, name, span) in file.shared_names() {
                    let names = index.entry((file.scope, item));
                    let names = names.or_insert_with(|| Table::with_capacity(self.files.len()));
                    let site = Definition { file: at, span };
                    match names.get_mut(name) {
                        Some(sites) => sites.add(site),
                        None => drop(names.insert(name.into(), Sites::One(site))),
                    }
                }
            }
            index
        })
    }

    /// Where a contract, alias or falsifier is defined, seen from a file.
    #[must_use]
    pub fn sites(&self, from: &File, item: Item, name: &str) -> &[Definition] {
        let names = self.index().get(&(from.scope, item));
        names.and_then(|names| names.get(name)).map_or(&[], Sites::list)
    }

    /// Every name of a kind that is shared between the files of a scope.
    pub fn names<'w>(&'w self, from: &'w File, item: Item) -> impl Iterator<Item = &'w str> {
        let names = self.index().get(&(from.scope, item));
        names.into_iter().flat_map(|names| names.keys().map(|name| &**name))
    }

    /// The typed contracts of schema 1, of files without structural errors.
    pub fn contracts(&self) -> impl Iterator<Item = (&File, &Contract)> {
        self.files.iter().filter_map(|file| Some((file, file.contract()?)))
    }

    /// Those of them that have more than proposals. The others say nothing about tests, commands and reviews, and
    /// need not be read again.
    pub fn bound(&self) -> impl Iterator<Item = (&File, &Contract)> {
        self.files
            .iter()
            .filter(|file| file.analysis.is_bound())
            .filter_map(|file| Some((file, file.contract()?)))
    }

    /// Make the typed contracts of [`Workspace::bound`], in parallel, for rules that look at them one after the other.
    pub fn load_bound(&self) {
        self.files.par_iter().filter(|file| file.analysis.is_bound()).for_each(|file| _ = file.contract());
    }

    /// The files of the repository that git does not ignore, relative to the root; none without a root.
    #[must_use]
    pub fn tree(&self) -> &[String] {
        self.tree
            .get_or_init(|| self.repository.root.as_ref().map(|root| tree(root.dir())).unwrap_or_default())
    }

    /// The planted faults of the repository.
    #[must_use]
    pub fn faults(&self) -> &BTreeMap<String, Site> {
        self.faults.get_or_init(|| match &self.repository.root {
            Some(root) => faults::planted(root.dir(), self.tree()),
            None => BTreeMap::new(),
        })
    }

    /// A text file of the repository, by its path relative to the root.
    #[must_use]
    pub fn source(&self, path: impl AsRef<Path>) -> Option<Source> {
        let path = path.as_ref();
        Source::read(&self.repository.root.as_ref()?.dir().join(path), path).ok()
    }

    /// Whether all contracts of the root were asked for and nothing else.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.files.iter().all(|file| file.named && file.rooted)
    }

    /// The files of schema 1 that belong to the contract root.
    pub fn rooted(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.rooted && file.analysis.dialect == Dialect::Schema1)
    }

    /// A report of findings about the named files, with what else was found while reading them.
    #[must_use]
    pub fn report(&self, findings: Vec<Diagnostic>, color: bool) -> Report<'_> {
        let sources = self.files.iter().map(|file| (file.source.path().as_os_str(), &file.source)).collect();
        let mut counts = Counts::default();
        for file in self.files.iter().filter(|file| file.named) {
            counts += &file.analysis.counts;
        }
        let unnamed = self.files.iter().filter(|file| !file.named);
        let unnamed: HashSet<&OsStr> = unnamed.map(|file| file.source.path().as_os_str()).collect();
        let mut findings = findings;
        findings.extend(self.unlisted.iter().cloned());
        if !unnamed.is_empty() {
            findings.retain(|finding| !unnamed.contains(finding.location.path.as_os_str()));
        }
        findings.par_sort_by(by_place);
        findings.dedup();
        let mut report =
            Report { findings, counts, notes: Vec::new(), sources, others: HashMap::new(), color };
        let files = report.findings.chunk_by(|a, b| a.location.path == b.location.path);
        let paths = files.filter_map(|of_file| Some(&*of_file.first()?.location.path));
        let unread = paths.filter(|path| report.source(path).is_none());
        report.others = unread.filter_map(|path| Some((path.to_owned(), self.source(path)?))).collect();
        report
    }
}

/// The order of a report: by place, then by rule and message.
#[must_use]
pub fn by_place(a: &Diagnostic, b: &Diagnostic) -> Ordering {
    let key = |finding: &Diagnostic| {
        let Location { span, start, end, .. } = finding.location;
        (span, start, end)
    };
    let (left, right) = (&a.location.path, &b.location.path);
    let path = if Arc::ptr_eq(left, right) { Ordering::Equal } else { root::order(left, right) };
    path.then_with(|| key(a).cmp(&key(b))).then_with(|| (&a.rule, &a.message).cmp(&(&b.rule, &b.message)))
}

/// The files below a root that git does not ignore, hidden ones included, relative to it and sorted.
#[must_use]
pub fn tree(root: &Path) -> Vec<String> {
    walk(root, &[])
}

/// Those of them that are sources of anything: what reports and evidence are made of is not listed, and there is very
/// much of it.
#[must_use]
pub fn sources(root: &Path) -> Vec<String> {
    walk(root, DERIVED)
}

fn walk(root: &Path, leave_out: &'static [&'static str]) -> Vec<String> {
    let left_out = |entry: &ignore::DirEntry| {
        entry.depth() == 1 && entry.file_name().to_str().is_some_and(|name| leave_out.contains(&name))
    };
    let walk = ignore::WalkBuilder::new(root)
        .hidden(false)
        .filter_entry(move |entry| entry.file_name() != ".git" && !left_out(entry))
        .build();
    let files =
        walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    let path = |entry: ignore::DirEntry| {
        Some(entry.path().strip_prefix(root).ok()?.to_string_lossy().replace('\\', "/"))
    };
    let mut tree: Vec<String> = files.filter_map(path).collect();
    tree.sort();
    tree
}

/// The Rust sources among the files of a tree. A folder with a pv.toml of its own is another root, whose sources are
/// its own.
pub fn rust_sources(tree: &[String]) -> impl Iterator<Item = &String> {
    let other_roots: Vec<&str> = tree.iter().filter_map(|path| path.strip_suffix("pv.toml")).collect();
    tree.iter().filter(move |path| {
        let elsewhere = other_roots.iter().any(|dir| dir.ends_with('/') && path.starts_with(dir));
        path.ends_with(".rs") && !elsewhere
    })
}

impl Analysis {
    /// Whether a falsifier of a contract of schema 1 is more than a proposal.
    fn is_bound(&self) -> bool {
        self.dialect == Dialect::Schema1 && self.counts.falsifiers > self.counts.proposed
    }
}

impl File {
    /// The typed contract. Missing when it is no file of schema 1, or one with structural errors.
    #[must_use]
    pub fn contract(&self) -> Option<&Contract> {
        self.typed.get_or_init(|| self.read_again()?.contract).as_ref()
    }

    /// The values with their places. Missing when it is no file of schema 1.
    #[must_use]
    pub fn tree(&self) -> Option<&Tree> {
        self.parsed.get_or_init(|| self.read_again()?.tree).as_ref()
    }

    fn read_again(&self) -> Option<Loaded> {
        let is_typed = self.analysis.dialect == Dialect::Schema1 && self.analysis.outline.is_some();
        is_typed.then(|| load::read(self.source.clone()))
    }

    /// The stem of its name, which is the contract's id.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.source.path().file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }

    /// The start of its content.
    #[must_use]
    pub fn start(&self) -> Span {
        self.analysis.start
    }

    /// The bytes of its id, or its start when it names none.
    #[must_use]
    pub fn id_span(&self) -> Span {
        let outline = self.analysis.outline.iter();
        let id = outline.flat_map(|outline| outline.defined(Item::Contract)).next();
        id.map_or(self.start(), |definition| definition.span)
    }

    /// Where to point for the value at a JSON pointer; the start of the file when there is none.
    #[must_use]
    pub fn span(&self, pointer: &str) -> Span {
        self.tree().and_then(|tree| tree.at(pointer)).map_or(self.start(), Node::head)
    }

    /// The names that other files may refer to.
    fn shared_names(&self) -> impl Iterator<Item = (Item, &str, Span)> {
        let shared = |item| matches!(item, Item::Alias | Item::Falsifier);
        let outline = self.analysis.outline.as_ref();
        let defined = outline.into_iter().flat_map(|outline| &outline.definitions);
        // A contract's name is its file's, whatever else is wrong in it.
        std::iter::once((Item::Contract, self.stem(), self.id_span()))
            .chain(defined.filter(move |d| shared(d.item)).map(|d| (d.item, &*d.name, d.span)))
    }
}

/// The texts of files that are open in an editor, which count instead of those on the disk.
pub type Open = HashMap<PathBuf, String>;

/// A file, and what to keep of it if it is not in the cache.
struct Read {
    source: Source,
    analysis: Analysis,
    fresh: Option<Fresh>,
}

/// Judge one file alone, or take what is known of it: by its stamp, or by its bytes.
fn read(path: &Path, shown: &Path, cache: &Cache, open: &Open) -> Read {
    let edited = open.get(path);
    // Taken before the bytes, so that a change between the two shows.
    let stamp = if edited.is_none() { Stamp::of(path).unwrap_or_default() } else { Stamp::default() };
    if let Some(kept) = cache.unchanged(shown, &stamp) {
        let source = Source::unread(path, shown);
        // What is bound to tests is read anyway, and what is read is what was judged.
        if let Some(analysis) = cache::decode(kept, &source)
            && !analysis.is_bound()
        {
            return Read { source, analysis, fresh: None };
        }
    }
    let bytes = match edited {
        Some(text) => Ok(text.clone().into_bytes()),
        None => source::bytes(path),
    };
    let (decoded, digest) = match bytes {
        Err(error) => (Err(Source::refused(shown, &error)), None),
        Ok(bytes) => {
            let digest = Digest::of(&bytes);
            let decoded = Source::decode(shown, bytes);
            // Only what is text is ever kept.
            if let Ok(source) = &decoded
                && let Some((kept, stamped)) = cache.get(shown, &digest, &stamp)
                && let Some(analysis) = cache::decode(kept, source)
            {
                let again = !stamped && stamp.is_settled() && edited.is_none();
                let fresh = again.then(|| Fresh::again(stamp, digest, kept));
                return Read { source: source.clone(), analysis, fresh };
            }
            let digest = decoded.is_ok().then_some(digest);
            (decoded, digest)
        }
    };
    let (source, analysis) = analyse(load::judge(decoded));
    let fresh = digest.and_then(|digest| cache::encode(&source, stamp, digest, &analysis));
    // Of many files, few are shown; their texts would take most of the memory. Who has no cache on the disk edits what
    // was judged.
    let is_dropped = cache.is_stored() && fresh.is_some() && edited.is_none() && !analysis.is_bound();
    let source = if is_dropped { Source::unread(path, shown) } else { source };
    Read { source, analysis, fresh }
}

/// Judge one file alone.
fn analyse(loaded: Loaded) -> (Source, Analysis) {
    let mut counts = Counts { files: 1, ..Counts::default() };
    let start = Span::new(loaded.source.start(), loaded.source.start());
    let Some(tree) = &loaded.tree else {
        counts.unreadable = 1;
        let Loaded { source, dialect, findings, .. } = loaded;
        return (source, Analysis { dialect, start, outline: None, findings, allows: Vec::new(), counts });
    };
    match loaded.dialect {
        Dialect::Schema1 => counts.schema1 = 1,
        Dialect::Legacy => counts.legacy = 1,
    }
    count(&tree.root, loaded.dialect, &mut counts);
    let outline = Outline::of(tree, loaded.dialect);
    let (allows, malformed) = lint::allow::read(&loaded.source, tree, loaded.dialect);
    let mut found = lint::check_file(&loaded, &outline);
    found.extend(malformed);
    let Loaded { source, dialect, mut findings, .. } = loaded;
    findings.append(&mut found);
    (source, Analysis { dialect, start, outline: Some(outline), findings, allows, counts })
}

/// Sort the falsifiers of a file by what binds them.
fn count(root: &Node, dialect: Dialect, counts: &mut Counts) {
    for falsifier in root.get("falsification_tests").map(Node::items).unwrap_or_default() {
        counts.falsifiers += 1;
        let has = |key: &str| falsifier.get(key).is_some();
        let kind = match dialect {
            Dialect::Schema1 if has("test") => &mut counts.tests,
            Dialect::Schema1 if has("review") => &mut counts.reviews,
            Dialect::Schema1 if has("command") => &mut counts.commands,
            Dialect::Schema1 if has("proposed") => &mut counts.proposed,
            Dialect::Legacy if falsifier.get("test").is_some_and(is_command) => &mut counts.tests,
            _ => &mut counts.unbound,
        };
        *kind += 1;
    }
}

/// Whether a legacy `test:` starts with a line that names one test.
fn is_command(test: &Node) -> bool {
    matches!(&test.data, Data::Text(text) if contract::legacy::command(text).is_some())
}

/// Files that may refer to each other.
#[derive(Default)]
struct Scope {
    /// Each file, and whether it was named; one that was found twice stands here twice.
    files: Vec<(PathBuf, bool)>,
    unlisted: Vec<Diagnostic>,
}

impl Scope {
    fn add(&mut self, listing: Listing, named: bool) {
        self.files.extend(listing.files.into_iter().map(|file| (file, named)));
        if named {
            self.unlisted.extend(listing.findings);
        }
    }

    /// Each file once, by path.
    fn sorted(mut self) -> Vec<(PathBuf, bool)> {
        self.files.sort_by(|(a, _), (b, _)| root::order(a, b));
        self.files.dedup_by(|(later, named), (kept, kept_named)| {
            let same = later.as_os_str() == kept.as_os_str();
            *kept_named |= same && *named;
            same
        });
        self.files
    }
}

/// A path in one spelling, without `.` and doubled separators.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Sort the named paths into the contract root and folders outside of it.
fn scopes(context: &Context, root: Option<&Root>, paths: &[PathBuf]) -> Result<Vec<Scope>, Error> {
    let base = root.map_or(context.cwd(), Root::dir);
    if paths.is_empty() {
        let root = context.root().map(|_| root)?;
        let mut scope = Scope::default();
        if let Some(root) = root.filter(|root| root.contracts().is_dir()) {
            scope.add(root::list(&plain(root.contracts()), base), true);
        }
        return Ok(vec![scope]);
    }
    let mut scopes: BTreeMap<PathBuf, Scope> = BTreeMap::new();
    for path in paths {
        let full = plain(&context.cwd().join(path));
        let is_dir = full.metadata().map_err(Error::file(path))?.is_dir();
        let inside = root.filter(|root| full.starts_with(root.contracts()));
        let folder = match inside {
            Some(root) => plain(root.contracts()),
            None if is_dir => full.clone(),
            None => full.parent().unwrap_or(&full).to_owned(),
        };
        let scope = scopes.entry(folder.clone()).or_default();
        scope.add(root::list(&folder, base), false);
        if is_dir {
            scope.add(root::list(&full, base), true);
        } else {
            scope.files.push((full, true));
        }
    }
    Ok(scopes.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_without_a_cache_on_the_disk_is_the_one_that_was_judged() {
        let dir = tempfile::tempdir().unwrap();
        let (judged, later) = ("schema: 1\n", "schema: 1 # changed since\n");
        let place = dir.path().join("contracts/a-v1.yaml");
        std::fs::create_dir(dir.path().join("contracts")).unwrap();
        std::fs::write(dir.path().join("pv.toml"), "pv = \"0.1\"\n").unwrap();
        let context = Context::at(dir.path(), Date::parse("2026-11-22").unwrap());
        let stored = || Cache::load(Some(dir.path().join("contracts.cache")));
        for (mut cache, text) in [(Cache::default(), judged), (stored(), later)] {
            std::fs::write(&place, judged).unwrap();
            let repository = context.repository().unwrap();
            let read = Workspace::of(&context, repository, &[], &mut cache, &Open::default()).unwrap();
            std::fs::write(&place, later).unwrap();
            assert_eq!(read.files[0].source.text(), text);
        }
    }
}
