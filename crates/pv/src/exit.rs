//! The exit codes, which are part of the surface of `pv`.

use std::process::ExitCode;

/// How a command ended. Declared from the mildest to the worst, so that `max` combines several verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Something was checked and it holds: 0.
    Holds,
    /// Nothing was checked: 2.
    Nothing,
    /// A finding at error level, or a claim that does not hold: 1.
    Findings,
    /// Wrong usage, or a file that could not be read or written: 3.
    Usage,
}

impl Exit {
    /// The code that the process returns.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Findings => 1,
            Self::Nothing => 2,
            Self::Usage => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn usage_beats_findings_beats_nothing() {
        let order = [Exit::Usage, Exit::Findings, Exit::Nothing, Exit::Holds];
        assert!(order.is_sorted_by(|a, b| a > b));
        assert_eq!(order.map(Exit::code), [3, 1, 2, 0]);
    }
}
