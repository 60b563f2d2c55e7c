//! Tokens per second of the CPU backend: `bench FILE [-t THREADS] [-p PROMPT,...] [-n TOKENS] [-d DEPTH] [-r REPS] [--exact]`.

use model::backend::Precision;
use model::session::{Device, Model, Options, Out, Session};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (mut file, mut threads, mut prompts, mut decode, mut depth, mut reps) = (None, 2, vec![], 0, 0, 3);
    let mut precision = Precision::Fast;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or("a value is missing");
        match arg.as_str() {
            "-t" => threads = value()?.parse()?,
            "-p" => prompts = value()?.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?,
            "-n" => decode = value()?.parse()?,
            "-d" => depth = value()?.parse()?,
            "-r" => reps = value()?.parse()?,
            "--exact" => precision = Precision::Exact,
            _ => file = Some(arg),
        }
    }
    let model = Model::open(file.ok_or("which file?")?.as_ref())?;
    let options = Options {
        device: Device::Cpu,
        precision,
        threads: std::num::NonZeroUsize::new(threads),
        layers: None,
        cuda: Default::default(),
    };
    let start = Instant::now();
    let mut session = Session::new(&model, &options)?;
    eprintln!("load {:.1} s", start.elapsed().as_secs_f64());
    let vocab = model.config().vocab as u32;
    let tokens =
        |n: usize| -> Vec<u32> { (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761) % vocab).collect() };
    session.run(&tokens(16), Out::Last)?;
    let mut report = |name: String,
                      n: usize,
                      work: &mut dyn FnMut(&mut Session) -> Result<(), model::Error>,
                      before: usize| {
        let (mut rates, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..reps {
            session.rewind(0)?;
            if before > 0 {
                session.run(&tokens(before), Out::Last)?;
            }
            let (start, before) = (Instant::now(), cpu_seconds());
            work(&mut session)?;
            rates.push(n as f64 / start.elapsed().as_secs_f64());
            cpu.push(n as f64 / (cpu_seconds() - before));
        }
        rates.sort_by(f64::total_cmp);
        cpu.sort_by(f64::total_cmp);
        let list: Vec<String> = rates.iter().map(|r| format!("{r:.2}")).collect();
        let (median, cpu) = (rates[rates.len() / 2], cpu[cpu.len() / 2]);
        println!(
            "{name} {median:.2} tok/s (of {}), {cpu:.2} tokens for a second of processor time",
            list.join(" ")
        );
        Ok::<(), model::Error>(())
    };
    for p in prompts {
        let prompt = tokens(p);
        report(format!("pp{p}@{depth}"), p, &mut |s| s.run(&prompt, Out::Last), depth)?;
    }
    if decode > 0 {
        let all = tokens(decode);
        report(
            format!("tg{decode}@{depth}"),
            decode,
            &mut |s| {
                for token in &all {
                    s.run(&[*token], Out::Last)?;
                    s.logits()?;
                }
                Ok(())
            },
            depth,
        )?;
    }
    Ok(())
}

/// Processor time of the calling thread, seconds; with one thread that is all there is.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}
