//! The contract: the custom resources of the DeepSeek operator, their rules, and the words of their conditions.
//!
//! | To find | Open |
//! |---|---|
//! | a field of the spec or the status | [`v1alpha1`], one file per noun |
//! | a condition type, a reason and what it means | [`condition`] |
//! | byte sizes and durations as users write them | [`unit`] |
//! | the `CustomResourceDefinition` as it is installed | [`schema`], and `yaml/` beside this crate |

#![allow(clippy::doc_markdown, reason = "the docs of fields are the text of `kubectl explain`, which is no Markdown")]

pub mod condition;
pub mod schema;
pub mod unit;
pub mod v1alpha1;

pub use v1alpha1::{DeepSeekDeployment, DeepSeekDeploymentSpec, DeepSeekDeploymentStatus};

/// The API group of every resource here.
pub const GROUP: &str = "deepseek-operator.io";
