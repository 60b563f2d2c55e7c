//! How a run is watched: a bar on a terminal, and below it whatever failed, as soon as it did.

use super::{Done, Watch};
use contract::evidence::Outcome;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::OnceLock;

/// A progress bar on the standard error; on anything but a terminal only failures are printed.
#[derive(Debug, Default)]
pub struct Progress {
    bar: std::sync::Mutex<Option<ProgressBar>>,
}

fn style() -> ProgressStyle {
    static STYLE: OnceLock<ProgressStyle> = OnceLock::new();
    STYLE
        .get_or_init(|| {
            ProgressStyle::with_template("{bar:30} {pos} of {len} in {elapsed}  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
        })
        .clone()
}

impl Progress {
    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = &*super::locked(&self.bar) {
            act(bar);
        }
    }
}

impl Watch for Progress {
    fn begin(&self, tasks: usize) {
        let bar = ProgressBar::new(tasks as u64).with_style(style());
        *super::locked(&self.bar) = Some(bar);
    }

    fn done(&self, done: &Done) {
        self.with(|bar| {
            bar.set_message(done.falsifier.to_string());
            bar.inc(1);
            // Under a fault red is what is hoped for.
            let show = done.fault.is_none()
                && matches!(done.outcome, Outcome::Failed { .. } | Outcome::Error { .. });
            if show {
                let head = super::text::line(done);
                bar.suspend(|| eprintln!("{head}\n{}", indented(&done.output)));
            }
        });
    }

    fn end(&self) {
        self.with(ProgressBar::finish_and_clear);
    }
}

fn indented(output: &str) -> String {
    output.lines().map(|line| format!("    {line}\n")).collect()
}
