//! The eight bytes that every format begins with (spec/README.md).

/// Size of a tag in bytes.
pub const TAG_SIZE: u64 = 8;

/// Hash suite 1: SHA-256.
pub const SUITE_SHA256: u8 = 1;

/// A format's first eight bytes: `assay`, a letter, a version, a hash suite.
pub type Tag = [u8; 8];
