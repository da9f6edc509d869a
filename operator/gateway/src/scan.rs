//! What routing needs to know of a request's body, found without parsing it: the model, the opening of the conversation,
//! whether the answer streams.
//!
//! Only the top level of the JSON object is walked, and the first messages of a conversation; what lies in between is skipped,
//! strings at the speed of memory. Whatever is no JSON object is left to the engine, which has its own words for it.

use std::borrow::Cow;

use memchr::memchr2;

/// Bytes of each part of an opening that tell conversations apart: about a thousand tokens.
const OPENING: usize = 4096;

/// What a body says. Of fields that are given twice, the last counts, as in the parsers of the engines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// `model`.
    pub model: Option<Cow<'a, str>>,
    /// The beginning of what the engine will have cached when the conversation goes on: instructions, and the first question.
    pub opening: [&'a [u8]; 2],
    /// `stream`.
    pub stream: bool,
    /// Whether the usage is asked for at the end of a stream: `stream_options.include_usage`.
    pub include_usage: bool,
}

/// The body is no JSON object, as far as was looked.
#[derive(Debug, PartialEq, Eq)]
pub struct NoObject;

/// Looks through a body.
///
/// # Errors
/// [`NoObject`]; what is inside values is not checked.
pub fn scan(body: &[u8]) -> Result<Found<'_>, NoObject> {
    let mut found = Found::default();
    walk(body, |key, value| match key {
        b"model" => found.model = text(value),
        b"messages" | b"input" => found.opening = opening(value),
        b"prompt" => found.opening = [start(value), b""],
        b"stream" => found.stream = value == b"true",
        b"stream_options" => found.include_usage = flag(value, b"include_usage"),
        _ => {}
    })?;
    Ok(found)
}

/// The first message, and the second if the first one only instructs.
fn opening(value: &[u8]) -> [&[u8]; 2] {
    let mut messages = Elements::of(value);
    let Some(first) = messages.next() else { return [start(value), b""] };
    if is_instruction(first) { [start(first), messages.next().map_or(b"", start)] } else { [start(first), b""] }
}

fn is_instruction(message: &[u8]) -> bool {
    let mut role = None;
    let walked = walk(message, |key, value| {
        if key == b"role" {
            role = text(value);
        }
    });
    walked.is_ok() && matches!(role.as_deref(), Some("system" | "developer"))
}

fn flag(object: &[u8], name: &[u8]) -> bool {
    let mut set = false;
    let walked = walk(object, |key, value| {
        if key == name {
            set = value == b"true";
        }
    });
    walked.is_ok() && set
}

fn start(value: &[u8]) -> &[u8] {
    &value[..value.len().min(OPENING)]
}

/// The text of a JSON string.
fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return serde_json::from_slice(value).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

/// Calls back with each key of an object, without its quotes, and its value as it is written.
fn walk<'a>(object: &'a [u8], mut tell: impl FnMut(&[u8], &'a [u8])) -> Result<(), NoObject> {
    let mut rest = after(trimmed(object), b'{')?;
    if let Ok(rest) = after(rest, b'}') {
        return if rest.is_empty() { Ok(()) } else { Err(NoObject) };
    }
    loop {
        let (key, after_key) = split_value(rest)?;
        let (value, after_value) = split_value(after(after_key, b':')?)?;
        match key {
            [b'"', key @ .., b'"'] if !key.contains(&b'\\') => tell(key, value),
            [b'"', ..] => tell(text(key).ok_or(NoObject)?.as_bytes(), value),
            _ => return Err(NoObject),
        }
        match after(after_value, b',') {
            Ok(more) => rest = more,
            Err(NoObject) => break rest = after(after_value, b'}')?,
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(NoObject) }
}

/// The elements of an array, as they are written; none of what is no array.
struct Elements<'a>(Option<&'a [u8]>);

impl<'a> Elements<'a> {
    fn of(value: &'a [u8]) -> Self {
        Self(after(value, b'[').ok().filter(|rest| after(rest, b']').is_err()))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (element, rest) = split_value(self.0?).ok()?;
        self.0 = after(rest, b',').ok();
        Some(element)
    }
}

/// What follows a character and the white space around it.
fn after(bytes: &[u8], character: u8) -> Result<&[u8], NoObject> {
    match trimmed(bytes) {
        [first, rest @ ..] if *first == character => Ok(trimmed(rest)),
        _ => Err(NoObject),
    }
}

/// Without white space in front.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let at = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    &bytes[at.unwrap_or(bytes.len())..]
}

