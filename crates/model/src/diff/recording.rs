//! What can be compared: a trace of ours, or tensors that another program wrote, under a map of their names.

use crate::Error;
use crate::diff::{Recording, Side};
use crate::trace::{self, MANIFEST, Trace};
use fault::fault;
use indexmap::IndexMap;
use npyz::{DType, NpyFile};
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// The key of the only tensor of a file that is compared by its values alone.
pub const VALUES: &str = "values";

/// Names of another program's tensors and ours for them. `{}` in both stands for the same layer number.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// Reads a JSON object of theirs to ours: `{"model.layers.{}.input": "layers.{}.attn_norm"}`.
    ///
    /// # Errors
    /// When the file cannot be read or is no such object.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let map: IndexMap<String, String> = serde_json::from_slice(&text)
            .map_err(|e| corrupt(path, format!("{e}, expected an object of names to names")))?;
        if let Some((theirs, ours)) = map.iter().find(|(t, o)| t.contains("{}") != o.contains("{}")) {
            return Err(corrupt(path, format!("'{theirs}': '{ours}' has {{}} on one side only")));
        }
        Ok(Self(map.into_iter().collect()))
    }

    /// Our key for a name; the name itself without a map, none for a name that the map leaves out.
    fn ours(&self, name: &str) -> Option<String> {
        if self.0.is_empty() {
            return Some(name.to_owned());
        }
        self.0.iter().find_map(|(theirs, ours)| match theirs.split_once("{}") {
            None => (name == theirs).then(|| ours.clone()),
            Some((before, after)) => {
                let layer = name.strip_prefix(before)?.strip_suffix(after)?;
                layer.bytes().all(|b| b.is_ascii_digit()).then(|| {
                    let layer = if fault!("diff-map-ignores-layer") { "0" } else { layer };
                    ours.replacen("{}", layer, 1)
                })
            }
        })
    }
}

/// Opens one side of a comparison: a trace's folder, a folder of `.npy` files, or one `.safetensors`, `.npy` or APRT file.
///
/// # Errors
/// When it cannot be read or holds no tensor.
pub fn open(path: &Path, names: &Names) -> Result<Box<dyn Recording>, Error> {
    if path.is_dir() && (path.join(MANIFEST).exists() || !holds_npy(path)?) {
        return Ok(Box::new(Trace::open(path)?));
    }
    Ok(Box::new(Foreign::open(path, names)?))
}

/// Opens a file that holds one tensor, whatever its name.
///
/// # Errors
/// When it cannot be read or holds another number of tensors.
pub fn open_values(path: &Path) -> Result<Box<dyn Recording>, Error> {
    let mut foreign = Foreign::open(path, &Names::default())?;
    if foreign.tensors.len() != 1 {
        let n = foreign.tensors.len();
        return Err(corrupt(path, format!("holds {n} tensors, expected 1 to compare by values")));
    }
    foreign.tensors = foreign.tensors.into_iter().map(|(_, tensor)| (VALUES.to_owned(), tensor)).collect();
    Ok(Box::new(foreign))
}

fn corrupt(path: &Path, what: impl ToString) -> Error {
    trace::Error::Corrupt { path: path.to_owned(), what: what.to_string() }.into()
}

fn holds_npy(folder: &Path) -> Result<bool, Error> {
    Ok(!npy_files(folder)?.is_empty())
}

fn npy_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e == "npy") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Recording for Trace {
    fn side(&self) -> Side {
        let m = self.manifest();
        Side {
            name: self.path().display().to_string(),
            backend: m.backend.clone(),
            precision: m.precision.clone(),
        }
    }
    fn keys(&self) -> Vec<String> {
        self.manifest().tensors.iter().map(|t| t.key.clone()).collect()
    }
    fn shape(&self, key: &str) -> Option<Vec<usize>> {
        self.manifest().entry(key).map(|e| e.shape.clone())
    }
    fn values(&self, key: &str) -> Result<Vec<f32>, Error> {
        Ok(Trace::values(self, key)?)
    }
    fn entry(&self, key: &str) -> Option<&trace::Entry> {
        self.manifest().entry(key)
    }
    fn tokens(&self) -> Option<&[u32]> {
        Some(&self.manifest().tokens)
    }
    fn model(&self) -> Option<&str> {
        Some(&self.manifest().model.digest.0)
    }
    fn positions(&self) -> Option<[usize; 2]> {
        Some(self.manifest().positions)
    }
}

