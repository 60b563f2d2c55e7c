//! The pages under `docs/` that show commands with their output: each command is run and says what the page says.

use crate::data;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs the commands of a page's `console` blocks, one after the other in one folder. A line of three dots stands for any
/// lines.
fn replay(page: &str, dir: &Path) -> usize {
    let mut commands = 0;
    for block in page.split("```console\n").skip(1).filter_map(|b| b.split("```").next()) {
        for session in block.split("$ apr ").skip(1) {
            let (command, expected) = session.split_once('\n').unwrap_or((session, ""));
            let args: Vec<&str> = command.split_whitespace().collect();
            let out = Command::new(env!("CARGO_BIN_EXE_apr")).args(&args).current_dir(dir).output().unwrap();
            let said = [out.stdout, out.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            assert!(
                says(expected.trim_end(), said.trim_end()),
                "$ apr {command}\n{said}\nthe page has\n{expected}"
            );
            commands += 1;
        }
    }
    commands
}

/// Whether a text is what a page says, dots for lines left out.
fn says(page: &str, text: &str) -> bool {
    let mut rest: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut any = false;
    for line in page.lines().map(str::trim_end) {
        if line == "..." {
            any = true;
            continue;
        }
        let Some(at) = rest.iter().position(|l| *l == line).filter(|at| any || *at == 0) else {
            return false;
        };
        rest.drain(..=at);
        any = false;
    }
    any || rest.is_empty()
}

#[test]
fn the_hunt_is_what_the_commands_say() {
    assert!(says("a\n...\nc", "a\nb\nb\nc") && says("...", "") && says("a", "a"));
    assert!(!says("a\nc", "a\nb\nc") && !says("a", "a\nb") && !says("...\nc", "a"));
    let dir = tempfile::tempdir().unwrap();
    let docs = data::path("../../docs");
    let page = fs::read_to_string(docs.join("debugging.md")).unwrap();
    // What the page takes from elsewhere.
    for (from, name) in [
        ("capsules/flipped-bit.capsule", "flipped-bit.capsule"),
        ("tiny.q4_k_m.gguf", "tiny.q4_k_m.gguf"),
        ("transformers/tiny.q4_k_m.safetensors", "transformers.safetensors"),
        ("../../scripts/qwen3moe.map.json", "qwen3moe.map.json"),
    ] {
        fs::copy(data::path(from), dir.path().join(name)).unwrap();
    }
    assert!(replay(&page, dir.path()) >= 6);
    let drawn = fs::read_to_string(dir.path().join("heat.svg")).unwrap();
    assert!(
        drawn == fs::read_to_string(docs.join("heat.svg")).unwrap(),
        "the picture is not that of the page's command"
    );
}
