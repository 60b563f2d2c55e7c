//! "Did you mean": the accepted name that a typed one most likely stands for.

/// The candidate nearest to `typed`, if one is near enough to be meant: the same up to case and separators, or
/// at most a third of its characters (and at most four) inserted, dropped, replaced or swapped.
#[must_use]
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    within((typed.chars().count() / 3).clamp(1, 4), typed, candidates)
}

/// The candidate that `typed` is a typing error of: at most two characters inserted, dropped, replaced or
/// swapped, one in a short word. Where unknown names are common, only this tells an error from a name.
#[must_use]
pub fn typo_of<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    within(if typed.chars().count() < 6 { 1 } else { 2 }, typed, candidates)
}

fn within<'a>(limit: usize, typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = normal(typed);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != typed)
        .filter(|candidate| candidate.len().abs_diff(typed.len()) <= limit + 8)
        .filter_map(|candidate| {
            let other = normal(candidate);
            let distance = if plain == other { 0 } else { strsim::damerau_levenshtein(&plain, &other) };
            (distance <= limit).then_some((distance, candidate))
        })
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// Names differ in case and in `-`, `_` and spaces more often than in letters.
fn normal(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).take(128).collect()
}

/// A list as prose: "`a`, `b` or `c`".
#[must_use]
pub fn any_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match words.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{any_of, nearest, typo_of};

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(any_of(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(any_of(["a"]), "`a`");
        assert_eq!(any_of([]), "nothing");
    }

    #[test]
    fn a_name_of_its_own_is_no_typing_error() {
        let keys = ["enforcement", "kind", "falsification_tests"];
        assert_eq!(typo_of("type_enforcement", keys), None);
        assert_eq!(typo_of("find", keys), Some("kind"));
        assert_eq!(typo_of("falsification_test", keys), Some("falsification_tests"));
    }

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let keys = ["id", "rule", "prediction", "if_fails", "falsification_tests"];
        for (typed, meant) in [
            ("if_fail", Some("if_fails")),
            ("iffails", Some("if_fails")),
            ("If-Fails", Some("if_fails")),
            ("falsification_test", Some("falsification_tests")),
            ("predicition", Some("prediction")),
            ("ids", Some("id")),
            ("rule", None),
            ("tolerance", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, keys), meant, "{typed}");
        }
    }
}
