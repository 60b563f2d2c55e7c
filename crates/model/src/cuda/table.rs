//! Which kernel does what: sources, functions, and the one place where a format, a precision and a number of rows choose.
//!
//! Knows no device: a [`Kernel`] is a name and a promise about its argument.

use super::args::{
    AddArgs, AppendArgs, AttentionExactArgs, AttentionFastArgs, BiasArgs, CombineArgs, DownArgs, EmbedArgs,
    GateUpArgs, HeadNormArgs, MatmulArgs, NormArgs, OnlyExpertArgs, Plane, RepackArgs, RopeArgs, ScoresArgs,
    SelectArgs, SortArgs, SumArgs, SwigluArgs, TapArgs, TopKArgs,
};
use super::rtc::Unit;
use crate::backend::Precision;
use crate::quant::{FORMATS, Format};
use fault::fault;
use std::borrow::Cow;
use std::marker::PhantomData;

macro_rules! embedded {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../../../../kernels/", $name))),)*] };
}

/// What sources include.
pub(crate) const HEADERS: &[(&str, &str)] = embedded!["args.cuh" "attention.cuh" "formats.cuh" "matmul.cuh" "numerics.cuh" "plane.cuh" "ptx.cuh" "route.cuh"];

include!("units.rs");

/// The sources.
pub(crate) const SOURCES: &[(&str, &str)] = sources!(embedded);

/// A kernel that takes one `A` by value.
pub(crate) struct Kernel<A> {
    /// Which of [`SOURCES`].
    pub(crate) source: &'static str,
    /// Its name there.
    pub(crate) function: &'static str,
    /// What the source is specialised by, `NAME=VALUE`.
    pub(crate) definitions: Cow<'static, [String]>,
    argument: PhantomData<fn(A)>,
}

impl<A> Kernel<A> {
    const fn of(source: &'static str, function: &'static str) -> Self {
        Self { source, function, definitions: Cow::Borrowed(&[]), argument: PhantomData }
    }

    fn with(source: &'static str, function: &'static str, definitions: Vec<String>) -> Self {
        Self { source, function, definitions: Cow::Owned(definitions), argument: PhantomData }
    }
}

pub(crate) const NORM: Kernel<NormArgs> = Kernel::of("norm.cu", "rms_norm");
pub(crate) const HEAD_NORM: Kernel<HeadNormArgs> = Kernel::of("norm.cu", "head_norm");
pub(crate) const BIAS: Kernel<BiasArgs> = Kernel::of("elementwise.cu", "bias");
pub(crate) const ADD: Kernel<AddArgs> = Kernel::of("elementwise.cu", "add");
pub(crate) const SWIGLU: Kernel<SwigluArgs> = Kernel::of("elementwise.cu", "swiglu");
pub(crate) const SILU: Kernel<SwigluArgs> = Kernel::of("elementwise.cu", "silu_gate");
pub(crate) const COMBINE: Kernel<CombineArgs> = Kernel::of("elementwise.cu", "combine");
pub(crate) const ROPE: Kernel<RopeArgs> = Kernel::of("elementwise.cu", "rope");
pub(crate) const SELECT: Kernel<SelectArgs> = Kernel::of("elementwise.cu", "select_rows");
pub(crate) const QUANTIZE: Kernel<Plane> = Kernel::of("elementwise.cu", "quantize_plane");
pub(crate) const TAP: Kernel<TapArgs> = Kernel::of("elementwise.cu", "tap");
pub(crate) const TOP_K: Kernel<TopKArgs> = Kernel::of("route.cu", "top_k");
pub(crate) const ONLY_EXPERT: Kernel<OnlyExpertArgs> = Kernel::of("route.cu", "only_expert");
pub(crate) const SORT: Kernel<SortArgs> = Kernel::of("route.cu", "sort");
pub(crate) const REPACK_Q6_K: Kernel<RepackArgs> = Kernel::of("repack.cu", "repack_q6_k");
pub(crate) const ATTENTION_EXACT: Kernel<AttentionExactArgs> = Kernel::of("attention.cu", "attention_exact");

/// Entries that share one pass over a matrix where there are several.
pub(crate) const TILE: usize = 8;

/// How many entries a product has: one pass over the weights each, or tiles of [`TILE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entries {
    /// A pass over the weights for each.
    One,
    /// A pass over the weights for up to [`TILE`].
    Many,
}

/// The kernel that multiplies weights of a format.
pub(crate) fn matmul(format: Format, precision: Precision, entries: Entries) -> Kernel<MatmulArgs> {
    let function = match (precision, entries) {
        (Precision::Exact, Entries::One) => "matmul_exact_one",
        (Precision::Exact, Entries::Many) => "matmul_exact_many",
        (Precision::Fast, Entries::One) => "matmul_fast_one",
        (Precision::Fast, Entries::Many) => "matmul_fast_many",
    };
    // The tensor's own format decides; a neighbour's once did.
    let format = if fault!("cuda-wrong-format") && format == Format::Q6K { Format::Q5K } else { format };
    Kernel::with("matmul.cu", function, vec![format!("FORMAT={format}")])
}

