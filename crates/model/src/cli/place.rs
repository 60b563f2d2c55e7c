//! Flags that say where and how a model is run: the same for every command that runs one.

use super::error::Error;
use super::replay::Target;
use crate::backend::Precision;
use crate::bisect::Guard;
use crate::cuda;
use crate::intervene::Interventions;
use crate::loadcheck;
use crate::session::{Device, Model, Options, Session};
use fault::fault;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// The backend that is a GPU where there is one.
const AUTO: &str = "auto";

/// Where and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Where to run: cpu, cuda, or auto (cuda if it is there, else the CPU, and why)
    #[arg(long, value_name = "NAME", default_value = "cpu", help_heading = "Backend")]
    pub backend: String,
    /// The same as --backend cuda
    #[arg(long, conflicts_with = "backend", help_heading = "Backend")]
    pub gpu: bool,
    /// exact (f32 throughout) or fast (8-bit activations, f16 keys and values)
    #[arg(long, value_name = "NAME", default_value = "fast", help_heading = "Backend")]
    pub precision: String,
    /// With what.
    #[command(flatten)]
    pub hardware: Hardware,
    /// Do not compare a short prompt with the CPU after loading onto a GPU
    #[arg(long, help_heading = "Backend")]
    pub no_load_check: bool,
    /// Run only the first N layers
    #[arg(long, value_name = "N", help_heading = "Backend")]
    pub layers: Option<usize>,
    /// What is done to the pass.
    #[command(flatten)]
    pub probes: Probes,
}

/// What is done to a pass while it runs.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Probes {
    /// Stop at the first value that is not finite, and say what it is made of
    #[arg(long, help_heading = "Probes")]
    pub check_finite: bool,
    /// Where the operation goes that made it: with --check-finite.
    #[command(flatten)]
    pub target: Target,
    /// Use the experts and weights of a recording instead of the router's
    #[arg(long, value_name = "TRACE", help_heading = "Probes")]
    pub route_from: Option<PathBuf>,
    /// Replace a value by a tensor of a file, from position 0 on; may be given several times
    #[arg(long, value_name = "STAGE@LAYER=FILE", help_heading = "Probes")]
    pub inject: Vec<String>,
}

impl Probes {
    /// Attaches them to a session; says what changes the pass.
    ///
    /// # Errors
    /// When a file does not fit the model.
    pub fn attach(
        &self,
        session: &mut Session,
        model: &Model,
        options: &Options,
    ) -> Result<Vec<String>, Error> {
        let config = model.config();
        let layers = options.layers.unwrap_or(config.layers);
        let mut interventions = Interventions::new(config);
        if let Some(path) = &self.route_from {
            interventions.route_from(path, config, layers)?;
        }
        for text in &self.inject {
            interventions.inject(text, config, layers)?;
        }
        let names = interventions.names().to_vec();
        if !names.is_empty() {
            session.attach(Box::new(interventions));
        }
        if self.target.capsule.is_some() && !self.check_finite {
            return Err(Error::Usage("--capsule without --check-finite has nothing to write".to_owned()));
        }
        if self.check_finite {
            let guard = Guard::new(model, layers);
            let target = self.target.clone();
            session.attach(Box::new(match target.capsule {
                None => guard,
                Some(_) => guard.with_capsule(options, Box::new(move |capsule| target.write(capsule))),
            }));
        }
        Ok(names)
    }
}

impl Place {
    /// A model taken up where the flags say, and where that is.
    ///
    /// # Errors
    /// Names that are none, a backend that is not there, a file that it cannot run, or a device that computes something
    /// else than the CPU.
    pub fn session(&self, model: &Model) -> Result<(Session, Options), Error> {
        let options = self.options()?;
        match self.checked(model, &options) {
            Err(error) if self.is_auto() => {
                if !fault!("cuda-auto-silent") {
                    eprintln!("auto: running on the CPU, because: {error}");
                }
                let options = Options { device: Device::Cpu, ..options };
                Ok((Session::new(model, &options)?, options))
            }
            session => Ok((session?, options)),
        }
    }

    fn checked(&self, model: &Model, options: &Options) -> Result<Session, Error> {
        let mut session = Session::new(model, options)?;
        if !self.no_load_check {
            loadcheck::check(model, &mut session, options)?;
        }
        Ok(session)
    }

    fn is_auto(&self) -> bool {
        self.backend == AUTO && !self.gpu
    }

    /// What the flags come to; `auto` counts as the device that is tried first.
    ///
    /// # Errors
    /// Names that are none.
    pub fn options(&self) -> Result<Options, Error> {
        let device = if self.gpu || self.is_auto() { Device::Cuda } else { device(&self.backend)? };
        let precision = precision(&self.precision)?;
        Ok(Options { layers: self.layers, ..self.hardware.options(device, precision) })
    }
}

/// The machine's parts, whatever runs on them.
#[derive(Debug, Clone, clap::Args)]
pub struct Hardware {
    /// Threads of the CPU [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Backend")]
    pub threads: Option<NonZeroUsize>,
    /// CUDA device
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Backend")]
    pub cuda_device: usize,
    /// Folder with libcuda and libnvrtc, before the loader's own search; several may be named
    #[arg(long, value_name = "DIR", help_heading = "Backend")]
    pub cuda_libs: Vec<PathBuf>,
    /// On a GPU, run the stages of a layer primitive by primitive (composed) or together (fused): the same bits
    #[arg(long, value_name = "NAME", default_value = "fused", help_heading = "Backend")]
    pub ops: cuda::Ops,
    /// Folder to keep compiled kernels in
    #[arg(long, value_name = "DIR", help_heading = "Backend")]
    pub cuda_cache: Option<PathBuf>,
}

impl Hardware {
    /// All layers on a device.
    #[must_use]
    pub fn options(&self, device: Device, precision: Precision) -> Options {
        let cuda = cuda::Options {
            device: self.cuda_device,
            libraries: self.cuda_libs.clone(),
            cache: self.cuda_cache.clone(),
            eager: false,
            ops: self.ops,
        };
        Options { device, precision, threads: self.threads, layers: None, cuda }
    }
}

/// Reads `cpu:exact`.
///
/// # Errors
/// Names that are none.
pub fn backend_and_precision(text: &str) -> Result<(Device, Precision), Error> {
    let Some((backend, of)) = text.split_once(':') else {
        return Err(Error::Usage(format!(
            "'{text}' names no backend and precision, expected cpu:exact or the like"
        )));
    };
    Ok((device(backend)?, precision(of)?))
}

/// The device of that name.
///
/// # Errors
/// When there is none.
pub fn device(name: &str) -> Result<Device, Error> {
    Device::ALL.into_iter().find(|d| d.name() == name).ok_or_else(|| {
        let names = Device::ALL.map(Device::name).join(" ");
        Error::Usage(format!("unknown backend '{name}', expected one of {AUTO} {names}"))
    })
}

/// The precision of that name.
///
/// # Errors
/// When there is none.
pub fn precision(name: &str) -> Result<Precision, Error> {
    Precision::from_name(name).ok_or_else(|| {
        let names = Precision::ALL.map(Precision::name).join(" ");
        Error::Usage(format!("unknown precision '{name}', expected one of {names}"))
    })
}
