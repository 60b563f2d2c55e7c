//! A model being run: the surface that programs and tests use. It alone names backends; everything behind it is generic
//! and compiled once for each.

use crate::Error;
use crate::backend::{Backend, Cols, KvShape, Memory, Precision, Rows};
use crate::bytes::Bytes;
use crate::config::Config;
use crate::cpu::Cpu;
use crate::cpu::simd::Level;
use crate::cuda::{self, Cuda};
use crate::forward::forward;
use crate::gguf;
use crate::mapped::Mapped;
use crate::observer::{Observer, Several, Watch, hand_over, wanted};
use crate::operation::{Held, Operation};
use crate::stage::Site;
use crate::state::State;
use crate::tap::{Off, Stop};
use crate::tensors;
use crate::weights::Weights;
use fault::fault;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Rows of one pass at most: longer prompts are cut. Results do not depend on it.
const CHUNK: usize = 512;
/// Logits of one pass at most, when those of every position are wanted.
const LOGITS: usize = 1 << 24;

/// An opened model file: parsed and described, not yet on any backend.
#[derive(Debug, Clone)]
pub struct Model {
    mapped: Arc<Mapped>,
    file: Arc<gguf::File>,
    config: Arc<Config>,
    /// Its tensors are those of its config, every weight finite.
    checked: Arc<OnceLock<()>>,
}

impl Model {
    /// Opens a GGUF file.
    ///
    /// # Errors
    /// When it cannot be read, does not hold together, or describes no supported model.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mapped = Mapped::open(path)?;
        let file = gguf::File::parse(&mapped).map_err(|e| Error::from(e).in_file(path))?;
        let config = Config::from_gguf(&file, &mapped).map_err(|e| Error::from(e).in_file(path))?;
        let (file, config) = (Arc::new(file), Arc::new(config));
        Ok(Self { mapped: Arc::new(mapped), file, config, checked: Arc::default() })
    }

    /// Checks all tensors, once however many sessions take them up.
    fn check(&self) -> Result<(), Error> {
        if self.checked.get().is_none() {
            let checked = tensors::check(&self.config, &self.file, &self.mapped);
            checked.map_err(|problems| Error::Tensors { problems }.in_file(self.mapped.path()))?;
            self.checked.get_or_init(|| ());
        }
        Ok(())
    }

    /// Its shape.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its metadata and tensors.
    #[must_use]
    pub fn file(&self) -> &gguf::File {
        &self.file
    }

    /// Where it lies, and its bytes.
    #[must_use]
    pub fn mapped(&self) -> &Mapped {
        &self.mapped
    }

    /// A part of its bytes; `None` when it does not lie inside.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> Option<Bytes> {
        Bytes::of_file(&self.mapped, range)
    }
}

/// Where a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// This machine's processor.
    Cpu,
    /// A GPU.
    Cuda,
}

impl Device {
    /// Every device, once.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Cuda];

    /// Its name in flags and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

/// What a scalar twin has to know of the side that it judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Arithmetic {
    /// The precision.
    pub precision: Precision,
    /// Activations in 8 bits share a scale by whole blocks in front of all weights, as on a GPU; false where no weights
    /// of the model want it otherwise.
    pub whole_blocks: bool,
}

impl Arithmetic {
    /// That of a side, `cuda:fast`, with the weights of a model.
    #[must_use]
    pub fn of(side: &str, precision: Precision, model: &Model) -> Self {
        let gpu = side.split(':').next() == Some(Device::Cuda.name());
        let halves = || model.file.tensors.iter().any(|t| t.format.by_halves());
        Self { precision, whole_blocks: gpu && precision == Precision::Fast && halves() }
    }

    fn twin(self, threads: Option<NonZeroUsize>) -> Result<Cpu, Error> {
        let cpu = Cpu::with_level(self.precision, threads, Level::SCALAR).map_err(Error::backend)?;
        Ok(if self.whole_blocks { cpu.with_whole_blocks() } else { cpu })
    }
}

/// How a session runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where.
    pub device: Device,
    /// How it computes.
    pub precision: Precision,
    /// Threads of the CPU; `None` takes as many as the machine has.
    pub threads: Option<NonZeroUsize>,
    /// Only this many layers, from the first; `None` takes all.
    pub layers: Option<usize>,
    /// Where CUDA looks for what it needs.
    pub cuda: cuda::Options,
}

impl Options {
    /// All layers on all threads of this machine's processor.
    #[must_use]
    pub fn cpu(precision: Precision) -> Self {
        Self { device: Device::Cpu, precision, threads: None, layers: None, cuda: cuda::Options::default() }
    }
}

