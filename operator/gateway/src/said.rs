//! What an engine says, read from the bytes of its answer while they pass: whether there was text, why it ended, what it used.
//!
//! Nothing is parsed but the usage. A key is found as it is written, in quotes; inside a text the quotes would be escaped, so
//! that a model which speaks of `"finish_reason"` changes nothing.

use memchr::memmem;
use serde::Deserialize;

/// Tokens of a request, as the engine counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Tokens that were read.
    #[serde(alias = "input_tokens", default)]
    pub prompt_tokens: u64,
    /// Tokens that were made.
    #[serde(alias = "output_tokens", default)]
    pub completion_tokens: u64,
    /// Of those that were read, tokens that the engine still had in its cache.
    #[serde(alias = "input_tokens_details", default)]
    pub prompt_tokens_details: Option<Details>,
}

/// A closer look at the tokens that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Details {
    /// Tokens that the engine still had in its cache.
    #[serde(default)]
    pub cached_tokens: Option<u64>,
}

/// What has been said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Pieces with text, reasoning or tool calls: about one for each token of a stream.
    pub pieces: u64,
    /// It has given a reason for its end.
    pub finished: bool,
    /// The reason was `abort`: the engine is stopping or asleep.
    pub aborted: bool,
    /// The stream was closed in form, by `[DONE]` or `response.completed`.
    pub done: bool,
    /// What it used.
    pub usage: Option<Usage>,
}

/// Keys whose value, when it is not empty, is something said.
const WORDS: [&[u8]; 7] = [
    b"\"content\"",
    b"\"text\"",
    b"\"delta\"",
    b"\"reasoning_content\"",
    b"\"reasoning\"",
    b"\"arguments\"",
    b"\"tool_calls\"",
];

impl Said {
    /// An abort with nothing said: HTTP 200, and yet no answer.
    pub fn is_silent_abort(&self) -> bool {
        self.aborted && self.pieces == 0
    }

    /// Takes note of one event of a stream, or of a whole answer.
    pub fn note(&mut self, event: &[u8]) {
        if is_closing(event) {
            self.done = true;
        }
        if let Some(reason) = value_of(event, b"\"finish_reason\"").filter(|value| value.starts_with(b"\"")) {
            self.finished = true;
            self.aborted = reason.starts_with(b"\"abort\"");
        }
        if WORDS.iter().any(|word| says(event, word)) {
            self.pieces += 1;
        }
        if let Some(usage) = usage(event) {
            self.usage = Some(usage);
        }
    }
}

fn is_closing(event: &[u8]) -> bool {
    let data = event.strip_prefix(b"data:").unwrap_or(event).trim_ascii();
    data == b"[DONE]" || memmem::find(event, b"\"response.completed\"").is_some()
}

/// Whether the key stands in front of a text or a list that is not empty.
fn says(event: &[u8], key: &[u8]) -> bool {
    memmem::find_iter(event, key).any(|at| {
        let value = after_colon(&event[at + key.len()..]);
        matches!(value, Some([b'"', next, ..]) if *next != b'"')
            || matches!(value, Some([b'[', next, ..]) if *next != b']')
    })
}

/// What is written after the last such key.
fn value_of<'a>(event: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    memmem::rfind(event, key).and_then(|at| after_colon(&event[at + key.len()..]))
}

fn after_colon(bytes: &[u8]) -> Option<&[u8]> {
    Some(bytes.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// The usage that is written last; `null` is none.
pub fn usage(event: &[u8]) -> Option<Usage> {
    let value = value_of(event, b"\"usage\"").filter(|value| value.starts_with(b"{"))?;
    let mut parser = serde_json::Deserializer::from_slice(value);
    Usage::deserialize(&mut parser).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn said(events: &[&str]) -> Said {
        let mut said = Said::default();
        for event in events {
            said.note(event.as_bytes());
        }
        said
    }

    #[test]
    fn a_stream_of_chat_is_understood() {
        let stream = [
            r#"data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            r#"data: {"choices":[{"delta":{"content":"Hel"},"finish_reason":null}]}"#,
            r#"data: {"choices": [{"delta": {"content": "lo"}, "finish_reason": null}]}"#,
            r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        ];
        assert_eq!(said(&stream[..1]).pieces, 0);
        let all = said(&stream);
        assert_eq!((all.pieces, all.finished, all.aborted, all.done), (2, true, false, false));
        let usage = r#"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":5}}}"#;
        let ended = said(&[usage, "data: [DONE]"]);
        let details = Some(Details { cached_tokens: Some(5) });
        assert_eq!(ended.usage, Some(Usage { prompt_tokens: 7, completion_tokens: 2, prompt_tokens_details: details }));
        assert!(ended.done);
    }

    #[test]
    fn reasoning_tools_completions_and_responses_say_something_too() {
        for event in [
            r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"text":"once"}]}"#,
            r#"{"type":"response.output_text.delta","delta":"once"}"#,
        ] {
            assert_eq!(said(&[event]).pieces, 1, "{event}");
        }
        let completed =
            said(&[r#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4}}}"#]);
        assert_eq!(completed.usage.unwrap().completion_tokens, 4);
        assert!(completed.done);
    }

    #[test]
    fn a_silent_abort_is_told_from_one_after_words() {
        let abort = r#"data: {"choices":[{"delta":{"content":""},"finish_reason":"abort"}]}"#;
        assert!(said(&[abort]).is_silent_abort());
        assert!(!said(&[r#"data: {"choices":[{"delta":{"content":"a"}}]}"#, abort]).is_silent_abort());
        let whole = r#"{"choices":[{"message":{"content":""},"finish_reason":"abort"}],"usage":{"prompt_tokens":7}}"#;
        assert!(said(&[whole]).is_silent_abort());
    }

    #[test]
    fn what_a_model_speaks_of_is_no_key() {
        let quoting = r#"{"choices":[{"delta":{"content":"say \"finish_reason\":\"abort\" and \"usage\":{\"prompt_tokens\":1}"}}]}"#;
        let said = said(&[quoting]);
        assert_eq!((said.pieces, said.finished, said.usage), (1, false, None));
    }

    proptest! {
        #[test]
        fn it_never_panics(event in proptest::collection::vec(any::<u8>(), 0..64)) {
            Said::default().note(&event);
        }

        #[test]
        fn it_never_panics_on_what_looks_like_an_event(
            event in r#"(data: )?[{}\[\]",:\\ a1]{0,9}("(usage|content|finish_reason|delta)")?[{}\[\]",:\\ a1]{0,9}"#,
        ) {
            Said::default().note(event.as_bytes());
        }

        #[test]
        fn whatever_a_model_says_it_is_one_piece_that_ends_nothing(words in ".{1,40}", pretty in any::<bool>()) {
            let event = json!({"choices": [{"delta": {"content": words}, "finish_reason": null}]});
            let event = if pretty { serde_json::to_string_pretty(&event) } else { serde_json::to_string(&event) }.unwrap();
            let said = said(&[&event]);
            prop_assert_eq!((said.pieces, said.finished, said.done, said.usage), (1, false, false, None));
        }

        #[test]
        fn usage_is_what_a_parser_finds(read in any::<u32>(), made in any::<u32>(), words in ".{0,20}") {
            let event = json!({"text": words, "usage": {"prompt_tokens": read, "completion_tokens": made}}).to_string();
            let usage = said(&[&event]).usage.unwrap();
            prop_assert_eq!((usage.prompt_tokens, usage.completion_tokens), (read.into(), made.into()));
        }
    }
}
