use contract::Loaded;
use contract::walk::Dialect;
use contract::yaml::{Data, Entry};
use crate::lint::{Check, Sink};

rule! {
    /// A legacy `verification_summary` counts something that the file does not hold.
    ///
    /// ## Why is this bad?
    /// The summary is what people quote.
    ///
    /// ## Example
    /// ```yaml
    /// proof_obligations: [{type: invariant, property: sums to one}]
    /// verification_summary: {total_obligations: 6}
    /// ```
    ///
    /// ## Instead
    /// Correct the number, or remove the summary: `pv status` counts.
    "false-count", Error, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    let Some(tree) = loaded.tree.as_ref().filter(|_| loaded.dialect == Dialect::Legacy) else { return };
    let Some(summary) = tree.root.get("verification_summary") else { return };
    let real = tree.root.get("proof_obligations").map_or(0, |list| list.items().len());
    for Entry { key, value } in summary.entries() {
        let Data::Int(said) = value.data else { continue };
        let wrong = match &*key.text {
            "total_obligations" => usize::try_from(said) != Ok(real),
            "proven" | "l2_property_tested" | "l3_kani_proved" | "l4_lean_proved" | "l4_not_applicable" => {
                usize::try_from(said).is_ok_and(|said| said > real)
            }
            _ => false,
        };
        if wrong {
            sink.add(&loaded.source, value.span, format!("`{}` is {said}", key.text))
                .label(format!("the file has {real} obligations"));
        }
    }
}
