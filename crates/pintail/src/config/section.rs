//! The macro that declares one section of the configuration: its keys, their types and defaults.

/// Declares structs whose fields carry their default, readable and writable by serde.
///
/// A key that is absent takes its default; whether a key exists at all is checked when the file is read.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub(crate) struct $name { $($(#[$field_doc])* pub(crate) $field: $type,)* }

        // Tokens and secrets stand among the values, so none is shown.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default.into(),)* }
            }
        }
    )*};
}

pub(super) use sections;

/// A part that this version does not look into: any keys are taken as they are.
pub(crate) type Opaque = serde_json::Map<String, serde_json::Value>;
