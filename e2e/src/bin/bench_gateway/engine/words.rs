//! What the fake engines say, in the words and sizes of vLLM.

use memchr::memmem;

use crate::clock::nanoseconds;

/// The list of models.
pub const MODELS: &str =
    r#"{"object":"list","data":[{"id":"chat","object":"model","created":1764000000,"owned_by":"bench"}]}"#;

/// A whole answer of one word, with its head.
pub const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 335\r\n\r\n\
    {\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1764000000,\"model\":\"chat\",\
    \"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"pong\",\"refusal\":null},\"logprobs\":null,\
    \"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1,\"total_tokens\":11},\
    \"system_fingerprint\":null}\n";

/// The head of a stream.
pub const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// The first event of a stream.
pub const ROLE: &[u8] = b"d6\r\n\
    data: {\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\
    \"model\":\"chat\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n\r\n";

/// The last events of a stream, and its end.
pub const END: &[u8] = b"b9\r\n\
    data: {\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\
    \"model\":\"chat\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\r\n\
    e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

const BEFORE: &str = "data: {\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\",\
    \"created\":1764000000,\"model\":\"chat\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
const AFTER: &str = "\"},\"finish_reason\":null}]}\n\n";

/// One token: the nanosecond at which it is written.
pub fn token() -> Vec<u8> {
    let event = format!("{BEFORE}{:020}{AFTER}", nanoseconds());
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

/// An answer with this body.
pub fn answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// What is written in `user`; some proxies write the body anew, with other white space.
pub fn wish(request: &[u8]) -> &str {
    let body = body(request);
    // the wish stands near the beginning or, where a proxy has written the body anew, at the end
    let Some(at) = memmem::find(body, b"\"user\":") else { return "" };
    let text = body[at + 7..].trim_ascii_start();
    let text = text.strip_prefix(b"\"").unwrap_or_default();
    let end = text.iter().position(|byte| *byte == b'"').unwrap_or(0);
    std::str::from_utf8(&text[..end]).unwrap_or_default()
}

/// What follows the head.
pub fn body(request: &[u8]) -> &[u8] {
    memmem::find(request, b"\r\n\r\n").map_or(&[], |at| &request[at + 4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a chunked answer, where each chunk is as long as it says.
    fn chunks(mut bytes: &[u8]) -> String {
        let mut text = String::new();
        while let Some(at) = memmem::find(bytes, b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap(), 16).unwrap();
            text.push_str(std::str::from_utf8(&bytes[at + 2..at + 2 + size]).unwrap());
            assert_eq!(&bytes[at + 2 + size..at + 4 + size], b"\r\n");
            bytes = &bytes[at + 4 + size..];
        }
        text
    }

    #[test]
    fn what_is_said_is_as_long_as_announced() {
        let said = chunks(&[ROLE, &token(), END].concat());
        assert!(said.ends_with("data: [DONE]\n\n"), "{said}");
        assert_eq!(said.matches("\n\n").count(), 4);
        let plain = std::str::from_utf8(PLAIN).unwrap();
        assert!(plain.contains(&format!("content-length: {}\r\n", body(PLAIN).len())), "{}", body(PLAIN).len());
    }

    #[test]
    fn wishes_are_found() {
        assert_eq!(wish(b"POST / HTTP/1.1\r\n\r\n{\"user\":\"stream:1:2\",\"x\":1}"), "stream:1:2");
        assert_eq!(wish(b"POST / HTTP/1.1\r\n\r\n{\"user\": \"begun\"}"), "begun");
        assert_eq!(wish(b"POST / HTTP/1.1\r\n\r\n{}"), "");
    }
}
