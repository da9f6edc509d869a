//! A fit and its refusal in words.

use std::fmt;

use super::room::{CONTEXT_STEP, whole_steps};
use super::{Fit, TooSmall};

impl Fit {
    /// The sum in words, for conditions and logs.
    pub fn explanation(&self) -> String {
        format!(
            "weights {} + overhead {} + KV cache {} ({} tokens) of {} usable on {}",
            self.weights_per_device,
            self.overhead_per_device,
            self.kv_pool_per_device,
            Tokens(self.kv_tokens),
            self.usable_per_device,
            Accelerators(self.count, "each of ")
        )
    }
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, needed, offered, weights, overhead, kv, context_length, sequences, kv_tokens } = self;
        write!(
            f,
            "needs {needed} and {} would have {offered} usable: weights {weights} + overhead {overhead} + KV cache {kv} \
             for {sequences} × {context_length} tokens",
            Accelerators(*count, "")
        )?;
        match kv_tokens / u64::from((*context_length).max(1)) {
            0 if *kv_tokens >= CONTEXT_STEP => {
                write!(f, "; a single conversation of {} tokens would fit", whole_steps(*kv_tokens))
            }
            0 => Ok(()),
            fitting => write!(f, "; {fitting} × {context_length} tokens would fit"),
        }
    }
}

impl std::error::Error for TooSmall {}

/// Tokens as people say them: 900, 509k, 4.1M.
struct Tokens(u64);

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            tokens @ 0..10_000 => write!(f, "{tokens}"),
            tokens @ 10_000..1_000_000 => write!(f, "{}k", tokens / 1000),
            tokens => write!(f, "{}.{}M", tokens / 1_000_000, tokens / 100_000 % 10),
        }
    }
}

/// So many accelerators, with a word before more than one.
struct Accelerators(u32, &'static str);

impl fmt::Display for Accelerators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(1, _) => f.write_str("1 accelerator"),
            Self(count, before) => write!(f, "{before}{count} accelerators"),
        }
    }
}
