//! Placeholder.

pub mod sip;
