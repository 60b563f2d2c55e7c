//! Claim hashes: golden values that old evidence depends on, and what changes them.

use contract::binding::Target;
use contract::hash::{self, Digest};
use contract::load;
use contract::schema::{Falsifier, Tests};
use contract::source::Source;

fn falsifiers() -> Vec<Falsifier> {
    let text = include_str!("data/moe-router-v1.yaml");
    let loaded = load::read(Source::new("moe-router-v1.yaml", text));
    loaded.contract.expect("the example reads").falsification_tests
}

/// Made with another implementation: Python's json.dumps with sorted keys, 1e-6 written as ECMAScript does, and
/// hashlib.sha256.
#[test]
fn golden() {
    let all = falsifiers();
    let hex = |digest: Digest| digest.to_string();
    assert_eq!(
        hex(hash::claim(&all[0]).unwrap()),
        "sha256:2c9ea1a20b4e79c8422c7c5fef0140432c62ee8f86d31c7c1a641f1ce12a9165"
    );
    assert_eq!(
        hex(hash::claim(&all[1]).unwrap()),
        "sha256:418100470460e68b27987913c602bcc0c4142d0da5c78e886342d13dc941a05c"
    );
    assert_eq!(
        hex(hash::statement(&all[0]).unwrap()),
        "sha256:5b78ad9cabfb15cbe9f43ab2053c7fd1e9b81b0c712b6ff8c4611b48ccd2e52b"
    );
}

#[test]
fn a_claim_is_pinned_by_what_is_measured_and_by_nothing_else() {
    let base = falsifiers().remove(0);
    let of = |change: &dyn Fn(&mut Falsifier)| {
        let mut changed = base.clone();
        change(&mut changed);
        (hash::claim(&changed).unwrap(), hash::statement(&changed).unwrap())
    };
    let (claim, statement) = of(&|_| {});
    let test = |f: &mut Falsifier, change: &dyn Fn(&mut contract::binding::TestBinding)| match &mut f.test {
        Some(Tests::One(test)) => change(test),
        other => panic!("{other:?}"),
    };
    for keeps_both in [
        of(&|f| f.notes = Some("n".to_owned())),
        of(&|f| f.hosts.push("gpu".to_owned())),
        of(&|f| f.status = None),
        of(&|f| test(f, &|t| t.timeout_s = None)),
    ] {
        assert_eq!(keeps_both, (claim, statement));
    }
    for changes_claim in [
        of(&|f| f.claim.as_mut().unwrap().bound.as_mut().unwrap().at_most = Some(2e-6)),
        of(&|f| f.claim.as_mut().unwrap().over.clear()),
        of(&|f| test(f, &|t| t.path = Some("router::other".to_owned()))),
        of(&|f| test(f, &|t| t.target = Target::Lib)),
        of(&|f| f.test = None),
    ] {
        assert_ne!(changes_claim.0, claim);
        assert_eq!(changes_claim.1, statement);
    }
    let words = of(&|f| f.rule.push('!'));
    assert_eq!(words.0, claim);
    assert_ne!(words.1, statement);
}

#[test]
fn shorthand_and_long_form_are_the_same_claim() {
    let mut short = falsifiers().remove(1);
    let before = hash::claim(&short).unwrap();
    let long = short.test.as_ref().unwrap().bindings().unwrap();
    short.test = Some(Tests::Many(long));
    assert_eq!(hash::claim(&short).unwrap(), before);
}

#[test]
fn digests_read_back() {
    let digest = Digest::of(b"x");
    assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
    for bad in ["", "sha256:", "sha256:zz", &digest.to_string()[..70], &digest.to_string().to_uppercase()] {
        assert!(Digest::parse(bad).is_err(), "{bad}");
    }
}
