//! One process: started in a group of its own, so that whatever it starts ends with it, and waited for until it
//! ends, its time is over, or the run is interrupted.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a process is looked at. A test process takes some milliseconds to start.
const PAUSE: Duration = Duration::from_millis(3);

/// Of the output of a process, at most so many bytes at its end are kept.
const KEPT: u64 = 64 << 10;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed after its time was over.
    TimedOut(Duration),
    /// It was killed because the run was interrupted.
    Interrupted,
    /// On another machine, which brought back what it staged.
    Elsewhere,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "its process ended with {status}"),
            Self::TimedOut(limit) => write!(f, "it did not end within {} s", limit.as_secs()),
            Self::Interrupted => f.write_str("the run was interrupted"),
            Self::Elsewhere => f.write_str("it ran on another machine"),
        }
    }
}

/// Runs a command to its end. Both of its outputs go into `output`, in the order they were written.
pub(super) fn run(
    mut command: Command,
    output: &Path,
    limit: Duration,
    interrupted: &AtomicBool,
) -> io::Result<(Ended, String)> {
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(output)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file.try_clone()?);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    let ended = wait(&mut child, limit, interrupted)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(KEPT)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let cut = if length > KEPT { "[...]\n" } else { "" };
    Ok((ended, format!("{cut}{}", String::from_utf8_lossy(&bytes))))
}

fn wait(child: &mut Child, limit: Duration, interrupted: &AtomicBool) -> io::Result<Ended> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            // What it left running in its group could still write into the records of this run.
            kill_group(child);
            return Ok(Ended::Exited(status));
        }
        let over = if interrupted.load(Ordering::Relaxed) {
            Some(Ended::Interrupted)
        } else {
            (start.elapsed() >= limit).then_some(Ended::TimedOut(limit))
        };
        if let Some(ended) = over {
            kill_group(child);
            // The group may be gone already; the child itself is ours to wait for.
            let _ = child.kill();
            child.wait()?;
            return Ok(ended);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(unix)]
fn kill_group(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    // A group without members is no group: the call then fails, and nothing is left to end.
    let _ = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .map(|group| kill_process_group(group, Signal::KILL));
}

#[cfg(not(unix))]
fn kill_group(_: &Child) {}
