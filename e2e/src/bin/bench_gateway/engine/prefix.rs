//! What a fake engine remembers: the last conversations it has answered, as an engine's prefix cache does.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

/// The conversations that one engine remembers, the oldest first.
pub struct Prefixes {
    room: usize,
    known: Vec<Known>,
}

/// A conversation: a fingerprint of what it was after each of its messages.
type Known = Vec<u64>;

impl Prefixes {
    /// Nothing yet, and room for so many.
    pub fn new(room: usize) -> Self {
        Self { room, known: Vec::new() }
    }

    /// Takes a turn of a conversation; the answer says how many of its messages were known.
    pub fn turn(&mut self, body: &[u8]) -> String {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut messages = request["messages"].as_array().cloned().unwrap_or_default();
        let asked = messages.len();
        let cached = self.recall(&fingerprints(&messages));
        let reply = json!({"role": "assistant", "content": format!("That makes {asked}.")});
        messages.push(reply.clone());
        self.remember(fingerprints(&messages));
        json!({
            "object": "chat.completion",
            "model": "chat",
            "choices": [{"index": 0, "message": reply, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": cached},
            },
        })
        .to_string()
    }

    /// Messages at the beginning that are known. What goes on takes the place of what it goes on from.
    fn recall(&mut self, asked: &[u64]) -> usize {
        let common = |known: &Known| known.iter().zip(asked).take_while(|(known, asked)| known == asked).count();
        let best = self.known.iter().enumerate().map(|(at, known)| (common(known), at)).max();
        let Some((cached, at)) = best.filter(|(cached, _)| *cached > 0) else { return 0 };
        if cached == self.known[at].len() {
            self.known.remove(at);
        }
        cached
    }

    fn remember(&mut self, conversation: Known) {
        if self.known.len() >= self.room {
            self.known.remove(0);
        }
        self.known.push(conversation);
    }
}

fn fingerprints(messages: &[Value]) -> Known {
    let mut hasher = DefaultHasher::new();
    let after = messages.iter().map(|message| {
        (message["role"].as_str(), message["content"].as_str()).hash(&mut hasher);
        hasher.finish()
    });
    after.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(prefixes: &mut Prefixes, messages: &Value) -> (u64, Value) {
        let told: Value =
            serde_json::from_str(&prefixes.turn(json!({"messages": messages}).to_string().as_bytes())).unwrap();
        let cached = told["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
        (cached, told["choices"][0]["message"].clone())
    }

    #[test]
    fn a_conversation_is_known_as_long_as_there_is_room() {
        let mut prefixes = Prefixes::new(1);
        let ask = json!({"role": "user", "content": "a"});
        let (cached_first, reply) = cached(&mut prefixes, &json!([ask]));
        let (cached_second, _) = cached(&mut prefixes, &json!([ask, reply, ask]));
        assert_eq!((cached_first, cached_second), (0, 2), "all but the last message");
        cached(&mut prefixes, &json!([{"role": "user", "content": "b"}]));
        assert_eq!(cached(&mut prefixes, &json!([ask, reply, ask])).0, 0);
    }
}
