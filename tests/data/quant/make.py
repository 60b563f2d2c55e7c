"""Write vectors.safetensors: blocks of every weight format, and their weights as the Python package `gguf` has them.

Per format: `<FORMAT>.row` is its id, weights and bytes of a block; `<FORMAT>.bytes` [blocks, bytes of a block] and `<FORMAT>.weights` [blocks, weights of a block]. The blocks are random; in the
first ones the half-float scales are special values, and two blocks are all zeros and all ones.
usage: pip install gguf==0.19.0 numpy safetensors && python3 make.py
"""
import pathlib
import warnings

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

FORMATS = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split()
# Byte offsets of the half floats of a block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}
# Zeros, subnormals (smallest, largest), smallest normal, one, largest, infinities, NaN.
SPECIAL = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xFBFF, 0x7C00, 0xFC00, 0x7E00]

warnings.simplefilter("ignore")
rng = np.random.default_rng(20)
out = {}
for name in FORMATS:
    block, size = gguf.GGML_QUANT_SIZES[T[name]]
    n = {1: 256, 32: 40, 256: 24}[block]
    a = rng.integers(0, 256, (n, size), dtype=np.uint8)
    a[n - 2], a[n - 1] = 0, 255
    for at in SCALES.get(name, []):
        # Sensible magnitudes, so that most products are ordinary numbers.
        half = rng.standard_normal(n).astype(np.float16)
        half[: len(SPECIAL)] = rng.permutation(np.array(SPECIAL, dtype=np.uint16)).view(np.float16)
        a[: n - 2, at : at + 2] = half.view(np.uint8).reshape(n, 2)[: n - 2]
    if block == 1:
        # One number a block: special halves, their bfloat16 namesakes, and singles that start with them.
        a[: len(SPECIAL), size - 2 :] = np.array(SPECIAL, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    weights = gguf.quants.dequantize(a.reshape(-1), T[name]).astype(np.float32).reshape(n, block)
    out[f"{name}.row"] = np.array([T[name], block, size], dtype=np.int32)
    out[f"{name}.bytes"] = a
    out[f"{name}.weights"] = weights
save_file(out, pathlib.Path(__file__).with_name("vectors.safetensors"))
