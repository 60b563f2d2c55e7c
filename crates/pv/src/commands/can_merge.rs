//! `pv can-merge`: whether the committed evidence suffices to merge, and what is missing if not.

use super::plan::{Scope, Survey};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::status::verdict::{self, Failure};
use clap::ValueEnum;
use contract::id::FalsifierId;
use contract::status::FalsifierStatus;
use contract::status::derive::Lack;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;

/// Arguments of `pv can-merge`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Yes, with exit code 0, when each falsifier is discharged, reviewed or waived by committed evidence; what its contract
calls proposed is counted apart, and fails only below the floor of pv.toml. No, with exit code 1, lists what is missing.

Example: pv can-merge --since origin/main")]
pub struct Args {
    /// What is looked at
    #[command(flatten)]
    pub scope: Scope,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// A falsifier that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Missing {
    falsifier: FalsifierId,
    status: String,
    lacks: Vec<String>,
}

/// Run `pv can-merge`.
///
/// # Errors
/// When there is no root, pv.toml is wrong, something cannot be read, or there is no such id or revision.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Some(survey) = Survey::of(&args.scope, context)? else { return Ok(Exit::Findings) };
    let status = &survey.gathered.status;
    let declared = status.falsifiers.declared;
    let mut failures = verdict::failures(status, &survey.settings.gate);
    failures.retain(|failure| survey.asked.contains(&failure.falsifier));
    let failing: BTreeSet<&FalsifierId> = failures.iter().map(|failure| &failure.falsifier).collect();
    let mut missing = Vec::new();
    let mut proposed = 0;
    for report in status.contracts.iter().flat_map(|contract| &contract.falsifiers) {
        let derived = &report.derived;
        let settled = derived.status.satisfied() || derived.status == FalsifierStatus::Waived;
        if !survey.asked.contains(&report.id) || settled || failing.contains(&report.id) {
            continue;
        }
        if derived.lacks.iter().any(|lack| matches!(lack, Lack::Proposed { .. })) {
            proposed += 1;
            continue;
        }
        missing.push(Missing {
            falsifier: report.id.clone(),
            status: derived.label(),
            lacks: derived.lacks.iter().map(ToString::to_string).collect(),
        });
    }
    let broken = survey.gathered.broken();
    let defects = survey.gathered.defects();
    let holds = failures.is_empty() && missing.is_empty() && broken.is_empty() && defects.is_empty();
    let asked = survey.asked.len();
    let text = match args.format {
        Format::Text => {
            let mut text = text(&failures, &missing);
            for file in &broken {
                let _ = writeln!(text, "{file} has errors (pv validate)");
            }
            for defect in defects {
                let _ = writeln!(text, "{}: {}", defect.file, defect.reason);
            }
            let answer = if holds { "yes" } else { "no" };
            let seconds: f64 = survey.plan().seconds_by_host().values().sum();
            let _ = writeln!(
                text,
                "{answer}: {} of {asked} falsifiers lack evidence, {} fail a check, {proposed} are proposed; \
                 {asked} of {declared} declared were looked at",
                missing.len(),
                failures.len(),
            );
            if !holds {
                let _ = writeln!(text, "`pv plan` tells what to run, about {:.1} min", seconds / 60.0);
            }
            text
        }
        Format::Json => {
            let value = json!({
                "schema": 1, "pv": env!("CARGO_PKG_VERSION"), "canMerge": holds, "declared": declared,
                "asked": asked, "proposed": proposed, "missing": missing, "failures": failures,
                "broken": broken, "defects": defects,
            });
            let mut text = serde_json::to_string_pretty(&value).map_err(|e| Error::Output(e.into()))?;
            text.push('\n');
            text
        }
    };
    let mut out = context.stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(match (holds, declared) {
        (false, _) => Exit::Findings,
        (true, 0) => Exit::Nothing,
        (true, _) => Exit::Holds,
    })
}

fn text(failures: &[Failure], missing: &[Missing]) -> String {
    let mut text = String::new();
    for failure in failures {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{failure}");
    }
    for Missing { falsifier, status, lacks } in missing {
        let _ = writeln!(text, "{falsifier} is {status}");
        for lack in lacks {
            let _ = writeln!(text, "    {lack}");
        }
    }
    text
}
