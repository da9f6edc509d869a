//! The API server as clients see it.
//!
//! | file | holds |
//! |---|---|
//! | `call` | a request, read: kind, place, verb, query |
//! | `serve` | the service: journal, faults, answer |
//! | `verbs` | reading and deleting |
//! | `writes` | create, update, the patches, scale |
//! | `stream` | watches |
//! | `shape` | types and unknown fields of built-in objects |
//! | `discovery` | version, health, groups and resources |

mod call;
mod discovery;
mod serve;
mod shape;
mod stream;
mod verbs;
mod writes;

#[cfg(test)]
mod tests;

pub(crate) use serve::ApiServer;
