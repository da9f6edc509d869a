//! Who is measured.

use crate::measures::{AFFINITY, ALL, Measure};

/// One who stands between client and engines; or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// This project's gateway, as users run it: health checks, metrics, affinity.
    Gateway,
    /// Nobody: what engines and client take by themselves.
    Direct,
    /// haproxy.
    Haproxy,
    /// haproxy, told to look at its clients.
    HaproxyAbort,
    /// nginx.
    Nginx,
    /// litellm.
    Litellm,
    /// The gateway without affinity.
    ByLoad,
}

impl Subject {
    /// In the order of the table.
    pub const ALL: [Self; 7] =
        [Self::Gateway, Self::Direct, Self::Haproxy, Self::HaproxyAbort, Self::Nginx, Self::Litellm, Self::ByLoad];

    /// As results call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Direct => "direct",
            Self::Haproxy => "haproxy",
            Self::HaproxyAbort => "haproxy-abortonclose",
            Self::Nginx => "nginx",
            Self::Litellm => "litellm",
            Self::ByLoad => "affinity-off",
        }
    }

    /// How much it is asked to carry; litellm cannot carry what the others do.
    pub fn load(self) -> Amount {
        if self == Self::Litellm {
            return Amount { connections: 8, rate: 20, streams: 50, every: 200_000, tokens: 60, held: 100 };
        }
        Amount { connections: 64, rate: 1000, streams: 1000, every: 50_000, tokens: 120, held: 2000 }
    }

    /// Whether this is measured of it in rows of the common table.
    pub fn has_column(self) -> bool {
        self != Self::ByLoad
    }
}

/// How much a proxy is asked to carry.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Connections of the closed loop.
    pub connections: u32,
    /// Requests in a second.
    pub rate: u32,
    /// Streams.
    pub streams: u32,
    /// Microseconds between two tokens.
    pub every: u32,
    /// Tokens of each stream.
    pub tokens: u32,
    /// Streams on which nothing happens.
    pub held: u32,
}

/// Measures that stand in the common table.
pub fn in_table() -> impl Iterator<Item = Measure> {
    ALL.into_iter().filter(|measure| measure.name != AFFINITY.name)
}
