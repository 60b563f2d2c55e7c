use crate::lint::Check;

rule! {
    /// A baseline holds a finding that is found no more.
    ///
    /// ## Why is this bad?
    /// The finding could come back without being seen: a baseline is to become shorter with each repair.
    ///
    /// ## Example
    /// `pv lint --baseline pv-baseline.json`, where the file names a finding that was repaired.
    ///
    /// ## Instead
    /// `pv lint --baseline pv-baseline.json --update-baseline`, which removes such entries and adds none.
    "stale-baseline", Error, &[Check::Baseline]
}
