//! Any bytes as blocks of any format: whole blocks give as many weights, anything else an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::quant::FORMATS;

fuzz_target!(|bytes: &[u8]| {
    for row in FORMATS {
        let mut out = vec![0.0; bytes.len() / row.bytes * row.block];
        let outcome = row.format.dequantize(bytes, &mut out);
        assert_eq!(outcome.is_ok(), bytes.len().is_multiple_of(row.bytes), "{}", row.name);
    }
});
