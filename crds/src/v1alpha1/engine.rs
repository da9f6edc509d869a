//! The inference server.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::IMAGE;

/// An enum that is closed on write (the schema lists its values) and open on read (an unknown value is kept as `Other`),
/// so that an object stored by a newer operator does not blind an older one.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A value that this version does not know.
            Other(String),
        }

        impl $name {
            /// Every value that may be written, in the order of the schema.
            pub const KNOWN: &[Self] = &[$(Self::$variant),+];

            /// The value as users write it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from(String::deserialize(deserializer)?.as_str()))
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($text),+]})
            }
        }
    };
}
pub(super) use open_enum;

open_enum! {
    /// Which inference server.
    EngineType {
        /// The llama.cpp server: GGUF files, on accelerators and on processors.
        LlamaCpp = "LlamaCpp",
        /// llm-d-inference-sim: answers like vLLM without a model or an accelerator, for rehearsals.
        Simulator = "Simulator",
        /// Any other container that serves the OpenAI API on port 8000.
        Custom = "Custom",
    }
}

/// The inference server of every replica.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("!has(self.type) || self.type != 'Custom' || has(self.image)").message(
        "spec.engine.image is required when spec.engine.type is Custom; name the container image that serves the OpenAI API on port 8000"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// Which inference server. Unit: one of LlamaCpp, Simulator, Custom. Default: LlamaCpp. Example: LlamaCpp.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<EngineType>,

    /// Container image, in place of the catalogue's; a digest is recommended. Unit: an image reference. Default: the
    /// catalogue's for the engine and the accelerator. Example: example.org/llama-server@sha256:… .
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE))]
    pub image: Option<String>,

    /// Further arguments, appended last. A flag that the operator sets itself is refused by name. Unit: arguments, at most
    /// 64 of 4096 characters. Default: none. Example: [--flash-attn, "on"].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)), extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,

    /// Environment variables. Unit: names and values, at most 64. Default: none. Example: [{name: LLAMA_ARG_FLASH_ATTN, value: "on"}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,

    /// Conversations that one replica works on at once. Unit: sequences, 1 to 4096. Default: from the fit, at most 8 for
    /// LlamaCpp and 256 for the others. Example: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub max_concurrent_sequences: Option<i32>,
}

/// One environment variable. A value only: secrets have typed fields of their own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct EnvVar {
    /// Its name. Unit: letters, digits and '_'. Default: none, it is required. Example: LLAMA_ARG_FLASH_ATTN.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,

    /// Its value. Unit: text of at most 4096 characters. Default: empty. Example: "on".
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}
