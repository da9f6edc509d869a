//! Kubernetes quantities as numbers.

use serde_json::Value;

/// A quantity in thousandths, so that `100m` is whole; nonsense is zero.
pub(super) fn thousandths(quantity: &Value) -> i128 {
    match quantity {
        Value::Number(number) => number.as_i64().map_or(0, |number| i128::from(number) * 1000),
        Value::String(text) => parsed(text).unwrap_or(0),
        _ => 0,
    }
}

fn parsed(text: &str) -> Option<i128> {
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let unit: i128 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    Some(digits * unit / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spellings_of_one_value_are_equal() {
        assert_eq!(thousandths(&json!("1Gi")), thousandths(&json!("1024Mi")));
        assert_eq!(thousandths(&json!("0.5")), thousandths(&json!("500m")));
        assert_eq!(thousandths(&json!(8)), thousandths(&json!("8")));
    }
}
