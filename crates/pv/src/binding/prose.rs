//! States and defects as sentences, for findings and for the reasons of a status.

use super::{Defect, State, TestId};
use contract::binding::TestBinding;
use contract::suggest::any_of;
use std::fmt;

/// What is wrong with a state, as a sentence about the declared binding; `None` when a test is bound.
#[must_use]
pub fn trouble(state: &State, declared: Option<&TestBinding>) -> Option<String> {
    let named = declared.map(ToString::to_string).unwrap_or_default();
    Some(match state {
        State::Bound | State::BoundOnlyUnder { .. } | State::UnlistableHere { .. } => return None,
        State::BoundButIgnored => format!("test `{named}` carries #[ignore] and the binding does not say so"),
        State::Ambiguous { candidates } => {
            let paths = candidates.iter().map(|test| test.path.as_str());
            format!(
                "`{named}` is no test's path, and ends those of {}",
                any_of(paths).replace(" or ", " and ")
            )
        }
        State::Missing { what, note, .. } => {
            let what = what.name();
            let note = note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            format!("no compiled {what} for `{named}`{note}")
        }
        State::WrongTarget { found } => {
            let places: Vec<_> =
                found.iter().map(|test| format!("{} of {}", test.target, test.package)).collect();
            format!("`{named}` is not where the binding says, but in {}", places.join(" and "))
        }
        State::Unreadable { reason } => reason.clone(),
        State::Unresolved { reason } => format!("`{named}` is unresolved: {reason}"),
    })
}

/// The text to write instead, where it is known.
#[must_use]
pub fn remedy(state: &State) -> Option<String> {
    match state {
        State::Missing { meant: Some(meant), .. } => Some(format!("did you mean `{meant}`?")),
        State::WrongTarget { found } => {
            let TestId { package, target, .. } = found.first()?;
            Some(format!("write package: {package}, target: \"{target}\""))
        }
        State::BoundButIgnored => Some("write ignored: true, or take #[ignore] away".to_owned()),
        State::Ambiguous { .. } => Some("write the whole path".to_owned()),
        _ => None,
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unattributed { test, carries } if carries.is_empty() => {
                write!(f, "test `{test}` carries no #[falsifier] of this id")
            }
            Self::Unattributed { test, carries } => {
                let carries = any_of(carries.iter().map(contract::id::FalsifierId::as_str));
                write!(f, "test `{test}` carries #[falsifier] of {carries} and not of this id")
            }
            Self::Vacuous { test, vacuity } => write!(f, "test `{test}` cannot fail: {vacuity}"),
            Self::BoundTwice { test, other } => write!(f, "test `{test}` is bound by `{other}` too"),
            Self::NotIgnored { test } => {
                write!(f, "the binding says ignored: true, and test `{test}` carries no #[ignore]")
            }
            Self::TooFew { found, at_least } => {
                write!(f, "{found} test(s) start with the prefix, at least {at_least} are wanted")
            }
            Self::Dark { host, obstacles } if obstacles.is_empty() => {
                write!(f, "no profile is for host class `{host}`")
            }
            Self::Dark { host, obstacles } => {
                let each: Vec<_> =
                    obstacles.iter().map(|(profile, why)| format!("profile `{profile}`: {why}")).collect();
                write!(f, "no profile runs it on host class `{host}`: {}", each.join("; "))
            }
        }
    }
}
