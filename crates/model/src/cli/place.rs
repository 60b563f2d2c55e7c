//! Flags that say where and how a model is run: the same for every command that runs one.

use super::error::Error;
use crate::backend::Precision;
use crate::cuda;
use crate::session::{Device, Options};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Where and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Where to run: cpu or cuda
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
    /// Run only the first N layers
    #[arg(long, value_name = "N", help_heading = "Backend")]
    pub layers: Option<usize>,
}

impl Place {
    /// What the flags come to.
    ///
    /// # Errors
    /// Names that are none.
    pub fn options(&self) -> Result<Options, Error> {
        let device = if self.gpu { Device::Cuda } else { device(&self.backend)? };
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
        Error::Usage(format!("unknown backend '{name}', expected one of {names}"))
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
