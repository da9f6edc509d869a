//! Kubernetes quantities, exactly.
//!
//! ```text
//! quantity = sign? digits [ "." digits ] suffix
//! suffix   = "" | n u m k M G T P E | Ki Mi Gi Ti Pi Ei | e EXPONENT | E EXPONENT
//! ```
//!
//! Source: `resource.ParseQuantity`, `Quantity.MilliValue`, `Quantity.AsApproximateFloat64` of k8s.io/apimachinery
//! `pkg/api/resource/quantity.go`, v0.37.2. Milli-units are rounded away from zero, as there. What is too large for 64 bits is the
//! largest number; Go gives 0 then.

/// A quantity: `mantissa` × 10^`ten` × 2^`two`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    negative: bool,
    mantissa: u128,
    ten: i32,
    two: u32,
}

impl Quantity {
    /// Reads a quantity; `None` if the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let (ten, two) = suffixed(suffix)?;
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let mantissa = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u128::MAX) };
        let ten = ten.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(Self { negative, mantissa, ten, two })
    }

    /// In thousandths, rounded away from zero.
    pub fn milli(self) -> i64 {
        let Self { negative, mantissa, ten, two } = self;
        let base = mantissa.saturating_mul(1_u128 << two);
        let shift = ten.saturating_add(3);
        let magnitude = match (power(shift.unsigned_abs()), shift >= 0) {
            (Some(power), true) => base.saturating_mul(power),
            (None, true) => {
                if base == 0 {
                    0
                } else {
                    u128::MAX
                }
            }
            (Some(power), false) => base.div_ceil(power),
            (None, false) => u128::from(base > 0),
        };
        let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
        if negative { -magnitude } else { magnitude }
    }

    /// As a floating point number, by way of the form in which the API server stores it: 0.57 is 570m, and 570 × 0.001.
    pub fn approximate(self) -> f64 {
        let Self { negative, mut mantissa, mut ten, two } = self;
        mantissa = mantissa.saturating_mul(1_u128 << two);
        while mantissa > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            ten = ten.saturating_add(1);
        }
        while ten.rem_euclid(3) != 0 {
            mantissa = mantissa.saturating_mul(10);
            ten -= 1;
        }
        let base = super::number::float(i64::try_from(mantissa).unwrap_or(i64::MAX));
        // read from text: it is the nearest, which a power of ten that is multiplied together need not be
        let scale = format!("1e{ten}").parse().unwrap_or(0.0);
        if negative { -base * scale } else { base * scale }
    }
}

fn power(exponent: u32) -> Option<u128> {
    10_u128.checked_pow(exponent)
}

/// Powers of ten and of two.
fn suffixed(suffix: &str) -> Option<(i32, u32)> {
    let known = match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        other => (other.strip_prefix(['e', 'E'])?.parse().ok()?, 0),
    };
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_are_exact_and_rounded_up() {
        for (text, milli) in [
            ("2", 2000),
            ("0.5", 500),
            ("500m", 500),
            ("1.0005", 1001),
            ("100u", 1),
            ("1n", 1),
            ("0", 0),
            ("0.0", 0),
            (".5", 500),
            ("5.", 5000),
            ("+3", 3000),
            ("-1500m", -1500),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1e3", 1_000_000),
            ("1E-3", 1),
            ("9223372036854775807m", i64::MAX),
            ("9E", i64::MAX),
            ("1e999", i64::MAX),
            ("1e-999", 1),
            ("0e999", 0),
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::milli), Some(milli), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_quantities() {
        for text in ["", "-", ".", "m", "1.2.3", "1 k", "1K", "1mm", "0x10", "NaN", "1e", "e3"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn floating_point_is_that_of_the_stored_form() {
        for (text, float) in
            [("0.57", 570.0 * 0.001), ("57e-2", 570.0 * 0.001), ("2", 2.0), ("1k", 1000.0), ("100u", 100.0 * 1e-6)]
        {
            assert_eq!(Quantity::parse(text).map(Quantity::approximate), Some(float), "{text}");
        }
    }
}
