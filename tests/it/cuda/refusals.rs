//! What is missing for a pass on the device is said in one line, with exit code 3; `auto` says it and runs on the CPU.

use super::options;
use clap::Parser as _;
use falsify::{Claim, falsifier};
use model::cli::Cli;
use model::cli::exit::Exit;
use std::path::Path;
use std::process::{Command, Output};

/// Arguments of `apr` for the child below, a line each.
const ARGUMENTS: &str = "APR_ARGUMENTS";

/// `apr` in a process of its own, because the simulator and the loader decide once per process. It is this test
/// executable, so that a host without cargo can run it, too.
#[test]
#[ignore = "the child of the falsifier beside it"]
#[expect(clippy::disallowed_methods, reason = "the harness has no other way to pass on an exit code")]
fn child() {
    let Some(arguments) = std::env::vars().find(|(name, _)| name == ARGUMENTS).map(|(_, value)| value) else {
        return;
    };
    let cli = Cli::try_parse_from(arguments.lines()).expect("arguments");
    let code = match cli.command.run() {
        Ok(Exit::Holds) => 0,
        Ok(_) => 1,
        Err(error) => {
            eprintln!("apr: {error}");
            3
        }
    };
    std::process::exit(code);
}

fn apr(backend: &str, libraries: &Path, variable: Option<(&str, &str)>) -> Output {
    let model = falsify::data("tiny.q4_k_m.gguf").unwrap();
    let arguments = [
        "apr",
        "run",
        model.to_str().unwrap(),
        "--tokens",
        "5,6,7",
        "-n",
        "2",
        "--ignore-end",
        "--quiet",
        "--precision",
        "exact",
        "--backend",
        backend,
        "--cuda-libs",
        libraries.to_str().unwrap(),
    ];
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cuda::refusals::child", "--ignored", "--nocapture", "--quiet"])
        .env(ARGUMENTS, arguments.join("\n"))
        .envs(variable)
        .output()
        .expect("the child starts")
}

#[falsifier("FALSIFY-CUDA-REFUSALS-001")]
fn what_is_missing_is_said_in_one_line(claim: &mut Claim) {
    let libraries = crate::simulator::folder();
    let dir = tempfile::tempdir().unwrap();
    let driver_alone = dir.path().join("driver");
    std::fs::create_dir(&driver_alone).unwrap();
    std::os::unix::fs::symlink(libraries.join("libcuda.so.1"), driver_alone.join("libcuda.so.1")).unwrap();
    let none = dir.path().join("none");
    std::fs::create_dir(&none).unwrap();
    // What is missing, where the libraries are, what the simulated device is, and what the line has to name.
    let cases = [
        ("driver", none.as_path(), None, "no CUDA driver"),
        ("compiler", driver_alone.as_path(), None, "libnvrtc"),
        ("device", libraries, Some(("CUDA_SIM_DEVICES", "0")), "no device"),
        ("memory", libraries, Some(("CUDA_SIM_MEMORY", "100000")), "bytes on the device"),
        ("architecture", libraries, Some(("CUDA_SIM_ARCH", "75")), "sm_75"),
    ];
    for (missing, libraries, variable, named) in cases {
        let real = falsify::gpu().is_some() && matches!(missing, "driver" | "compiler");
        if real {
            // The host's own libraries would be found.
            continue;
        }
        for backend in ["cuda", "auto"] {
            let out = apr(backend, libraries, variable);
            let lines: Vec<String> =
                String::from_utf8_lossy(&out.stderr).lines().map(str::to_owned).collect();
            let (code, says) = match backend {
                "cuda" => (3, "apr: "),
                _ => (0, "auto: running on the CPU, because: "),
            };
            let one = lines.len() == 1 && lines[0].starts_with(says) && lines[0].contains(named);
            claim
                .at("missing", missing)
                .at("backend", backend)
                .on(format!("{:?}: {lines:?}", out.status.code()))
                .check(
                    &format!("exit code {code}, one line that names it"),
                    one && out.status.code() == Some(code),
                );
        }
    }
}

#[falsifier("FALSIFY-CUDA-REFUSALS-002")]
fn a_device_that_computes_something_else_is_refused_after_loading(claim: &mut Claim) {
    use model::backend::Precision;
    use model::session::{Device, Model, Options, Session};
    let _alone = super::alone();
    let model = Model::open(&falsify::data("tiny.q4_k_m.gguf").unwrap()).unwrap();
    // A head that was damaged on its way: the same file with another head.
    let mut bytes = std::fs::read(falsify::data("tiny.q4_k_m.gguf").unwrap()).unwrap();
    let head = model.file().tensors.iter().find(|t| t.name == "output.weight").expect("a head");
    bytes[head.bytes.clone()].rotate_left(210);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.gguf");
    std::fs::write(&path, bytes).unwrap();
    let damaged = Model::open(&path).unwrap();
    for precision in Precision::ALL {
        let options = Options { device: Device::Cuda, cuda: options(), ..Options::cpu(precision) };
        for (name, loaded) in [("right", &model), ("wrong", &damaged)] {
            let mut session = Session::new(loaded, &options).unwrap();
            let checked = model::loadcheck::check(&model, &mut session, &options);
            let holds = match &checked {
                Ok(()) => name == "right" && session.position() == 0,
                Err(model::Error::Disagrees { .. }) => name == "wrong",
                Err(_) => false,
            };
            claim
                .at("weights", name)
                .at("precision", precision.name())
                .check(&format!("the check tells: {checked:?}"), holds);
        }
    }
}
