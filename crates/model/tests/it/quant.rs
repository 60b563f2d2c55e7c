//! The scalar references of the weight formats, against vectors from the Python package `gguf`.

use falsify::{Claim, falsifier, require};
use model::quant::{Error, FORMATS, Format};
use safetensors::SafeTensors;

#[falsifier("FALSIFY-QUANT-REFERENCE-001")]
fn dequantized_blocks_equal_the_python_package(claim: &mut Claim) {
    let file = std::fs::read(require!(data "quant/vectors.safetensors")).unwrap();
    let vectors = SafeTensors::deserialize(&file).unwrap();
    for row in FORMATS {
        let bytes = vectors.tensor(&format!("{}.bytes", row.name)).unwrap();
        let weights = vectors.tensor(&format!("{}.weights", row.name)).unwrap();
        assert!(bytes.shape()[0] >= 24, "{}: too few blocks", row.name);
        let expected: Vec<f32> =
            weights.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let mut actual = vec![0.0; expected.len()];
        row.format.dequantize(bytes.data(), &mut actual).unwrap();
        claim.at("format", row.name).compare(&expected, &actual);
    }
}

#[falsifier("FALSIFY-QUANT-TABLE-001")]
fn rows_of_the_table_equal_the_python_package(claim: &mut Claim) {
    let file = std::fs::read(require!(data "quant/vectors.safetensors")).unwrap();
    let vectors = SafeTensors::deserialize(&file).unwrap();
    for row in FORMATS {
        let expected = vectors.tensor(&format!("{}.row", row.name)).unwrap();
        let expected: Vec<i32> =
            expected.data().as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect();
        claim.at("format", row.name).compare(&expected, &[row.id as i32, row.block as i32, row.bytes as i32]);
        // An id of a file leads to the row of that id.
        let found = Format::from_id(row.id).map_or(-1, |f| f.row().id as i32);
        claim.at("format", row.name).compare(&expected[..1], &[found]);
    }
}

#[falsifier("FALSIFY-QUANT-LENGTHS-001")]
fn lengths_that_do_not_fit_are_refused(claim: &mut Claim) {
    let mut out = [0.0; 256];
    let broken = Format::Q4K.dequantize(&[0; 144], &mut out[..255]);
    claim.check("a broken block", broken == Err(Error::Blocks { format: Format::Q4K, weights: 255 }));
    for found in [0, 143, 145, 288] {
        let error = Error::Bytes { format: Format::Q4K, weights: 256, expected: 144, found };
        let outcome = Format::Q4K.dequantize(&vec![0; found], &mut out);
        claim.check(&format!("{found} bytes for 256 weights"), outcome == Err(error));
    }
    claim.check("nothing is whole", Format::Q8_0.dequantize(&[], &mut []) == Ok(()));
    claim.check("lengths do not wrap", Format::F32.row_bytes(usize::MAX).is_none());
}

/// Where the first weight of a sequence that is no finite number stands; -1 where there is none.
fn first(weights: &[f32]) -> i64 {
    weights.iter().position(|w| !w.is_finite()).map_or(-1, |at| at as i64)
}

#[falsifier("FALSIFY-QUANT-FINITE-001")]
fn the_first_weight_that_is_not_finite_is_found(claim: &mut Claim) {
    // Half floats and upper halves of F32 and BF16: infinite, NaN, the largest finite ones, and zero.
    const WORDS: [u16; 9] = [0x7C00, 0xFC00, 0x7E00, 0x7F80, 0xFF80, 0x7FC0, 0x7BFF, 0x7F7F, 0];
    let file = std::fs::read(require!(data "quant/vectors.safetensors")).unwrap();
    let vectors = SafeTensors::deserialize(&file).unwrap();
    for row in FORMATS {
        let bytes = vectors.tensor(&format!("{}.bytes", row.name)).unwrap();
        let search = |blocks: &[u8]| {
            let mut weights = vec![0.0; blocks.len() / row.bytes * row.block];
            row.format.dequantize(blocks, &mut weights).unwrap();
            (first(&weights), row.format.first_not_finite(blocks).map_or(-1, |at| at as i64))
        };
        let mut outcomes = vec![search(bytes.data())];
        // Each block of the vectors alone, and one with each pair of its bytes replaced: a scale, or weights.
        let blocks = bytes.data().chunks_exact(row.bytes);
        outcomes.extend(blocks.clone().map(search));
        let sound =
            blocks.clone().find(|block| search(block).0 < 0 && block.iter().any(|b| *b != 0)).unwrap();
        let mut broken = sound.to_vec();
        for at in (0..row.bytes).step_by(2) {
            for word in WORDS {
                let mut block = sound.to_vec();
                block[at..at + 2].copy_from_slice(&word.to_le_bytes());
                let outcome = search(&block);
                if outcome.0 >= 0 {
                    broken = block;
                }
                outcomes.push(outcome);
            }
        }
        // Behind sound blocks: at the ends of the runs of 1024 that are looked at together, and in several of them.
        for places in [&[1023][..], &[1024], &[1025], &[2047], &[3, 1500], &[1500, 2046], &[]] {
            let mut blocks = sound.repeat(2048);
            for at in places {
                blocks[at * row.bytes..][..row.bytes].copy_from_slice(&broken);
            }
            outcomes.push(search(&blocks));
        }
        assert!(outcomes.iter().any(|(want, _)| *want > 0), "{}: nothing is broken", row.name);
        let (want, got): (Vec<i64>, Vec<i64>) = outcomes.into_iter().unzip();
        claim.at("format", row.name).compare(&want, &got);
    }
}

#[test]
fn ids_and_names_are_unique() {
    for (i, row) in FORMATS.iter().enumerate() {
        assert_eq!(Format::from_id(row.id), Some(row.format));
        assert_eq!(row.format.row().name, row.name);
        assert!(FORMATS[..i].iter().all(|r| r.name != row.name), "{}", row.name);
    }
    // Removed from GGML; Q8_1 and Q8_K are formats of activations.
    for id in [4, 5, 9, 15, 255, u32::MAX] {
        assert_eq!(Format::from_id(id), None);
    }
}
