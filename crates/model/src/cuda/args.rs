//! The argument of every kernel: one struct by value, laid out the same on both sides.
//!
//! The table below is the only definition; kernels/args.cuh is generated from it, and a test compares the two. Addresses
//! are plain numbers here: `launch` takes them from memory that it has checked.

macro_rules! arguments {
    ($($(#[doc = $doc:literal])* struct $name:ident { $($(#[doc = $text:literal])* $field:ident: $c:literal $rust:ty,)* })*) => {
        $(
            $(#[doc = $doc])*
            #[repr(C)]
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $name { $($(#[doc = $text])* pub(crate) $field: $rust,)* }
        )*
        /// The same structs as C++.
        #[cfg(test)]
        fn header() -> String {
            let mut text = String::from(HEADER);
            $(
                $(text += &format!("\n///{}", $doc);)*
                text += concat!("\nstruct ", stringify!($name), " {\n");
                $(
                    $(text += &format!("    ///{}\n", $text);)*
                    text += &format!("    {} {};\n", $c, stringify!($field));
                )*
                text += "};\n";
            )*
            text
        }
    };
}

#[cfg(test)]
const HEADER: &str = "\
// The argument of every kernel. Generated from crates/model/src/cuda/args.rs; after a change there run
//     UPDATE_ARGS=1 cargo test -p model cuda::args
#pragma once
";

arguments! {
    /// Activations, `[rows, width]`: floats, and in `fast` quanta with a scale and sums per 32 columns.
    struct Plane {
        f: "float*" u64,
        /// Null where there is no 8-bit form.
        q: "signed char*" u64,
        s: "uint2*" u64,
        width: "unsigned" u32,
    }
    /// A weight tensor, `[count, rows, cols]`.
    struct Weights {
        data: "const unsigned char*" u64,
        /// Blocks of the whole tensor: where planes begin in formats that have them.
        blocks: "unsigned long long" u64,
        rows: "unsigned" u32,
        cols: "unsigned" u32,
    }
    /// See matmul.cu.
    struct EmbedArgs {
        table: "Weights" Weights,
        token: "const unsigned*" u64,
        out: "float*" u64,
    }
    /// See matmul.cu.
    struct MatmulArgs {
        w: "Weights" Weights,
        x: "Plane" Plane,
        out: "float*" u64,
        /// Expert of each entry; null for the only matrix.
        experts: "const unsigned*" u64,
        /// Entries by expert; null for their own order.
        order: "const unsigned*" u64,
        /// `{expert, first place in order, entries, 0}`; null where all entries share the only matrix.
        tiles: "const uint4*" u64,
        tile_count: "const unsigned*" u64,
        out_stride: "unsigned" u32,
        /// First column written.
        col: "unsigned" u32,
        entries: "unsigned" u32,
        /// Entries that read the same row of x.
        entries_per_row: "unsigned" u32,
    }
    /// See fused.cu.
    struct SumArgs {
        w: "Weights" Weights,
        x: "Plane" Plane,
        /// The residual stream, `[entries, rows of w]`.
        sum: "float*" u64,
        /// Where the address to store at is found, for the product and for the sum; null when nobody watches.
        slot_out: "float* const*" u64,
        slot_sum: "float* const*" u64,
    }
    /// See fused.cu.
    struct GateUpArgs {
        gate: "Weights" Weights,
        up: "Weights" Weights,
        x: "Plane" Plane,
        out: "Plane" Plane,
        /// Expert of each entry; null for the only matrix.
        experts: "const unsigned*" u64,
        /// Entries that read the same row of x.
        entries_per_row: "unsigned" u32,
        slot_gate: "float* const*" u64,
        slot_up: "float* const*" u64,
        slot_out: "float* const*" u64,
    }
    /// See fused.cu.
    struct DownArgs {
        w: "Weights" Weights,
        /// A row for each entry.
        x: "Plane" Plane,
        /// Expert of each entry; null for the only matrix.
        experts: "const unsigned*" u64,
        weights: "const float*" u64,
        /// The residual stream, `[positions, rows of w]`.
        sum: "float*" u64,
        chosen: "unsigned" u32,
        slot_down: "float* const*" u64,
        slot_out: "float* const*" u64,
        slot_sum: "float* const*" u64,
    }
    /// See norm.cu.
    struct NormArgs {
        out: "Plane" Plane,
        x: "const float*" u64,
        w: "const float*" u64,
        eps: "float" f32,
    }
    /// See norm.cu.
    struct HeadNormArgs {
        x: "float*" u64,
        w: "const float*" u64,
        stride: "unsigned" u32,
        start: "unsigned" u32,
        n: "unsigned" u32,
        eps: "float" f32,
    }
    /// See elementwise.cu.
    struct BiasArgs {
        x: "float*" u64,
        b: "const float*" u64,
        stride: "unsigned" u32,
        col: "unsigned" u32,
        n: "unsigned" u32,
    }
    /// See elementwise.cu.
    struct AddArgs {
        x: "float*" u64,
        y: "const float*" u64,
        width: "unsigned" u32,
    }
    /// See elementwise.cu.
    struct SwigluArgs {
        out: "Plane" Plane,
        gate_up: "const float*" u64,
    }
    /// See elementwise.cu.
    struct CombineArgs {
        out: "float*" u64,
        y: "const float*" u64,
        weights: "const float*" u64,
        chosen: "unsigned" u32,
        width: "unsigned" u32,
    }
    /// See elementwise.cu.
    struct RopeArgs {
        x: "float*" u64,
        position: "const unsigned*" u64,
        /// `[positions, pairs]`
        cos: "const float*" u64,
        /// `[positions, pairs]`
        sin: "const float*" u64,
        stride: "unsigned" u32,
        start: "unsigned" u32,
        head_dim: "unsigned" u32,
        pairs: "unsigned" u32,
        /// Whether neighbours form a pair, not the halves of a head.
        neighbours: "unsigned" u32,
    }
    /// See elementwise.cu.
    struct AppendArgs {
        qkv: "const float*" u64,
        k: "void*" u64,
        v: "void*" u64,
        position: "const unsigned*" u64,
        sequence: "const unsigned*" u64,
        stride: "unsigned" u32,
        /// Column of the first key.
        k_start: "unsigned" u32,
        heads: "unsigned" u32,
        head_dim: "unsigned" u32,
        capacity: "unsigned" u32,
    }
    /// See elementwise.cu.
    struct SelectArgs {
        out: "float*" u64,
        x: "const float*" u64,
        rows: "const unsigned*" u64,
        width: "unsigned" u32,
    }
    /// See elementwise.cu.
    struct TapArgs {
        x: "const float*" u64,
        /// Where the address to store at is found; it may be null.
        slot: "float* const*" u64,
        stride: "unsigned" u32,
        start: "unsigned" u32,
        n: "unsigned" u32,
    }
    /// Queries, and the keys and values of their sequences.
    struct HeadsArgs {
        qkv: "const float*" u64,
        k: "const void*" u64,
        v: "const void*" u64,
        position: "const unsigned*" u64,
        sequence: "const unsigned*" u64,
        stride: "unsigned" u32,
        heads: "unsigned" u32,
        kv_heads: "unsigned" u32,
        head_dim: "unsigned" u32,
        capacity: "unsigned" u32,
        scale: "float" f32,
    }
    /// See attention.cu.
    struct ScoresArgs {
        h: "HeadsArgs" HeadsArgs,
        out: "float*" u64,
        longest: "unsigned" u32,
        softmax: "unsigned" u32,
    }
    /// See attention.cu.
    struct AttentionExactArgs {
        h: "HeadsArgs" HeadsArgs,
        out: "Plane" Plane,
        scratch: "float*" u64,
        /// Rows times heads.
        items: "unsigned" u32,
    }
    /// See attention.cu.
    struct AttentionFastArgs {
        h: "HeadsArgs" HeadsArgs,
        out: "Plane" Plane,
        partials: "float*" u64,
        arrivals: "unsigned*" u64,
    }
    /// See route.cu.
    struct TopKArgs {
        logits: "const float*" u64,
        ids: "unsigned*" u64,
        weights: "float*" u64,
        margin: "float*" u64,
        experts: "unsigned" u32,
        chosen: "unsigned" u32,
        renormalize: "unsigned" u32,
    }
    /// See route.cu.
    struct OnlyExpertArgs {
        ids: "unsigned*" u64,
        weights: "float*" u64,
        margin: "float*" u64,
        rows: "unsigned" u32,
    }
    /// See route.cu.
    struct SortArgs {
        ids: "const unsigned*" u64,
        order: "unsigned*" u64,
        tiles: "uint4*" u64,
        tile_count: "unsigned*" u64,
        entries: "unsigned" u32,
        experts: "unsigned" u32,
        /// Entries of a tile.
        tile: "unsigned" u32,
    }
    /// See repack.cu.
    struct RepackArgs {
        source: "const unsigned char*" u64,
        target: "unsigned char*" u64,
        /// Blocks of the whole tensor.
        blocks: "unsigned long long" u64,
        /// Place of the first.
        first: "unsigned long long" u64,
        n: "unsigned long long" u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the switch that rewrites the generated file")]
    fn the_header_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/args.cuh");
        if std::env::var("UPDATE_ARGS").is_ok() {
            std::fs::write(path, header()).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == header(),
            "kernels/args.cuh is out of date: UPDATE_ARGS=1 cargo test -p model cuda::args"
        );
    }
}