/// Positions that logits are computed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// The last of the tokens given.
    Last,
    /// Each of them.
    All,
}

/// A model on a backend, with the context computed so far.
pub struct Session {
    config: Arc<Config>,
    position: usize,
    engine: Box<dyn Engine>,
    /// What watches every pass, before the caller's observer.
    attached: Vec<Box<dyn Observer>>,
    /// Those of the pass at hand.
    rows: Rows,
}

impl Session {
    /// Takes a model up on a backend.
    ///
    /// # Errors
    /// When the backend is not there, the file's tensors are not those of its model, or memory does not suffice.
    pub fn new(model: &Model, options: &Options) -> Result<Self, Error> {
        Self::part(model, options, 0..options.layers.unwrap_or(model.config.layers))
    }

    /// Takes up some layers of a model, between its embedding and its head. Past layer 0 what comes out means nothing
    /// until an observer overwrites the embedding with what the layers before made.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn part(model: &Model, options: &Options, layers: Range<usize>) -> Result<Self, Error> {
        match options.device {
            Device::Cpu => {
                let cpu = Cpu::new(options.precision, options.threads).map_err(Error::backend)?;
                Self::on(cpu, model, layers)
            }
            Device::Cuda => {
                let cuda = Cuda::new(options.precision, &options.cuda).map_err(Error::backend)?;
                Self::on(cuda, model, layers)
            }
        }
    }

    /// Some layers on the scalar twin of every kernel: the arbiter between a wrong kernel and a coarse precision.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn arbiter(
        model: &Model,
        arithmetic: Arithmetic,
        threads: Option<NonZeroUsize>,
        layers: Range<usize>,
    ) -> Result<Self, Error> {
        Self::on(arithmetic.twin(threads)?, model, layers)
    }

    /// Some layers on a backend of the caller's making.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn on<B: Backend + 'static>(be: B, model: &Model, layers: Range<usize>) -> Result<Self, Error>
    where
        B::Err: std::error::Error + Send + Sync + 'static,
    {
        if layers.end > model.config.layers || layers.is_empty() {
            return Err(Error::Layers { found: layers.end, layers: model.config.layers });
        }
        model.check()?;
        let engine = Box::new(Runner::new(be, model, layers)?);
        Ok(Self {
            config: Arc::clone(&model.config),
            position: 0,
            engine,
            attached: Vec::new(),
            rows: Rows::default(),
        })
    }

    /// Has an observer watch every pass from now on, after those attached before it and before the caller's.
    pub fn attach(&mut self, observer: Box<dyn Observer>) {
        self.attached.push(observer);
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many positions were computed: that of the next token.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Forgets what was computed from `position` on.
    ///
    /// # Errors
    /// When nothing was computed up to there.
    pub fn rewind(&mut self, position: usize) -> Result<(), Error> {
        if position > self.position {
            return Err(Error::Position { found: position, computed: self.position });
        }
        self.position = position;
        Ok(())
    }

    /// Computes tokens at the next positions; [`Session::logits`] then gives those of `out`, of the last part if the
    /// tokens had to be cut into parts.
    ///
    /// # Errors
    /// Tokens that are none, positions past the model's context, or what the backend reports.
    pub fn run(&mut self, tokens: &[u32], out: Out) -> Result<(), Error> {
        self.parts(tokens, out, None)
    }

    /// The same, watched.
    ///
    /// # Errors
    /// As [`Session::run`], and [`Error::Stopped`] when the observer ended it.
    pub fn observe(&mut self, tokens: &[u32], out: Out, observer: &mut dyn Observer) -> Result<(), Error> {
        self.parts(tokens, out, Some(observer))
    }

    /// Tokens that one pass computes at most: those of [`Session::run`] are cut into parts of so many.
    #[must_use]
    pub fn rows_at_once(&self, out: Out) -> usize {
        match out {
            Out::Last => CHUNK,
            Out::All => (LOGITS / self.config.vocab.max(1)).clamp(1, CHUNK),
        }
    }

    /// Logits of the last pass, `[out rows, vocab]`.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn logits(&mut self) -> Result<Vec<f32>, Error> {
        let mut logits = Vec::new();
        self.read_logits(&mut logits)?;
        Ok(logits)
    }

    /// The same into memory that the caller uses again; what it held is replaced.
    ///
    /// # Errors
    /// As [`Session::logits`].
    pub fn read_logits(&mut self, out: &mut Vec<f32>) -> Result<(), Error> {
        self.engine.logits(out)
    }

    /// Memory of the backend's device; `None` where that is the host's.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn memory(&self) -> Result<Option<Memory>, Error> {
        self.engine.memory()
    }

    fn parts(
        &mut self,
        tokens: &[u32],
        out: Out,
        mut observer: Option<&mut dyn Observer>,
    ) -> Result<(), Error> {
        let vocab = self.config.vocab;
        if let Some(&token) = tokens.iter().find(|&&t| t as usize >= vocab) {
            return Err(Error::Token { token, vocab });
        }
        let end = self.position.saturating_add(tokens.len());
        if tokens.is_empty() || end > self.config.context {
            let (tokens, position, context) = (tokens.len(), self.position, self.config.context);
            return Err(Error::Context { tokens, position, context });
        }
        for part in tokens.chunks(self.rows_at_once(out)) {
            let n = part.len() as u32;
            let start = self.position as u32;
            let Rows { token, position, sequence, out: wanted } = &mut self.rows;
            token.clear();
            token.extend_from_slice(part);
            position.clear();
            position.extend(start..start + n);
            sequence.clear();
            sequence.resize(part.len(), 0);
            wanted.clear();
            wanted.extend(match out {
                Out::All => 0..n,
                Out::Last => n - 1..n,
            });
            let attached = self.attached.iter_mut().map(|o| &mut **o as &mut dyn Observer);
            // Reborrowed for each part; `as_deref_mut` would demand that the object outlive the session.
            let observer = observer.as_mut().map(|o| &mut **o as &mut dyn Observer);
            let mut all = Several(attached.chain(observer).collect());
            let watched = if all.0.is_empty() { None } else { Some(&mut all as &mut dyn Observer) };
            match self.engine.pass(&self.rows, watched) {
                Err(Error::Stopped) => return Err(all.reason().unwrap_or(Error::Stopped)),
                other => other?,
            }
            self.position += part.len();
        }
        Ok(())
    }
}

