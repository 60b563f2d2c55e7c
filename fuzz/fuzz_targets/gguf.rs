//! Any bytes as a GGUF file: refused, or a description that holds together.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::gguf::File;

fuzz_target!(|bytes: &[u8]| {
    let file = match File::parse(bytes) {
        Ok(file) => file,
        Err(error) => {
            assert!(!error.to_string().contains('\n'));
            return;
        }
    };
    for tensor in &file.tensors {
        assert!(bytes.get(tensor.bytes.clone()).is_some());
        assert_eq!(tensor.format.row_bytes(tensor.weights()), Some(tensor.bytes.len()));
        assert_eq!(tensor.cols() * tensor.rows() * tensor.count(), tensor.weights());
        assert_eq!(file.tensor(&tensor.name), Some(tensor));
    }
    for (key, value) in file.metadata.iter() {
        assert!(file.metadata.get(key).is_some());
        assert!(!value.to_string().contains('\n'));
    }
});
