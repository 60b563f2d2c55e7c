// The argument of every kernel. Generated from crates/model/src/cuda/args.rs; after a change there run
//     UPDATE_ARGS=1 cargo test -p model cuda::args
#pragma once

/// Activations, `[rows, width]`: floats, and in `fast` quanta with a scale and sums per 32 columns.
struct Plane {
    float* f;
    /// Null where there is no 8-bit form.
    signed char* q;
    uint2* s;
    unsigned width;
};

/// A weight tensor, `[count, rows, cols]`.
struct Weights {
    const unsigned char* data;
    /// Blocks of the whole tensor: where planes begin in formats that have them.
    unsigned long long blocks;
    unsigned rows;
    unsigned cols;
};

/// See matmul.cu.
struct EmbedArgs {
    Weights table;
    const unsigned* token;
    float* out;
};

/// See matmul.cu.
struct MatmulArgs {
    Weights w;
    Plane x;
    float* out;
    /// Expert of each entry; null for the only matrix.
    const unsigned* experts;
    /// Entries by expert; null for their own order.
    const unsigned* order;
    /// `{expert, first place in order, entries, 0}`; null where all entries share the only matrix.
    const uint4* tiles;
    const unsigned* tile_count;
    unsigned out_stride;
    /// First column written.
    unsigned col;
    unsigned entries;
    /// Entries that read the same row of x.
    unsigned entries_per_row;
};

/// See fused.cu.
struct SumArgs {
    Weights w;
    Plane x;
    /// The residual stream, `[entries, rows of w]`.
    float* sum;
    /// Where the address to store at is found, for the product and for the sum; null when nobody watches.
    float* const* slot_out;
    float* const* slot_sum;
};

/// See fused.cu.
struct GateUpArgs {
    Weights gate;
    Weights up;
    Plane x;
    Plane out;
    /// Expert of each entry; null for the only matrix.
    const unsigned* experts;
    /// Entries that read the same row of x.
    unsigned entries_per_row;
    float* const* slot_gate;
    float* const* slot_up;
    float* const* slot_out;
};

/// See fused.cu.
struct DownArgs {
    Weights w;
    /// A row for each entry.
    Plane x;
    /// Expert of each entry; null for the only matrix.
    const unsigned* experts;
    const float* weights;
    /// The residual stream, `[positions, rows of w]`.
    float* sum;
    unsigned chosen;
    float* const* slot_down;
    float* const* slot_out;
    float* const* slot_sum;
};

/// See norm.cu.
struct NormArgs {
    Plane out;
    const float* x;
    const float* w;
    float eps;
};

/// See norm.cu.
struct HeadNormArgs {
    float* x;
    const float* w;
    unsigned stride;
    unsigned start;
    unsigned n;
    float eps;
};

/// See elementwise.cu.
struct BiasArgs {
    float* x;
    const float* b;
    unsigned stride;
    unsigned col;
    unsigned n;
};

/// See elementwise.cu.
struct AddArgs {
    float* x;
    const float* y;
    unsigned width;
};

/// See elementwise.cu.
struct SwigluArgs {
    Plane out;
    const float* gate_up;
};

/// See elementwise.cu.
struct CombineArgs {
    float* out;
    const float* y;
    const float* weights;
    unsigned chosen;
    unsigned width;
};

/// See elementwise.cu.
struct RopeArgs {
    float* x;
    const unsigned* position;
    /// `[positions, pairs]`
    const float* cos;
    /// `[positions, pairs]`
    const float* sin;
    unsigned stride;
    unsigned start;
    unsigned head_dim;
    unsigned pairs;
    /// Whether neighbours form a pair, not the halves of a head.
    unsigned neighbours;
};

/// See elementwise.cu.
struct AppendArgs {
    const float* qkv;
    void* k;
    void* v;
    const unsigned* position;
    const unsigned* sequence;
    unsigned stride;
    /// Column of the first key.
    unsigned k_start;
    unsigned heads;
    unsigned head_dim;
    unsigned capacity;
};

/// See elementwise.cu.
struct SelectArgs {
    float* out;
    const float* x;
    const unsigned* rows;
    unsigned width;
};

/// See elementwise.cu.
struct TapArgs {
    const float* x;
    /// Where the address to store at is found; it may be null.
    float* const* slot;
    unsigned stride;
    unsigned start;
    unsigned n;
};

/// Queries, and the keys and values of their sequences.
struct HeadsArgs {
    const float* qkv;
    const void* k;
    const void* v;
    const unsigned* position;
    const unsigned* sequence;
    unsigned stride;
    unsigned heads;
    unsigned kv_heads;
    unsigned head_dim;
    unsigned capacity;
    float scale;
};

/// See attention.cu.
struct ScoresArgs {
    HeadsArgs h;
    float* out;
    unsigned longest;
    unsigned softmax;
};

/// See attention.cu.
struct AttentionExactArgs {
    HeadsArgs h;
    Plane out;
    float* scratch;
    /// Rows times heads.
    unsigned items;
};

/// See attention.cu.
struct AttentionFastArgs {
    HeadsArgs h;
    Plane out;
    float* partials;
    unsigned* arrivals;
};

/// See route.cu.
struct TopKArgs {
    const float* logits;
    unsigned* ids;
    float* weights;
    float* margin;
    unsigned experts;
    unsigned chosen;
    unsigned renormalize;
};

/// See route.cu.
struct OnlyExpertArgs {
    unsigned* ids;
    float* weights;
    float* margin;
    unsigned rows;
};

/// See route.cu.
struct SortArgs {
    const unsigned* ids;
    unsigned* order;
    uint4* tiles;
    unsigned* tile_count;
    unsigned entries;
    unsigned experts;
    /// Entries of a tile.
    unsigned tile;
};

/// See repack.cu.
struct RepackArgs {
    const unsigned char* source;
    unsigned char* target;
    /// Blocks of the whole tensor.
    unsigned long long blocks;
    /// Place of the first.
    unsigned long long first;
    unsigned long long n;
};
