//! The messages of Substrait, under the paths of the crate `substrait` that `datafusion-substrait` uses.

#[allow(clippy::all, missing_docs, rustdoc::all, reason = "generated")]
pub mod proto {
    pub mod extensions {
        include!(concat!(env!("OUT_DIR"), "/substrait.extensions.rs"));
    }

    include!(concat!(env!("OUT_DIR"), "/substrait.rs"));
}

pub mod version {
    use crate::proto::Version;

    /// The version of Substrait whose messages these are.
    pub const SUBSTRAIT_MAJOR_VERSION: u32 = 0;
    /// Its second number.
    pub const SUBSTRAIT_MINOR_VERSION: u32 = 85;
    /// Its third number.
    pub const SUBSTRAIT_PATCH_VERSION: u32 = 0;

    /// The version as a plan names it.
    pub fn version() -> Version {
        Version {
            major_number: SUBSTRAIT_MAJOR_VERSION,
            minor_number: SUBSTRAIT_MINOR_VERSION,
            patch_number: SUBSTRAIT_PATCH_VERSION,
            ..Version::default()
        }
    }

    /// The same with the name of the program that makes a plan.
    pub fn version_with_producer(producer: impl Into<String>) -> Version {
        Version { producer: producer.into(), ..version() }
    }
}
