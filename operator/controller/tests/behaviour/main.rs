//! The real controller in a fake world: what it makes of it in the end, whatever goes wrong on the way.
//!
//! | file | tells |
//! |---|---|
//! | `stage` | who plays: the world, engines that answer on command, operators that start, stop and crash |
//! | `stable` | *eventually stable*: any request may fail, any moment may be the last; the end is the same |
//! | `quiet` | nothing is written when nothing has changed |
//! | `spec` | what a user changes is done, and undone |
//! | `rivals` | others write too: foreign objects, hands on our objects, namesakes |
//! | `watches` | streams that break, expire, fall silent, or bring what nobody can read |
//! | `places` | nodes come and go, and there is one accelerator too few |
//! | `troubles` | what goes wrong is said, with its reason |
//! | `front` | gateways, what they need, and where the Service leads |
//! | `lost` | nodes that answer no more |
//! | `gateways` | gateways that tell of a load, or do not |
//! | `scaling` | replicas follow the load |
//! | `unsure` | what nobody knows for certain takes nothing away |
//! | `lease` | one leads, never two |
//!
//! All of it runs in virtual time: a wait of ten minutes takes milliseconds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test speaks")]

mod front;
mod gateways;
mod lease;
mod lost;
mod places;
mod quiet;
mod rivals;
mod room;
mod scaling;
mod spec;
mod stable;
mod stage;
mod troubles;
mod unsure;
mod watches;
mod zero;
