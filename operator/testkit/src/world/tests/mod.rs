//! The world as a whole: snapshots, and the real runtime against it.

mod looping;
mod runtime;
mod snapshots;
