use contract::Loaded;
use crate::lint::{Check, Sink};

rule! {
    /// An implementation stage accepts no falsifier.
    ///
    /// ## Why is this bad?
    /// It can be called shipped by anybody at any time: nothing has to hold for it.
    ///
    /// ## Example
    /// ```yaml
    /// - {id: M-ROUTER-1, description: exact router, accepts: []}
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// - {id: M-ROUTER-1, description: exact router, accepts: [FALSIFY-ROUTER-001]}
    /// ```
    "idle-stage", Warning, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    let Some(contract) = &loaded.contract else { return };
    for (index, stage) in contract.implementation_stages.iter().enumerate() {
        if stage.accepts.is_empty() {
            let message = format!("stage `{}` accepts no falsifier", stage.id);
            sink.at(loaded, &format!("/implementation_stages/{index}/accepts"), message);
        }
    }
}
