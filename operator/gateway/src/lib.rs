//! The data plane: between clients and engines stands this proxy, which goes on when everything else has stopped.
//!
//! | To find | Open |
//! |---|---|
//! | the way of one request | [`proxy`], `headers` |
//! | the way of a WebSocket | `upgrade` |
//! | which requests are let through | [`route`], [`keys`] |
//! | who waits, who is refused | [`admission`], [`rate`] |
//! | which replica is chosen | [`choose`] |
//! | whether a replica is well | [`health`], [`probe`] |
//! | which replicas there are | [`roster`], [`slices`], [`scene`] |
//! | what Kubernetes is asked | [`cluster`] |
//! | what is told by files | [`settings`] |
//! | what survives a restart | [`kept`] |
//! | how an engine is spoken to | [`upstream`], [`line`], `framing` |
//! | how an answer reaches the client | [`answer`], [`wait`], [`events`]; who does not read it: `reader` |
//! | what an engine says | [`said`] |
//! | what a request asks | `asked`, [`scan`] |
//! | when something is tried again | [`budget`] |
//! | the gateway's own words | [`refusal`] |
//! | counts and the access log | [`metrics`], [`account`] |
//! | the load by the second, for autoscaling | [`demand`] |
//! | traces | [`trace`], [`export`] |
//! | connections of clients, start and end | [`serve`], [`tls`], `socket`, [`run`], [`ready`] |

pub mod account;
pub mod admin;
pub mod admission;
pub mod answer;
mod asked;
pub mod budget;
pub mod choose;
pub mod cluster;
pub mod demand;
pub mod events;
pub mod export;
mod framing;
mod headers;
pub mod health;
pub mod kept;
pub mod keys;
pub mod line;
pub mod metrics;
pub mod probe;
pub mod proxy;
pub mod rate;
mod reader;
pub mod ready;
pub mod refusal;
pub mod replica;
pub mod roster;
pub mod route;
pub mod run;
pub mod said;
pub mod scan;
pub mod scene;
pub mod serve;
pub mod settings;
pub mod slices;
mod socket;
pub mod tls;
pub mod trace;
mod upgrade;
pub mod upstream;
pub mod wait;
