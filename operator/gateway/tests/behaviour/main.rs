//! The gateway in front of engines that do what they are told: answer, stop in the middle, hang, refuse.
//!
//! | Module | What |
//! |---|---|
//! | `engine` | engines to order |
//! | `gate` | a gateway, and clients |
//! | `passing` | what goes through, byte for byte |
//! | `failing` | what happens when engines fail |
//! | `refusing` | what the gateway refuses, and how |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod engine;
mod failing;
mod gate;
mod passing;
mod refusing;
