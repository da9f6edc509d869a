//! Server-side apply: who owns which field, and what follows.
//!
//! | file | holds |
//! |---|---|
//! | `keys` | which lists merge by key, which values are replaced whole |
//! | `path` | the way to a field, and the fields of an object |
//! | `merge` | laying an applied set over an object, taking fields away |
//! | `owners` | managers, conflicts, what an apply or an update leaves behind |

pub(crate) mod keys;
pub(crate) mod merge;
pub(crate) mod owners;
pub(crate) mod path;

#[cfg(test)]
mod tests;

pub(crate) use keys::MergeKeys;
pub(crate) use owners::{Author, Operation, Owners};