/// A backend with a model on it, its types erased.
trait Engine {
    fn pass(&mut self, rows: &Rows, observer: Option<&mut dyn Observer>) -> Result<(), Error>;
    fn logits(&mut self, out: &mut Vec<f32>) -> Result<(), Error>;
    fn memory(&self) -> Result<Option<Memory>, Error>;
}

struct Runner<B: Backend> {
    be: B,
    config: Arc<Config>,
    weights: Weights<B>,
    state: State<B>,
    /// Rows and output rows that `state` has room for.
    room: (usize, usize),
    kv: Vec<B::Kv>,
    batch: Option<B::Batch>,
    /// The first of the layers.
    first: usize,
}

impl<B: Backend> Runner<B>
where
    B::Err: std::error::Error + Send + Sync + 'static,
{
    fn new(mut be: B, model: &Model, layers: Range<usize>) -> Result<Self, Error> {
        let config = Arc::clone(&model.config);
        let weights = Weights::load(&mut be, &config, &model.file, &model.mapped, layers.clone())
            .map_err(|e| Error::from(e).in_file(model.mapped.path()))?;
        let shape =
            KvShape { heads: config.kv_heads, head_dim: config.head_dim, positions: CHUNK, sequences: 1 };
        be.settle();
        let kv = layers.clone().map(|_| be.kv(shape)).collect::<Result<_, _>>().map_err(Error::backend)?;
        let room = (1, 1);
        let state = State::new(&mut be, &config, room.0, room.1).map_err(Error::backend)?;
        Ok(Self { be, config, weights, state, room, kv, batch: None, first: layers.start })
    }

    /// Planes for so many rows; larger ones than before are made anew, because they hold nothing between passes.
    fn make_room(&mut self, rows: usize, out_rows: usize) -> Result<(), Error> {
        if rows > self.room.0 || out_rows > self.room.1 {
            let room = (rows.max(self.room.0), out_rows.max(self.room.1));
            self.state = State::new(&mut self.be, &self.config, room.0, room.1).map_err(Error::backend)?;
            self.room = room;
        }
        Ok(())
    }
}

