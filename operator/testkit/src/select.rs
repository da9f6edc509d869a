//! Label and field selectors.

use serde_json::Value;

use crate::refusal::{Answer, refusal};

/// What a list or a watch wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Reads both selectors as they stand in a query.
    pub(crate) fn parse(labels: &str, fields: &str) -> Answer<Self> {
        let parse = |text: &str| split(text).into_iter().map(requirement).collect::<Answer<Vec<_>>>();
        Ok(Self { labels: parse(labels)?, fields: parse(fields)? })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str).map(String::from);
        self.labels.iter().all(|wanted| wanted.holds(label))
            && self.fields.iter().all(|wanted| wanted.holds(|path| Some(field(object, path))))
    }
}

impl Requirement {
    fn holds(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::In(key, wanted) => value(key).is_some_and(|value| wanted.contains(&value)),
            Self::NotIn(key, unwanted) => value(key).is_none_or(|value| !unwanted.contains(&value)),
            Self::Exists(key) => value(key).is_some(),
            Self::Absent(key) => value(key).is_none(),
        }
    }
}

/// Whether one `matchExpressions` entry holds for these labels.
pub(crate) fn expression_holds(expression: &Value, labels: &Value) -> bool {
    let value = labels.get(expression["key"].as_str().unwrap_or_default());
    let listed = || value.is_some_and(|v| expression["values"].as_array().is_some_and(|all| all.contains(v)));
    let numbers = || {
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok());
        Some((number(value?)?, number(&expression["values"][0])?))
    };
    match expression["operator"].as_str().unwrap_or_default() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => numbers().is_some_and(|(ours, bound)| ours > bound),
        "Lt" => numbers().is_some_and(|(ours, bound)| ours < bound),
        _ => false,
    }
}

/// A field by its dotted path; an absent one counts as empty, as on a real server.
fn field(object: &Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace('.', "/"));
    match object.pointer(&pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn requirement(text: &str) -> Answer<Requirement> {
    let one = |key: &str, value: &str| (key.trim().to_owned(), vec![value.trim().to_owned()]);
    if let Some((key, value)) = text.split_once("!=") {
        let (key, values) = one(key, value);
        return Ok(Requirement::NotIn(key, values));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        let (key, values) = one(key, value);
        return Ok(Requirement::In(key, values));
    }
    if let Some(key) = text.strip_prefix('!') {
        return Ok(Requirement::Absent(key.trim().into()));
    }
    let Some((head, values)) = text.split_once('(') else {
        return if text.contains(' ') { Err(unreadable(text)) } else { Ok(Requirement::Exists(text.into())) };
    };
    let values = values.trim_end_matches(')').split(',').map(|value| value.trim().to_owned()).collect();
    match head.split_whitespace().collect::<Vec<_>>()[..] {
        [key, "in"] => Ok(Requirement::In(key.into(), values)),
        [key, "notin"] => Ok(Requirement::NotIn(key.into(), values)),
        _ => Err(unreadable(text)),
    }
}

fn unreadable(text: &str) -> Box<kube::core::Status> {
    refusal(400, format!("unable to parse requirement: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chosen(labels: &str, fields: &str) -> bool {
        let object = json!({
            "metadata": {"name": "a", "labels": {"app": "chat", "tier": "engine"}},
            "status": {"phase": "Running"},
        });
        Selector::parse(labels, fields).unwrap().matches(&object)
    }

    #[test]
    fn labels_select_as_documented() {
        for wanted in ["app=chat", "app==chat,tier", "tier!=gateway", "app in (chat, code),!other", "other notin (x)"] {
            assert!(chosen(wanted, ""), "{wanted}");
        }
        for unwanted in ["app=code", "!app", "other", "app notin (chat)", "tier!=engine", "other in (a,b)"] {
            assert!(!chosen(unwanted, ""), "{unwanted}");
        }
    }

    #[test]
    fn fields_select_by_path_and_absent_is_empty() {
        assert!(chosen("", "metadata.name=a,status.phase!=Failed"));
        assert!(chosen("", "spec.nodeName="));
        assert!(!chosen("", "metadata.name=b"));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Selector::parse("a b c", "").unwrap_err().code, 400);
    }
}