/// Tensors of another program, read whole.
struct Foreign {
    path: PathBuf,
    tensors: IndexMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Foreign {
    fn open(path: &Path, names: &Names) -> Result<Self, Error> {
        let mut found: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        if path.is_dir() {
            for file in npy_files(path)? {
                let (shape, values) = npy(&file, &read(&file)?)?;
                found.push((stem(&file), shape, values));
            }
        } else {
            let bytes = read(path)?;
            if bytes.starts_with(b"\x93NUMPY") {
                let (shape, values) = npy(path, &bytes)?;
                found.push((stem(path), shape, values));
            } else if bytes.starts_with(b"APRT") {
                let values = trace::aprt_values(&bytes).map_err(|what| corrupt(path, what))?;
                found.push((stem(path), vec![values.len()], values));
            } else {
                found = safetensors(path, &bytes)?;
            }
        }
        let mut tensors: IndexMap<_, _> = found
            .into_iter()
            .filter_map(|(name, shape, values)| Some((names.ours(&name)?, (shape, values))))
            .collect();
        if tensors.is_empty() {
            return Err(corrupt(path, "holds no tensor under a name that is compared"));
        }
        // Files list tensors by name; comparisons go in the order of the pass.
        let order = |key: &String| key.parse().ok().map(|site: crate::stage::Site| site.order());
        tensors.sort_by(|a, _, b, _| order(a).cmp(&order(b)).then_with(|| a.cmp(b)));
        Ok(Self { path: path.to_owned(), tensors })
    }
}

impl Recording for Foreign {
    fn side(&self) -> Side {
        Side { name: self.path.display().to_string(), backend: "-".to_owned(), precision: "-".to_owned() }
    }
    fn keys(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }
    fn shape(&self, key: &str) -> Option<Vec<usize>> {
        self.tensors.get(key).map(|(shape, _)| shape.clone())
    }
    fn values(&self, key: &str) -> Result<Vec<f32>, Error> {
        match self.tensors.get(key) {
            Some((_, values)) => Ok(values.clone()),
            None => {
                Err(trace::Error::NoTensor { path: self.path.clone(), key: key.to_owned(), similar: None }
                    .into())
            }
        }
    }
    fn tokens(&self) -> Option<&[u32]> {
        None
    }
    fn model(&self) -> Option<&str> {
        None
    }
    fn positions(&self) -> Option<[usize; 2]> {
        None
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

fn npy(path: &Path, bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>), Error> {
    let fail = |e: std::io::Error| corrupt(path, e);
    let file = NpyFile::new(bytes).map_err(fail)?;
    if file.order() != npyz::Order::C && file.shape().len() > 1 {
        return Err(corrupt(path, "is in Fortran order, expected C order"));
    }
    let shape = file.shape().iter().map(|&n| n as usize).collect();
    let DType::Plain(kind) = file.dtype() else {
        return Err(corrupt(path, "holds records, expected numbers"));
    };
    let values = match kind.to_string().trim_matches('\'') {
        "<f4" => file.into_vec::<f32>().map_err(fail)?,
        "<f8" => file.into_vec::<f64>().map_err(fail)?.into_iter().map(|v| v as f32).collect(),
        "<i4" => file.into_vec::<i32>().map_err(fail)?.into_iter().map(|v| v as f32).collect(),
        "<i8" => file.into_vec::<i64>().map_err(fail)?.into_iter().map(|v| v as f32).collect(),
        other => return Err(corrupt(path, format!("holds {other}, expected <f4, <f8, <i4 or <i8"))),
    };
    Ok((shape, values))
}

/// Name, shape and values of each tensor of a file.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn safetensors(path: &Path, bytes: &[u8]) -> Result<Tensors, Error> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| corrupt(path, format!("{e}, expected safetensors, .npy or APRT")))?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
                Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
                Dtype::F16 => {
                    data.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect()
                }
                Dtype::BF16 => {
                    data.as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect()
                }
                Dtype::I32 => data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b) as f32).collect(),
                Dtype::I64 => data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect(),
                other => {
                    return Err(corrupt(
                        path,
                        format!("'{name}' is {other:?}, expected a float or an integer"),
                    ));
                }
            };
            Ok((name, view.shape().to_vec(), values))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn a_map_carries_layer_numbers_and_leaves_out_what_it_does_not_name() {
        let names = Names(vec![
            ("T7.blk.{}.attn_norm".into(), "layers.{}.attn_norm".into()),
            ("T7.logits".into(), "lm_head".into()),
        ]);
        assert_eq!(names.ours("T7.blk.12.attn_norm").as_deref(), Some("layers.12.attn_norm"));
        assert_eq!(names.ours("T7.logits").as_deref(), Some("lm_head"));
        assert_eq!(names.ours("T7.blk.x.attn_norm"), None);
        assert_eq!(names.ours("T1.logits"), None);
        assert_eq!(Names::default().ours("anything").as_deref(), Some("anything"));
    }
}