impl<B: Backend> Engine for Runner<B>
where
    B::Err: std::error::Error + Send + Sync + 'static,
{
    fn pass(&mut self, rows: &Rows, observer: Option<&mut dyn Observer>) -> Result<(), Error> {
        self.make_room(rows.token.len(), rows.out.len())?;
        let Self { be, config, weights, state, kv, batch, first, .. } = self;
        let reuse = batch.take().filter(|_| !fault!("step-forgets-its-rows"));
        let on = be.batch(rows, reuse).map_err(Error::backend)?;
        let result = match observer {
            None => be.step(kv, &on, |be, kv| forward(be, config, weights, state, kv, &on, &mut Off)),
            Some(observer) => {
                observer.begin(rows).map_err(|Stop| Error::Stopped)?;
                // What a backend keeps is named from the model's first layer on.
                let inside = if observer.looks_only() && *first == 0 {
                    let sites = wanted(observer, config, kv.len());
                    be.keep(config, kv.len(), &sites, rows).map_err(Error::backend)?
                } else {
                    None
                };
                if let Some(mut tap) = inside {
                    let done =
                        be.step(kv, &on, |be, kv| forward(be, config, weights, state, kv, &on, &mut tap));
                    let kept = be.kept();
                    done.map_err(Error::backend)?;
                    hand_over(observer, kept.map_err(Error::backend)?).map_err(|Stop| Error::Stopped)?;
                    Ok(())
                } else {
                    let mut watch = Watch::new(observer, *first);
                    let result = be.step_by_step(kv, &on, |be, kv| {
                        forward(be, config, weights, state, kv, &on, &mut watch)
                    });
                    if watch.stopped() {
                        return Err(Error::Stopped);
                    }
                    result
                }
            }
        };
        self.batch = Some(on);
        result.map_err(Error::backend)
    }

    fn logits(&mut self, out: &mut Vec<f32>) -> Result<(), Error> {
        self.be.read_rows(&self.state.logits, Cols::ALL, 0..1, 1, out).map_err(Error::backend)
    }

    fn memory(&self) -> Result<Option<Memory>, Error> {
        self.be.memory().map_err(Error::backend)
    }
}

/// A backend that performs single operations, without a model and a pass.
pub struct Workbench {
    engine: Box<dyn Perform>,
}

impl Workbench {
    /// A backend.
    ///
    /// # Errors
    /// When it is not there.
    pub fn new(options: &Options) -> Result<Self, Error> {
        match options.device {
            Device::Cpu => {
                Ok(Self::on(Cpu::new(options.precision, options.threads).map_err(Error::backend)?))
            }
            Device::Cuda => {
                Ok(Self::on(Cuda::new(options.precision, &options.cuda).map_err(Error::backend)?))
            }
        }
    }

    /// The scalar twin of every kernel: the arbiter between a wrong kernel and a coarse precision.
    ///
    /// # Errors
    /// When its threads cannot be started.
    pub fn twin(arithmetic: Arithmetic, threads: Option<NonZeroUsize>) -> Result<Self, Error> {
        Ok(Self::on(arithmetic.twin(threads)?))
    }

    /// A backend of the caller's making.
    pub fn on<B: Backend + 'static>(be: B) -> Self
    where
        B::Err: std::error::Error + Send + Sync + 'static,
    {
        Self { engine: Box::new(Bench { be, held: HashMap::new() }) }
    }

    /// Performs an operation; `[rows, columns]` as its `check` says.
    ///
    /// # Errors
    /// When the operation does not hold together, or what the backend reports.
    pub fn perform(&mut self, operation: &Operation) -> Result<Vec<f32>, Error> {
        self.engine.perform(operation, false)
    }

    /// The same, and keeps whole tensors for the next operation at the same site: all have to be of one model.
    ///
    /// # Errors
    /// As [`Workbench::perform`].
    pub fn perform_of_model(&mut self, operation: &Operation) -> Result<Vec<f32>, Error> {
        self.engine.perform(operation, true)
    }
}

/// A backend for single operations, its types erased.
trait Perform {
    fn perform(&mut self, operation: &Operation, keep: bool) -> Result<Vec<f32>, Error>;
}

struct Bench<B: Backend> {
    be: B,
    /// Weights that were kept.
    held: HashMap<Site, Vec<Held<B>>>,
}

impl<B: Backend> Perform for Bench<B>
where
    B::Err: std::error::Error + Send + Sync + 'static,
{
    fn perform(&mut self, operation: &Operation, keep: bool) -> Result<Vec<f32>, Error> {
        let (rows, columns) =
            operation.check().map_err(|what| Error::Operation { site: operation.site.to_string(), what })?;
        let keep = keep && operation.weights.iter().all(|w| w.picked.is_empty());
        let held = match self.held.remove(&operation.site).filter(|_| keep) {
            Some(held) => held,
            None => operation.take_up(&mut self.be).map_err(Error::backend)?,
        };
        let made = operation.perform(&mut self.be, &held).map_err(Error::backend);
        if keep {
            self.held.insert(operation.site, held);
        }
        let made = made?;
        if made.len() != rows * columns {
            let what = format!("made {} numbers, expected {rows} rows of {columns}", made.len());
            return Err(Error::Operation { site: operation.site.to_string(), what });
        }
        Ok(made)
    }
}
