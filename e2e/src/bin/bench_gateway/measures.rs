//! What is measured, in the order of the table, and what is aimed at.

use crate::subject::Subject;

/// What the median should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// Nothing is aimed at.
    None,
    /// This, or better.
    Is(f64),
    /// As this one's, or better.
    As(Subject),
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Digits behind the point, for people.
    pub digits: usize,
    /// Whether more is better.
    pub more: bool,
    /// What is aimed at.
    pub aim: Aim,
}

const fn measure(name: &'static str, unit: &'static str, digits: usize, aim: Aim) -> Measure {
    Measure { name, unit, digits, more: false, aim }
}

const fn more(name: &'static str, unit: &'static str, digits: usize, aim: Aim) -> Measure {
    Measure { name, unit, digits, more: true, aim }
}

/// As many small requests as go over 64 connections.
pub const SMALL: Measure = more("small JSON, 64 connections", "requests/s", 0, Aim::As(Subject::Haproxy));
/// Its median.
pub const SMALL_P50: Measure = measure("– small JSON, p50", "ms", 2, Aim::None);
/// Its slowest hundredth.
pub const SMALL_P99: Measure = measure("– small JSON, p99", "ms", 2, Aim::None);
/// Processor time of the proxy.
pub const SMALL_CPU: Measure = measure("– proxy CPU per request", "µs", 1, Aim::None);
/// At a rate that leaves all of them room.
pub const RATE_P50: Measure = measure("1,000 requests/s: p50", "µs", 0, Aim::None);
/// Its slowest hundredth.
pub const RATE_P99: Measure = measure("– 1,000 requests/s: p99", "µs", 0, Aim::None);
/// What the proxy adds.
pub const ADDED_P50: Measure = measure("– added to the direct way of the same round, p50", "µs", 0, Aim::Is(110.0));
/// What the proxy adds.
pub const ADDED_P99: Measure = measure("– added, p99", "µs", 0, Aim::As(Subject::Haproxy));
/// Processor time of the proxy.
pub const RATE_CPU: Measure = measure("– proxy CPU per request at that rate", "µs", 0, Aim::None);
/// A token on its way.
pub const TOKEN_P50: Measure = measure("1,000 streams × 20 tokens/s: token on its way, p50", "ms", 3, Aim::None);
/// Its slowest hundredth.
pub const TOKEN_P99: Measure = measure("– token on its way, p99", "ms", 2, Aim::As(Subject::Nginx));
/// Deviation from 50 ms.
pub const JITTER_P50: Measure = measure("– gap between tokens, deviation from 50 ms, p50", "ms", 3, Aim::None);
/// Its worst hundredth.
pub const JITTER_P99: Measure = measure("– deviation, p99", "ms", 2, Aim::As(Subject::Nginx));
/// Time to the first token.
pub const FIRST_P50: Measure = measure("– time to first token, p50", "ms", 2, Aim::None);
/// Its slowest hundredth.
pub const FIRST_P99: Measure = measure("– time to first token, p99", "ms", 2, Aim::None);
/// Processor time of the proxy.
pub const TOKEN_CPU: Measure = measure("– proxy CPU per million tokens", "s", 1, Aim::Is(18.0));
/// Memory before there is anything to do.
pub const REST: Measure = measure("RSS at rest", "MiB", 1, Aim::Is(15.0));
/// Memory of one more stream on which nothing happens.
pub const IDLE: Measure = measure("memory per idle stream, of 2,000", "KiB", 1, Aim::Is(10.0));
/// What goes on for nobody.
pub const LEFT: Measure =
    measure("engine streams left 1 s after 2,000 clients reset, silent after a token", "", 0, Aim::Is(0.0));
/// What goes on for nobody.
pub const LEFT_PREFILL: Measure = measure("– reset while the engine reads their prompts", "", 0, Aim::Is(0.0));
/// A long prompt.
pub const PROMPT: Measure = measure("prompt of 1 MB, p50", "ms", 2, Aim::None);
/// Processor time of the proxy.
pub const PROMPT_CPU: Measure = measure("– proxy CPU per prompt", "µs", 0, Aim::None);
/// Over HTTP/2.
pub const H2: Measure = more("HTTP/2, 8 connections × 8 streams", "requests/s", 0, Aim::None);
/// Processor time of the proxy.
pub const H2_CPU: Measure = measure("– proxy CPU per request, HTTP/2", "µs", 1, Aim::None);
/// Over TLS.
pub const TLS: Measure = more("TLS, 64 connections", "requests/s", 0, Aim::None);
/// Processor time of the proxy.
pub const TLS_CPU: Measure = measure("– proxy CPU per request, TLS", "µs", 1, Aim::None);
/// Conversations.
pub const AFFINITY: Measure =
    more("conversations: messages that the chosen engine still had in its cache", "%", 1, Aim::None);
/// What else ran on the machine.
pub const OTHERS: Measure = measure("cores that others used just before", "", 2, Aim::None);

/// In the order of the table.
pub const ALL: [Measure; 28] = [
    SMALL,
    SMALL_P50,
    SMALL_P99,
    SMALL_CPU,
    RATE_P50,
    RATE_P99,
    ADDED_P50,
    ADDED_P99,
    RATE_CPU,
    TOKEN_P50,
    TOKEN_P99,
    JITTER_P50,
    JITTER_P99,
    FIRST_P50,
    FIRST_P99,
    TOKEN_CPU,
    REST,
    IDLE,
    LEFT,
    LEFT_PREFILL,
    PROMPT,
    PROMPT_CPU,
    H2,
    H2_CPU,
    TLS,
    TLS_CPU,
    AFFINITY,
    OTHERS,
];
