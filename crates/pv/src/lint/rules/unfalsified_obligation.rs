use contract::Loaded;
use contract::id::ObligationId;
use crate::lint::{Check, Sink};
use std::collections::HashSet;

rule! {
    /// No falsifier bears on a proof obligation.
    ///
    /// ## Why is this bad?
    /// The obligation is stated and never put to the test.
    ///
    /// ## Example
    /// ```yaml
    /// proof_obligations:
    /// - {id: OBL-ROUTER-SUM, type: invariant, property: weights sum to one}
    /// falsification_tests:
    /// - {id: FALSIFY-ROUTER-001, obligations: []}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// - {id: FALSIFY-ROUTER-001, obligations: [OBL-ROUTER-SUM]}
    /// ```
    /// An obligation needs an `id` for that.
    "unfalsified-obligation", Warning, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    let Some(contract) = &loaded.contract else { return };
    let cited: HashSet<&ObligationId> =
        contract.falsification_tests.iter().flat_map(|falsifier| &falsifier.obligations).collect();
    for (index, obligation) in contract.proof_obligations.iter().enumerate() {
        let pointer = format!("/proof_obligations/{index}");
        match &obligation.id {
            None => {
                sink.at(loaded, &pointer, "no falsifier can bear on an obligation without `id`");
            }
            Some(id) if !cited.contains(id) => {
                sink.at(loaded, &format!("{pointer}/id"), format!("no falsifier bears on obligation `{id}`"))
                    .help(format!("write `obligations: [{id}]` in the falsifier that does"));
            }
            Some(_) => {}
        }
    }
}
