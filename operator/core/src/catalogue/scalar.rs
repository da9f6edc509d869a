//! How the data files write sizes and dates.

use deepseek_crds::unit::Bytes;
use jiff::civil::Date;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A size: a plain number of bytes, or a Kubernetes quantity such as `689G`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Quantity(String),
}

impl Written {
    fn bytes<E: Error>(self) -> Result<Bytes, E> {
        match self {
            Self::Number(bytes) => Ok(Bytes(bytes)),
            Self::Quantity(text) => text.parse().map_err(E::custom),
        }
    }
}

/// Reads one size.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Written::deserialize(deserializer)?.bytes()
}

/// Reads a map of sizes.
pub(super) fn bytes_by_key<'de, D, K, M>(deserializer: D) -> Result<M, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    M: FromIterator<(K, Bytes)>,
{
    std::collections::BTreeMap::<K, Written>::deserialize(deserializer)?
        .into_iter()
        .map(|(key, written)| Ok((key, written.bytes()?)))
        .collect()
}

/// Reads a date written as `2026-11-23`.
pub(super) fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
