//! The arithmetic of F1 to F4.

use deepseek_crds::unit::Bytes;

use super::{Device, Facts, Fit, HostFit, TooSmall, Wish};

/// Share of a device's memory that is planned with, in thousandths (F4); what the engines call memory utilisation.
const UTILISATION_PER_MILLE: u128 = 900;
/// Activations and runtime per device (F3).
const OVERHEAD: u128 = 1_500_000_000;
/// Activations and runtime per device for a large mixture of experts (F3).
const LARGE_OVERHEAD: u128 = 5_000_000_000;
/// Weights from which a mixture of experts counts as large.
const LARGE_WEIGHTS: Bytes = Bytes(100_000_000_000);
/// Buffers and runtime of an engine on processors alone.
const HOST_OVERHEAD: u128 = 500_000_000;
/// Conversations of full length that a chosen context leaves room for.
const CONVERSATIONS: u32 = 4;
/// Context below which it matters more than the number of conversations, in tokens.
const COMFORTABLE_CONTEXT: u32 = 4096;
/// Least context that is chosen unasked, in tokens: a question and an answer. Less serves only who asks for it.
const LEAST_CONTEXT: u32 = 1024;
/// A chosen context is a multiple of this, in tokens; engines round their cache up to such steps.
pub(super) const CONTEXT_STEP: u64 = 256;

/// Sizes a model for processors alone. Memory of a host is asked for and not given, so that this always succeeds; unasked
/// it plans with four conversations of 4096 tokens.
pub fn fit_host(facts: &Facts, wish: &Wish) -> HostFit {
    let context_length = wish.context_length.unwrap_or(facts.max_context_length.min(COMFORTABLE_CONTEXT)).max(1);
    let sequences = wish.sequences.unwrap_or(wish.default_sequences.min(CONVERSATIONS)).max(1);
    let kv = cache(facts, u64::from(context_length) * u64::from(sequences));
    HostFit { memory: bytes(u128::from(facts.weights.0) + kv + HOST_OVERHEAD), context_length, sequences }
}

/// What `count` devices offer a model before anyone has talked to it.
pub(super) struct Room<'a> {
    facts: &'a Facts,
    count: u32,
    usable: u128,
    weights: u128,
    overhead: u128,
}

impl<'a> Room<'a> {
    pub(super) fn new(facts: &'a Facts, device: Device, count: u32) -> Self {
        let large = facts.mixture_of_experts && facts.weights > LARGE_WEIGHTS;
        Self {
            facts,
            count,
            usable: u128::from(device.memory.0) * UTILISATION_PER_MILLE / 1000,
            weights: u128::from(facts.weights.0).div_ceil(u128::from(count.max(1))),
            overhead: if large { LARGE_OVERHEAD } else { OVERHEAD },
        }
    }

    /// Cache pool of one device; `None` when weights and overhead alone are too much.
    fn pool(&self) -> Option<u128> {
        self.usable.checked_sub(self.weights + self.overhead).filter(|_| self.count > 0)
    }

    /// Tokens of the replica's cache.
    fn tokens(&self) -> u64 {
        let shares = if self.facts.kv_replicated { 1 } else { u128::from(self.count) };
        let pool = self.pool().unwrap_or_default() * shares;
        let unbounded = if self.pool().is_some() { u128::MAX } else { 0 };
        clamped(pool.checked_div(u128::from(self.facts.kv_bytes_per_token)).unwrap_or(unbounded))
    }

    /// Context and conversations to serve with; `None` when there is no room for them.
    pub(super) fn conversations(&self, wish: &Wish) -> Option<(u32, u32)> {
        let tokens = self.tokens();
        let context_length = wish.context_length.unwrap_or_else(|| self.context(wish, tokens)).max(1);
        let most = u32::try_from(tokens / u64::from(context_length)).unwrap_or(u32::MAX);
        let sequences = wish.sequences.unwrap_or(wish.default_sequences.min(most)).max(1);
        (sequences <= most).then_some((context_length, sequences))
    }

    /// The context for a wish that names none: the longest of which four fit, or as many as were asked for; where that
    /// gets uncomfortably short, a comfortable one of which fewer fit.
    fn context(&self, wish: &Wish, tokens: u64) -> u32 {
        let longest = self.facts.max_context_length;
        let each = whole_steps(tokens / u64::from(wish.sequences.unwrap_or(CONVERSATIONS).max(1)));
        let chosen = if wish.sequences.is_some() || each >= COMFORTABLE_CONTEXT {
            each
        } else {
            whole_steps(tokens).min(COMFORTABLE_CONTEXT)
        };
        chosen.max(LEAST_CONTEXT).min(longest)
    }

    pub(super) fn fit(&self, context_length: u32, sequences: u32) -> Fit {
        Fit {
            count: self.count,
            context_length,
            sequences,
            weights_per_device: bytes(self.weights),
            overhead_per_device: bytes(self.overhead),
            kv_pool_per_device: bytes(self.pool().unwrap_or_default()),
            usable_per_device: bytes(self.usable),
            kv_tokens: self.tokens(),
        }
    }

    pub(super) fn too_small(&self, wish: &Wish) -> TooSmall {
        let least = LEAST_CONTEXT.min(self.facts.max_context_length);
        let (context_length, sequences) =
            (wish.context_length.unwrap_or(least).max(1), wish.sequences.unwrap_or(1).max(1));
        let count = u128::from(self.count.max(1));
        let whole = cache(self.facts, u64::from(context_length) * u64::from(sequences));
        let kv = if self.facts.kv_replicated { whole } else { whole.div_ceil(count) };
        TooSmall {
            count: self.count,
            needed: bytes((self.weights + self.overhead + kv) * count),
            offered: bytes(self.usable * u128::from(self.count)),
            weights: bytes(self.weights * count),
            overhead: bytes(self.overhead * count),
            kv: bytes(kv * count),
            context_length,
            sequences,
            kv_tokens: self.tokens(),
        }
    }
}

/// Bytes of cache for so many tokens; far beyond any machine it stays below what the sums here can hold.
fn cache(facts: &Facts, tokens: u64) -> u128 {
    (u128::from(tokens) * u128::from(facts.kv_bytes_per_token)).min(1 << 90)
}

/// As many tokens, rounded down to a step.
pub(super) fn whole_steps(tokens: u64) -> u32 {
    u32::try_from(tokens / CONTEXT_STEP * CONTEXT_STEP).unwrap_or(u32::MAX)
}

fn clamped(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn bytes(number: u128) -> Bytes {
    Bytes(clamped(number))
}
