//! Tests one folder down.

mod inner;
