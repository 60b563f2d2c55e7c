// What of kernels/ is compiled, with which options and definitions. Included by the backend, which compiles at run time, and
// by the build, which compiles ahead of it where nvcc is.

/// Options of every compilation. Contraction is off because results are specified to the last bit: a fused multiply-add
/// is written where one is meant.
pub(crate) const OPTIONS: &[&str] = &["--std=c++17", "--fmad=false", "-lineinfo"];

/// Runs a macro with the names of all sources.
macro_rules! sources {
    ($with:ident) => {
        $with!["attention.cu" "elementwise.cu" "fused.cu" "matmul.cu" "norm.cu" "repack.cu" "route.cu"]
    };
}

/// The definitions of every specialisation of a source that an operation may ask for; of the shapes that specialise
/// attention, those of the models that are measured.
fn definitions(source: &str, formats: &[&str]) -> Vec<Vec<String>> {
    match source {
        "matmul.cu" | "fused.cu" => formats.iter().map(|name| vec![format!("FORMAT={name}")]).collect(),
        "attention.cu" => [(128, 8), (128, 5), (64, 2), (96, 4)]
            .map(|(dim, group)| vec![format!("HEAD_DIM={dim}"), format!("GROUP={group}")])
            .to_vec(),
        _ => vec![Vec::new()],
    }
}
