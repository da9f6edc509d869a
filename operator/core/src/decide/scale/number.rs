//! From ratios to whole numbers, as the HPA rounds. Nothing overflows: what is too large becomes the largest number.

/// The least whole number of replicas that is not below `ratio`; 0 if it is no number.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
pub(super) fn ceil32(ratio: f64) -> i32 {
    ratio.ceil() as i32
}

/// Without the fraction.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
pub(super) fn trunc32(value: f64) -> i32 {
    value as i32
}

/// The least whole number of milli-units that is not below `value`.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
pub(super) fn ceil64(value: f64) -> i64 {
    value.ceil() as i64
}

/// As the HPA converts them: the nearest.
#[expect(clippy::cast_precision_loss, reason = "ratios are floating point in the HPA, too")]
pub(super) fn float(value: i64) -> f64 {
    value as f64
}

/// How many there are.
pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The nearest that fits.
pub(super) fn narrow(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}
