//! What fits: weights, runtime and key-value cache against the memory of a replica's accelerators.
//!
//! ```text
//! F1  W  bytes of all weights                    the catalogue's, or the deployment's own facts
//! F2  k  bytes of cache for one token            the same; at 16 bits per value
//! F3  o  bytes of activations and runtime        1.5 GB per device; 5 GB for a mixture of experts above 100 GB
//! F4  u  bytes usable on a device                0.90 x M, the rest is left to driver and fragmentation
//!
//!     p = u - W / n - o                          cache pool of each of the n devices; nothing fits below zero
//!     T = p / k                                  tokens, where every device holds the whole cache (F2b: latent attention)
//!     T = p x n / k                              tokens, where the devices divide it (grouped attention)
//!     T >= context x sequences                   what was asked, or else what is chosen here
//! ```
//!
//! Latent attention that is run data-parallel divides its cache too: say so with `kv_replicated: false`.
//!
//! All arithmetic is in whole bytes: needs are rounded up and room is rounded down, so that rounding never makes
//! something fit. Nothing overflows, whatever the input.
//!
//! *Assumptions*: weights divide evenly; only the cache grows with the load. F3 is a rule of thumb from start-up reports
//! of inference engines, so a fit is a promise about arithmetic and not about a kernel: features are checked elsewhere.

mod room;
#[cfg(test)]
mod tests;
mod words;

use deepseek_crds::unit::Bytes;
use deepseek_crds::v1alpha1::Precision;

use room::Room;
pub use room::fit_host;

/// What is served: the numbers of a model in one precision that decide what it fits on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Name of the model, for people.
    pub name: String,
    /// Precision of the weights.
    pub precision: Precision,
    /// All weights as they are loaded (F1).
    pub weights: Bytes,
    /// Bytes of cache for one token of one conversation (F2).
    pub kv_bytes_per_token: u64,
    /// Whether every device holds the whole cache (F2b).
    pub kv_replicated: bool,
    /// Whether only some experts work on each token; it decides the overhead (F3).
    pub mixture_of_experts: bool,
    /// Longest conversation the model was made for, in tokens.
    pub max_context_length: u32,
}

/// What the deployment asks for. Zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Longest conversation, in tokens; `None` leaves it to the fit. It is not compared with the model's own maximum.
    pub context_length: Option<u32>,
    /// Conversations of that length at once; `None` leaves it to the fit.
    pub sequences: Option<u32>,
    /// The most conversations that the fit chooses unasked: the engine's default.
    pub default_sequences: u32,
}

/// One accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// All of its memory.
    pub memory: Bytes,
}

/// Proof that a model fits: only [`fit`] and [`smallest`] make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    count: u32,
    context_length: u32,
    sequences: u32,
    weights_per_device: Bytes,
    overhead_per_device: Bytes,
    kv_pool_per_device: Bytes,
    usable_per_device: Bytes,
    kv_tokens: u64,
}

/// Why a model does not fit, with the numbers that would have to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// Accelerators of the replica.
    pub count: u32,
    /// Least memory that would do, over all accelerators of the replica.
    pub needed: Bytes,
    /// Usable memory of all accelerators of the replica.
    pub offered: Bytes,
    /// Part of `needed` for weights.
    pub weights: Bytes,
    /// Part of `needed` for activations and runtime.
    pub overhead: Bytes,
    /// Part of `needed` for the cache.
    pub kv: Bytes,
    /// Length of the conversations that `needed` counts with, in tokens.
    pub context_length: u32,
    /// Number of conversations that `needed` counts with.
    pub sequences: u32,
    /// Tokens of cache that do fit beside the weights.
    pub kv_tokens: u64,
}

/// What an engine needs on processors alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFit {
    /// Memory of the process: weights, cache and 0.5 GB.
    pub memory: Bytes,
    /// Longest conversation, in tokens.
    pub context_length: u32,
    /// Conversations of that length at once.
    pub sequences: u32,
}

/// Fits a model on `count` accelerators.
///
/// # Errors
/// [`TooSmall`] when weights, overhead and the cache that was asked for (or the least that is of use) need more.
pub fn fit(facts: &Facts, wish: &Wish, device: &Device, count: u32) -> Result<Fit, TooSmall> {
    let room = Room::new(facts, *device, count);
    match room.conversations(wish) {
        Some((context_length, sequences)) => Ok(room.fit(context_length, sequences)),
        None => Err(room.too_small(wish)),
    }
}

/// Fits a model on the fewest accelerators: 1, 2, 4, 8 … up to `most`, since tensor parallelism needs counts that divide
/// the number of attention heads.
///
/// # Errors
/// [`TooSmall`] of the largest count that was tried.
pub fn smallest(facts: &Facts, wish: &Wish, device: &Device, most: u32) -> Result<Fit, TooSmall> {
    let counts = std::iter::successors(Some(2_u32), |count| count.checked_mul(2)).take_while(|count| *count <= most);
    counts
        .fold(fit(facts, wish, device, most.min(1)), |found, count| found.or_else(|_| fit(facts, wish, device, count)))
}

impl Fit {
    /// Accelerators of the replica.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Longest conversation, in tokens.
    pub fn context_length(&self) -> u32 {
        self.context_length
    }

    /// Conversations of that length at once; they fit together.
    pub fn sequences(&self) -> u32 {
        self.sequences
    }

    /// Weights on each accelerator.
    pub fn weights_per_device(&self) -> Bytes {
        self.weights_per_device
    }

    /// Activations and runtime on each accelerator.
    pub fn overhead_per_device(&self) -> Bytes {
        self.overhead_per_device
    }

    /// Memory that is left for the cache on each accelerator.
    pub fn kv_pool_per_device(&self) -> Bytes {
        self.kv_pool_per_device
    }

    /// Memory that is planned with on each accelerator: the three parts together.
    pub fn usable_per_device(&self) -> Bytes {
        self.usable_per_device
    }

    /// Tokens that the cache of the whole replica holds.
    pub fn kv_tokens(&self) -> u64 {
        self.kv_tokens
    }
}
