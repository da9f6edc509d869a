//! The gateway in front of engines that do what they are told: answer, stop in the middle, hang, refuse.
//!
//! | Module | What |
//! |---|---|
//! | `client` | clients that keep connections, speak TLS and HTTP/2 |
//! | `connecting` | what connections clients may make |
//! | `telling` | traces, logs and metrics |
//! | `websocket` | requests that become a WebSocket |
//! | `stopping` | how a gateway ends without losing anything |
//! | `counting` | the load by the second |
//! | `cluster` | what an API server tells |
//! | `engine` | engines to order |
//! | `gate` | a gateway, and clients |
//! | `holding` | requests where no replica runs because nobody asked |
//! | `leaving` | what becomes of the work of clients that go |
//! | `passing` | what goes through, byte for byte |
//! | `failing` | what happens when engines fail |
//! | `refusing` | what the gateway refuses, and how |
//! | `starting` | a whole gateway, from its start to its end |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod client;
mod cluster;
mod connecting;
mod counting;
mod engine;
mod failing;
mod gate;
mod holding;
mod leaving;
mod passing;
mod refusing;
mod starting;
mod stopping;
mod telling;
mod websocket;
