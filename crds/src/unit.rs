//! Byte sizes and durations as users write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes. Shown in decimal units (GB = 10⁹ bytes), as vendors of accelerators and models do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A text that is no Kubernetes quantity of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBytes(pub String);

impl fmt::Display for NotBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no quantity of bytes; write a number with k, M, G, T, P, Ki, Mi, Gi, Ti or Pi, such as 15Gi",
            self.0
        )
    }
}

impl std::error::Error for NotBytes {}

/// Suffixes of Kubernetes quantities and what they multiply by; the longer ones first.
const SUFFIXES: [(&str, f64); 10] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
];

impl FromStr for Bytes {
    type Err = NotBytes;

    fn from_str(text: &str) -> Result<Self, NotBytes> {
        let (number, factor) = SUFFIXES
            .iter()
            .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor)))
            .unwrap_or((text, 1.0));
        let value: f64 = number.parse().map_err(|_| NotBytes(text.to_owned()))?;
        let bytes = (value * factor).ceil();
        // 2^63: beyond it neither the API server's arithmetic nor any machine goes
        if !(0.0..9.2e18).contains(&bytes) {
            return Err(NotBytes(text.to_owned()));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..2^63")]
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "shown with at most four digits")]
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000_000 => write!(f, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            1_000_000_000..100_000_000_000 => write!(f, "{:.1} GB", bytes / 1e9),
            _ => write!(f, "{:.0} GB", bytes / 1e9),
        }
    }
}

/// Reads a duration of hours, minutes and seconds, such as `1h30m` or `90s`.
///
/// # Errors
/// `None` when the text has another form or is longer than a century.
pub fn duration(text: &str) -> Option<Duration> {
    let parsed: kube::core::Duration = text.parse().ok()?;
    (!parsed.is_negative()).then(|| parsed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, bytes) in
            [("0", 0), ("1500", 1500), ("1k", 1000), ("1Ki", 1024), ("1.5Gi", 1_610_612_736), ("689G", 689_000_000_000)]
        {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "Gi", "-1", "1e99999P", "12 Gi", "NaN"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_in_decimal_units() {
        assert_eq!(Bytes(689_000_000_000).to_string(), "689 GB");
        assert_eq!(Bytes(4_220_000_000).to_string(), "4.2 GB");
        assert_eq!(Bytes(1_300_000).to_string(), "1.3 MB");
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("soon"), None);
        assert_eq!(duration("-5s"), None);
    }
}
