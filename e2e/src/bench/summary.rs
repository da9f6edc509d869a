//! Samples of one measure, and what is told of them.

use serde_json::{Value, json};

/// Samples of one measure, in order of size.
#[derive(Clone, Debug)]
pub struct Summary(Vec<f64>);

impl Summary {
    /// None without samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    /// The nearest sample at or above this share of all.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    /// The middle one; of two, their mean.
    pub fn median(&self) -> f64 {
        let n = self.0.len();
        f64::midpoint(self.0[(n - 1) / 2], self.0[n / 2])
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// In the form that all benchmarks share.
    pub fn json(&self) -> Value {
        let r = rounded;
        json!({"min": r(self.min()), "p50": r(self.median()), "p95": r(self.percentile(95)), "max": r(self.max())})
    }

    /// For people: the median, and the range in brackets.
    pub fn cell(&self, digits: usize) -> String {
        let (min, middle, max) = (self.min(), self.median(), self.max());
        let (low, high) = (format!("{min:.digits$}"), format!("{max:.digits$}"));
        if low == high { format!("{middle:.digits$}") } else { format!("{middle:.digits$} ({low}–{high})") }
    }
}

/// Four digits behind the point are more than anything here is good for.
pub fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let summary = Summary::of(&[3.0, 1.0, 2.0, 4.0]).unwrap();
        assert!((summary.median() - 2.5).abs() < 1e-9);
        assert!((summary.percentile(95) - 4.0).abs() < 1e-9);
        assert!((summary.percentile(50) - 2.0).abs() < 1e-9);
        assert!(Summary::of(&[]).is_none());
    }
}
