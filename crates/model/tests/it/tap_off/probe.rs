//! A crate of the forward pass alone, over a backend whose every operation is a call that no compiler can see into.
//! The sources are the engine's own; what they name beside is stood in for.
#![allow(dead_code, unused, unsafe_code)]

#[path = "{src}/backend.rs"]
mod backend;
#[path = "{src}/composed.rs"]
mod composed;
#[path = "{src}/config.rs"]
mod config;
#[path = "{src}/forward.rs"]
mod forward;
#[path = "{src}/stage.rs"]
mod stage;
#[path = "{src}/state.rs"]
mod state;
#[path = "{src}/tap.rs"]
mod tap;
#[path = "{src}/weights.rs"]
mod weights;

mod bytes {
    #[derive(Debug)]
    pub struct Bytes;
}
mod quant {
    #[derive(Debug, Clone, Copy)]
    pub enum Format {
        F32,
    }
}

use backend::{Backend, Cols, KvShape, Routes, Rows, Tensor};
use config::Config;
use tap::Stop;

unsafe extern "C" {
    /// Operation `id` on some operands; anything but 0 is an error.
    fn op(id: u32, a: *const (), b: *const (), c: *const (), d: usize) -> u32;
}

fn call<A, B, C>(id: u32, a: &A, b: &B, c: &C, d: usize) -> Result<(), Failed> {
    let (a, b, c) = (std::ptr::from_ref(a).cast(), std::ptr::from_ref(b).cast(), std::ptr::from_ref(c).cast());
    // SAFETY: never linked, let alone called.
    match unsafe { op(id, a, b, c, d) } {
        0 => Ok(()),
        code => Err(Failed(code)),
    }
}

pub struct Probe;
pub struct Failed(u32);
impl From<Stop> for Failed {
    fn from(_: Stop) -> Self {
        Self(u32::MAX)
    }
}

type R = Result<(), Failed>;

impl Backend for Probe {
    type Mat = u64;
    type Vector = u64;
    type Act = u64;
    type Kv = u64;
    type Batch = u64;
    type Route = u64;
    type Err = Failed;
    type Inside = tap::Off;
    fn mat(&mut self, _: Tensor<'_>) -> Result<u64, Failed> {
        Ok(0)
    }
    fn vector(&mut self, _: Tensor<'_>) -> Result<u64, Failed> {
        Ok(0)
    }
    fn act(&mut self, _: usize, _: usize) -> Result<u64, Failed> {
        Ok(0)
    }
    fn route_plane(&mut self, _: usize, _: usize) -> Result<u64, Failed> {
        Ok(0)
    }
    fn kv(&mut self, _: KvShape) -> Result<u64, Failed> {
        Ok(0)
    }
    fn batch(&mut self, _: &Rows, _: Option<u64>) -> Result<u64, Failed> {
        Ok(0)
    }
    fn read(&mut self, _: &u64, _: Cols) -> Result<Vec<f32>, Failed> {
        Ok(Vec::new())
    }
    fn write(&mut self, _: &mut u64, _: Cols, _: &[f32]) -> R {
        Ok(())
    }
    fn read_route(&mut self, _: &u64) -> Result<Routes, Failed> {
        Ok(Routes::default())
    }
    fn write_route(&mut self, _: &mut u64, _: &Routes) -> R {
        Ok(())
    }
    fn embed(&mut self, o: &mut u64, t: &u64, b: &u64) -> R {
        call(1, o, t, b, 0)
    }
    fn norm(&mut self, o: &mut u64, x: &u64, w: &u64, eps: f32) -> R {
        call(2, o, x, w, eps.to_bits() as usize)
    }
    fn head_norm(&mut self, x: &mut u64, cols: Cols, w: &u64, eps: f32) -> R {
        call(3, x, &cols, w, eps.to_bits() as usize)
    }
    fn bias(&mut self, x: &mut u64, col: usize, b: &u64) -> R {
        call(4, x, b, b, col)
    }
    fn matmul(&mut self, o: &mut u64, col: usize, w: &u64, x: &u64, r: Option<&u64>) -> R {
        call(5, o, w, x, col + usize::from(r.is_some()))
    }
    fn router(&mut self, o: &mut u64, w: &u64, x: &u64) -> R {
        call(6, o, w, x, 0)
    }
    fn rope(&mut self, x: &mut u64, cols: Cols, c: &Config, b: &u64) -> R {
        call(7, x, &cols, c, 0)
    }
    fn append(&mut self, kv: &mut u64, qkv: &u64, c: &Config, b: &u64) -> R {
        call(8, kv, qkv, b, 0)
    }
    fn attention(&mut self, o: &mut u64, qkv: &u64, kv: &u64, c: &Config, b: &u64) -> R {
        call(9, o, qkv, kv, 0)
    }
    fn scores(&mut self, o: &mut u64, qkv: &u64, kv: &u64, c: &Config, b: &u64, softmax: bool) -> R {
        call(10, o, qkv, kv, usize::from(softmax))
    }
    fn top_k(&mut self, o: &mut u64, l: &u64, c: &Config) -> R {
        call(11, o, l, c, 0)
    }
    fn only_expert(&mut self, o: &mut u64, x: &u64) -> R {
        call(12, o, x, x, 0)
    }
    fn swiglu(&mut self, h: &mut u64, g: &u64) -> R {
        call(13, h, g, g, 0)
    }
    fn silu(&mut self, o: &mut u64, g: &u64) -> R {
        call(14, o, g, g, 0)
    }
    fn combine(&mut self, o: &mut u64, y: &u64, r: &u64) -> R {
        call(15, o, y, r, 0)
    }
    fn add(&mut self, x: &mut u64, y: &u64) -> R {
        call(16, x, y, y, 0)
    }
    fn select(&mut self, o: &mut u64, x: &u64, b: &u64) -> R {
        call(17, o, x, b, 0)
    }
}

/// A tap that does something: the control of the experiment.
#[cfg(watched)]
struct Watching;
#[cfg(watched)]
impl tap::Tap<Probe> for Watching {
    fn layer(&mut self, _: usize) {}
    fn wants(&self, _: stage::Stage) -> bool {
        false
    }
    fn at(&mut self, _: &mut Probe, stage: stage::Stage, x: &mut u64, _: Cols) -> R {
        call(100 + stage as u32, x, x, x, 0)
    }
    fn route(&mut self, _: &mut Probe, r: &mut u64) -> R {
        call(99, r, r, r, 0)
    }
}

#[unsafe(no_mangle)]
pub fn probe(
    be: &mut Probe,
    config: &Config,
    weights: &weights::Weights<Probe>,
    state: &mut state::State<Probe>,
    kv: &mut [u64],
    batch: &u64,
) -> R {
    #[cfg(not(watched))]
    let tap = &mut tap::Off;
    #[cfg(watched)]
    let tap = &mut Watching;
    forward::forward(be, config, weights, state, kv, batch, tap)
}