/// The value in front, and what follows it.
fn split_value(bytes: &[u8]) -> Result<(&[u8], &[u8]), NoObject> {
    let bytes = trimmed(bytes);
    let end = match bytes.first() {
        Some(b'"') => end_of_string(bytes),
        Some(b'{' | b'[') => end_of_nested(bytes),
        Some(_) => end_of_literal(bytes),
        None => None,
    };
    end.map(|end| bytes.split_at(end)).ok_or(NoObject)
}

/// Where a string ends that begins with the first byte.
fn end_of_string(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where an object or array ends that begins with the first byte.
fn end_of_nested(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match *bytes.get(at)? {
            b'"' => at += end_of_string(&bytes[at..])? - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where a number, true, false or null ends.
fn end_of_literal(bytes: &[u8]) -> Option<usize> {
    let of_literal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let end = bytes.iter().position(|byte| !of_literal(byte)).unwrap_or(bytes.len());
    (end > 0).then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn found(body: &str) -> Found<'_> {
        scan(body.as_bytes()).expect("an object")
    }

    #[test]
    fn the_model_is_found_wherever_it_stands() {
        for body in [
            r#"{"model":"chat"}"#,
            r#" { "messages" : [ { "content" : "say \"model\": \"x\" }]" } ] , "model" : "chat" } "#,
            r#"{"n":-1.5e3,"tools":[{"model":"inner"}],"model":"chat","x":null}"#,
            r#"{"model":"first","model":"chat"}"#,
            r#"{"mod\u0065l":"ch\u0061t"}"#,
        ] {
            assert_eq!(found(body).model.as_deref(), Some("chat"), "{body}");
        }
        assert_eq!(found(r#"{"model":7}"#).model, None);
        assert_eq!(found("{}").model, None);
    }

    #[test]
    fn flags_are_found() {
        let body = r#"{"stream":true,"stream_options":{"include_usage":true}}"#;
        assert!(found(body).stream && found(body).include_usage);
        let body = r#"{"stream":"true","stream_options":{"x":{"include_usage":true}}}"#;
        assert!(!found(body).stream && !found(body).include_usage);
    }

    #[test]
    fn an_opening_stays_the_same_as_a_conversation_goes_on() {
        let turns = [
            json!({"role": "system", "content": "be kind"}),
            json!({"role": "user", "content": "hello"}),
            json!({"role": "assistant", "content": "hi"}),
            json!({"role": "user", "content": "bye"}),
        ];
        let first = json!({"messages": turns[..2]}).to_string();
        let second = json!({"messages": turns}).to_string();
        assert_eq!(found(&first).opening, found(&second).opening);
        let other = first.replace("hello", "good day");
        assert_ne!(found(&first).opening, found(&other).opening);
        let bare = json!({"messages": turns[1..]}).to_string();
        assert_eq!(found(&bare).opening[1], b"");
    }

    #[test]
    fn prompts_and_inputs_have_openings_too() {
        assert_eq!(found(r#"{"prompt":"once"}"#).opening[0], br#""once""#);
        assert_eq!(found(r#"{"input":"once"}"#).opening[0], br#""once""#);
        assert_eq!(found(r#"{"input":[{"role":"user"}]}"#).opening[0], br#"{"role":"user"}"#);
        assert_eq!(found(r#"{"messages":[]}"#).opening[0], b"[]");
        let long = json!({"prompt": "x".repeat(9000)}).to_string();
        assert_eq!(found(&long).opening[0].len(), OPENING);
    }

    #[test]
    fn what_is_no_object_is_said_so() {
        for body in ["", "  ", "[]", "\"a\"", "7", "{", r#"{"a"}"#, r#"{"a":}"#, r#"{"a":1"#, r#"{"a":1}}"#, "{a:1}"] {
            assert_eq!(scan(body.as_bytes()), Err(NoObject), "{body}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("model|stream|[\"\\\\a-c{}]{0,3}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_parser_finds(value in any_json(), pretty in any::<bool>()) {
            let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            match scan(body.as_bytes()) {
                Ok(found) => {
                    prop_assert!(value.is_object());
                    prop_assert_eq!(found.model.as_deref(), value["model"].as_str());
                    prop_assert_eq!(found.stream, value["stream"] == true);
                }
                Err(NoObject) => prop_assert!(!value.is_object()),
            }
        }

        #[test]
        fn it_never_panics(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = scan(&body);
        }

        #[test]
        fn it_never_panics_on_what_looks_like_json(body in r#"[{}\[\]",:\\ a1]{0,24}"#) {
            let _ = scan(body.as_bytes());
        }
    }
}
