//! Cross-crate falsifiers live in the test target `it`; the library part is empty.
