//! Any bytes as a contract file: judged at places that lie in it, the same twice, and never an internal error.
#![no_main]

use contract::load;
use contract::outline::Outline;
use contract::source::Source;
use libfuzzer_sys::fuzz_target;
use pv::lint;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let judge = || load::judge(Source::decode(Path::new("x.yaml"), bytes.to_vec()));
    let loaded = judge();
    // A tree without a finding that serde refuses is a defect of the walk.
    assert!(loaded.findings.iter().all(|finding| finding.rule != "internal-error"), "{:?}", loaded.findings);
    assert!(loaded.tree.is_some() || !loaded.findings.is_empty(), "refused without a word");
    let mut findings = loaded.findings.clone();
    if let Some(tree) = &loaded.tree {
        let outline = Outline::of(tree, loaded.dialect);
        findings.extend(lint::check_file(&loaded, &outline));
        for definition in &outline.definitions {
            assert!(definition.span.end as usize <= loaded.source.text().len());
        }
        let (_, malformed) = lint::allow::read(&loaded.source, tree, loaded.dialect);
        findings.extend(malformed);
    }
    for finding in &findings {
        let span = finding.location.span.range();
        assert!(loaded.source.text().get(span).is_some(), "{finding:?}");
        assert!(finding.location.start <= finding.location.end, "{finding:?}");
        for edit in finding.fix.iter().flat_map(|fix| &fix.edits) {
            assert!(loaded.source.text().get(edit.span.range()).is_some(), "{finding:?}");
        }
    }
    assert_eq!(judge().findings, loaded.findings);
});
