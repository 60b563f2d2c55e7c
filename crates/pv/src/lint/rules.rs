//! The table of rules. A row is the name of a file in this folder.

/// Declare a rule: its page as a doc comment, its name, what it weighs, what it looks at.
macro_rules! rule {
    ($(#[doc = $doc:literal])+ $id:literal, $severity:ident, $checks:expr) => {
        /// The row of the table.
        pub(super) const RULE: $crate::lint::Rule = $crate::lint::Rule {
            id: $id,
            severity: contract::diagnostic::Severity::$severity,
            doc: concat!($($doc, "\n"),+),
            checks: $checks,
        };
    };
}

macro_rules! table {
    ($($module:ident,)*) => {
        $(mod $module;)*
        /// Every rule, once.
        pub static RULES: &[super::Rule] = &[$($module::RULE,)*];
    };
}

table! {
    unreadable_file,
    encoding,
    limit,
    syntax,
    recursive_alias,
    several_documents,
    empty_document,
    link_loop,
    duplicate_key,
    unknown_key,
    wrong_type,
    missing_key,
    empty_value,
    unknown_value,
    out_of_range,
    conflicting_keys,
    ambiguous_boolean,
    invalid_id,
    invalid_date,
    invalid_version,
    invalid_test,
    invalid_need,
    invalid_digest,
    misnamed_contract,
    contract_without_falsifier,
    unbound_falsifier,
    claimless_falsifier,
    unbounded_claim,
    unfit_bound,
    unexplained_bound,
    claim_without_reference,
    unmeasurable_metric,
    unfalsified_obligation,
    idle_stage,
    faultless_falsifier,
    ignored_without_needs,
    overclaimed_status,
    prose_test,
    decorated_reference,
    false_count,
    duplicate_id,
    dangling_reference,
    cycle,
    missing_file,
    dangling_symbol,
    undeclared_name,
    dark_falsifier,
    unplanted_fault,
    uncaught_fault,
    stale_waiver,
    expired_review,
    shared_test,
    missing_test,
    ambiguous_test,
    ignored_test,
    vacuous_test,
    unattributed_test,
    thin_prefix,
    generated_test,
    stray_attribute,
    unresolved_test,
    partly_bound_test,
    malformed_allow,
    unused_allow,
    stale_baseline,
}