/// The function of a fused kernel in a precision.
fn fused<A>(format: Format, precision: Precision, exact: &'static str, fast: &'static str) -> Kernel<A> {
    let function = if precision == Precision::Exact { exact } else { fast };
    Kernel::with("fused.cu", function, vec![format!("FORMAT={format}")])
}

/// The kernel that adds a product to the residual stream.
pub(crate) fn sum(format: Format, precision: Precision) -> Kernel<SumArgs> {
    fused(format, precision, "sum_exact", "sum_fast")
}

/// The kernel that makes the inner values of a feed-forward block.
pub(crate) fn gate_up(format: Format, precision: Precision) -> Kernel<GateUpArgs> {
    fused(format, precision, "gate_up_exact", "gate_up_fast")
}

/// The kernel that adds the chosen experts' outputs to the residual stream.
pub(crate) fn down(format: Format, precision: Precision) -> Kernel<DownArgs> {
    fused(format, precision, "down_exact", "down_fast")
}

/// The kernel that looks tokens up in a table of a format.
pub(crate) fn embed(format: Format) -> Kernel<EmbedArgs> {
    Kernel::with("matmul.cu", "embed", vec![format!("FORMAT={format}")])
}

/// The kernel that appends keys and values in the precision's form.
pub(crate) fn append(precision: Precision) -> Kernel<AppendArgs> {
    Kernel::of(
        "elementwise.cu",
        match precision {
            Precision::Exact => "append_f32",
            Precision::Fast => "append_f16",
        },
    )
}

/// The kernel that computes scores from keys in the precision's form.
pub(crate) fn scores(precision: Precision) -> Kernel<ScoresArgs> {
    Kernel::of(
        "attention.cu",
        match precision {
            Precision::Exact => "scores_f32",
            Precision::Fast => "scores_f16",
        },
    )
}

/// The kernel of `fast` attention for heads of `head_dim`, `group` of which share a key head.
pub(crate) fn attention_fast(head_dim: usize, group: usize) -> Kernel<AttentionFastArgs> {
    Kernel::with(
        "attention.cu",
        "attention_fast",
        vec![format!("HEAD_DIM={head_dim}"), format!("GROUP={group}")],
    )
}

/// Most experts a layer may have; route.cuh.
pub(crate) const MOST_EXPERTS: usize = 512;
/// Most experts a row may choose; route.cuh.
pub(crate) const MOST_CHOSEN: usize = 32;
/// Most chunks into which the keys of a row are cut; attention.cuh.
pub(crate) const MOST_CHUNKS: usize = 32;
/// Keys of the smallest chunk; attention.cuh.
pub(crate) const SMALLEST_CHUNK: usize = 64;

/// Bytes of one key or value element.
pub(crate) fn kv_bytes(precision: Precision) -> usize {
    match precision {
        Precision::Exact => 4,
        Precision::Fast => 2,
    }
}

/// Every source with every set of definitions that an operation may ask for.
pub(crate) fn specialisations() -> Vec<(&'static str, Vec<String>)> {
    let formats: Vec<&str> = FORMATS.iter().map(|row| row.name).collect();
    let of = |name: &'static str| {
        definitions(name, &formats).into_iter().map(move |definitions| (name, definitions))
    };
    SOURCES.iter().flat_map(|(name, _)| of(name)).collect()
}

/// The unit that holds a kernel; `None` for a source that is not embedded.
pub(crate) fn unit<'a>(source: &'static str, definitions: &'a [String]) -> Option<Unit<'a>> {
    let (name, text) = SOURCES.iter().find(|(name, _)| *name == source)?;
    Some(Unit { name, source: text, headers: HEADERS, definitions })
}

/// Faults that live in device code, as definitions for the compiler.
pub(crate) fn planted() -> Vec<String> {
    let faults = [
        (fault!("cuda-router-tie-highest"), "FAULT_ROUTER_TIE_HIGHEST"),
        (fault!("cuda-router-skip-renorm"), "FAULT_ROUTER_SKIP_RENORM"),
        (fault!("cuda-fused-rank-order"), "FAULT_FUSED_RANK_ORDER"),
        (fault!("cuda-quantum-truncated"), "FAULT_QUANTUM_TRUNCATED"),
        (fault!("cuda-missing-barrier"), "FAULT_MISSING_BARRIER"),
        (fault!("cuda-row-off-by-one"), "FAULT_ROW_OFF_BY_ONE"),
        (fault!("cuda-swapped-nibble"), "FAULT_SWAPPED_NIBBLE"),
        (fault!("cuda-f16-overflow"), "FAULT_F16_OVERFLOW"),
        (fault!("cuda-gate-up-swapped"), "FAULT_GATE_UP_SWAPPED"),
        (fault!("cuda-combine-drops-last"), "FAULT_COMBINE_DROPS_LAST"),
    ];
    faults.into_iter().filter(|(armed, _)| *armed).map(|(_, name)| name.to_owned()).collect()
}
