//! Where an answer in HTTP/1.1 begins and ends (RFC 9112, sections 4 to 7).

use std::io::{self, ErrorKind};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};

/// Headers of an answer at most.
const MOST_HEADERS: usize = 100;
/// Longest line between two chunks.
const LONGEST_LINE: usize = 4096;

/// The head of an answer.
pub(crate) struct Head {
    pub(crate) answer: Response<()>,
    pub(crate) framing: Framing,
    /// Whether the line may carry another request after it.
    pub(crate) keeps: bool,
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// The size of a chunk.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of a chunk's line.
    Behind,
    /// Lines after the last chunk.
    Trailer,
    /// Whatever comes until the line is closed.
    Closing,
    /// Nothing.
    Over,
}

/// Takes the head of an answer off what has come; `None` while it is not complete. Interim answers are skipped.
pub(crate) fn head(come: &mut BytesMut) -> io::Result<Option<Head>> {
    while !come.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let length = match parsed.parse(come).map_err(bad)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(None),
        };
        let status = StatusCode::from_u16(parsed.code.unwrap_or(0)).map_err(bad)?;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            come.advance(length);
            continue;
        }
        let old = parsed.version == Some(0);
        // names and places, while the bytes are still borrowed
        let from = come.as_ptr().addr();
        let place = |text: &[u8]| text.as_ptr().addr().wrapping_sub(from);
        let mut found = Vec::with_capacity(parsed.headers.len());
        for header in parsed.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(bad)?;
            found.push((name, place(header.value), header.value.len()));
        }
        let bytes = come.split_to(length).freeze();
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        *answer.version_mut() = if old { Version::HTTP_10 } else { Version::HTTP_11 };
        for (name, at, length) in found {
            // an empty value lies nowhere
            let value = if length == 0 { Bytes::new() } else { bytes.slice(at..at + length) };
            answer.headers_mut().append(name, HeaderValue::from_maybe_shared(value).map_err(bad)?);
        }
        let framing = Framing::of(status, answer.headers())?;
        let keeps = framing != Framing::Closing && keeps(old, answer.headers());
        return Ok(Some(Head { answer, framing, keeps }));
    }
    Ok(None)
}

fn keeps(old: bool, headers: &HeaderMap) -> bool {
    let says = |word| names(headers, &header::CONNECTION).any(|name| name.eq_ignore_ascii_case(word));
    // with both ways of telling the length, somebody on the way may have understood the other one
    let doubtful = headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH);
    !doubtful && !says("close") && (!old || says("keep-alive"))
}

fn names<'a>(headers: &'a HeaderMap, of: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(of)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

impl Framing {
    fn of(status: StatusCode, headers: &HeaderMap) -> io::Result<Self> {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS) {
            return Ok(Self::Over);
        }
        if headers.contains_key(header::TRANSFER_ENCODING) {
            let last = names(headers, &header::TRANSFER_ENCODING).last().unwrap_or_default();
            return Ok(if last.eq_ignore_ascii_case("chunked") { Self::Size } else { Self::Closing });
        }
        let mut lengths = names(headers, &header::CONTENT_LENGTH);
        let Some(length) = lengths.next() else { return Ok(Self::Closing) };
        if lengths.any(|other| other != length) || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad("the lengths of the answer contradict each other"));
        }
        Ok(match length.parse().map_err(bad)? {
            0 => Self::Over,
            length => Self::Length(length),
        })
    }

    /// Whether nothing is to come.
    pub(crate) fn is_over(self) -> bool {
        self == Self::Over
    }

    /// Whether the body is whole when the line is closed.
    pub(crate) fn ends_with_the_line(self) -> bool {
        self == Self::Closing
    }

    /// The next piece of the body; `None` when more has to come first, or nothing does.
    pub(crate) fn take(&mut self, come: &mut BytesMut) -> io::Result<Option<Bytes>> {
        while !come.is_empty() {
            match *self {
                Self::Over => return Ok(None),
                Self::Closing => return Ok(Some(come.split().freeze())),
                Self::Length(left) => return Ok(Some(self.piece(come, left, Self::Length, Self::Over))),
                Self::Chunk(left) => {
                    let piece = self.piece(come, left, Self::Chunk, Self::Behind);
                    // what follows the chunk has come with it, as a rule
                    self.line_ends(come)?;
                    return Ok(Some(piece));
                }
                Self::Behind => {
                    if !self.line_ends(come)? {
                        return Ok(None);
                    }
                }
                Self::Size | Self::Trailer => {
                    let Some(line) = line(come)? else { return Ok(None) };
                    self.next(&line)?;
                }
            }
        }
        Ok(None)
    }

    fn piece(&mut self, come: &mut BytesMut, left: u64, more: fn(u64) -> Self, after: Self) -> Bytes {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(come.len());
        let left = left - length as u64;
        *self = if left == 0 { after } else { more(left) };
        come.split_to(length).freeze()
    }

    /// Takes the end of a chunk's line, if that is next and there; whether it was.
    fn line_ends(&mut self, come: &mut BytesMut) -> io::Result<bool> {
        if *self != Self::Behind || come.len() < 2 {
            return Ok(false);
        }
        if !come.starts_with(b"\r\n") {
            return Err(bad("a chunk is longer than it says"));
        }
        come.advance(2);
        *self = Self::Size;
        // the last chunk too has come with it, where this was the last but one
        Ok(true)
    }

    fn next(&mut self, line: &[u8]) -> io::Result<()> {
        *self = match *self {
            Self::Trailer if line.is_empty() => Self::Over,
            Self::Trailer => Self::Trailer,
            _ => match size(line)? {
                0 => Self::Trailer,
                size => Self::Chunk(size),
            },
        };
        Ok(())
    }
}

/// The size of a chunk; what stands behind a semicolon says nothing to us.
fn size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let text = std::str::from_utf8(digits).map_err(bad)?;
    // a sign would be taken for a number
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad("a chunk has no size"));
    }
    u64::from_str_radix(text, 16).map_err(bad)
}

/// Takes a line, without its end, if it is there as a whole.
fn line(come: &mut BytesMut) -> io::Result<Option<BytesMut>> {
    let Some(at) = memchr::memchr(b'\n', come) else {
        return if come.len() > LONGEST_LINE { Err(bad("a line between chunks is too long")) } else { Ok(None) };
    };
    let mut line = come.split_to(at + 1);
    line.truncate(at);
    match line.last() {
        Some(b'\r') => line.truncate(at - 1),
        _ => return Err(bad("a line ends without a carriage return")),
    }
    Ok(Some(line))
}

fn bad(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHUNKED: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-empty:\r\n\r\n\
                           5\r\nhello\r\n7;x=\"y\"\r\n, world\r\n0\r\nx-trailer: 1\r\n\r\n";
    const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world";
    const CLOSING: &str = "HTTP/1.1 200 OK\r\n\r\nhello, world";

    /// What is understood of pieces that come one after the other.
    struct Understood {
        head: Option<Head>,
        body: Vec<u8>,
        come: BytesMut,
    }

    fn understand<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Understood> {
        let mut seen = Understood { head: None, body: Vec::new(), come: BytesMut::new() };
        for piece in pieces {
            seen.come.extend_from_slice(piece);
            if seen.head.is_none() {
                seen.head = head(&mut seen.come)?;
            }
            let Some(head) = &mut seen.head else { continue };
            while let Some(piece) = head.framing.take(&mut seen.come)? {
                assert!(!piece.is_empty());
                seen.body.extend_from_slice(&piece);
            }
        }
        Ok(seen)
    }

    fn framing(head: &str) -> io::Result<(Framing, bool)> {
        let seen = understand([head.as_bytes()])?;
        Ok(seen.head.map(|head| (head.framing, head.keeps)).unwrap())
    }

    proptest! {
        #[test]
        fn however_an_answer_is_cut_it_is_the_same(cuts in proptest::collection::vec(0..CHUNKED.len(), 0..9)) {
            for (text, ends) in [(CHUNKED, Framing::Over), (LENGTH, Framing::Over), (CLOSING, Framing::Closing)] {
                let mut cuts: Vec<_> = cuts.iter().map(|cut| *cut.min(&text.len())).chain([0, text.len()]).collect();
                cuts.sort_unstable();
                let seen = understand(cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]])).unwrap();
                let head = seen.head.unwrap();
                prop_assert_eq!(head.answer.status(), StatusCode::OK);
                prop_assert_eq!((seen.body, head.framing), (b"hello, world".to_vec(), ends));
                prop_assert!(seen.come.is_empty());
            }
        }

        #[test]
        fn it_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), body: bool) {
            let begin: &[u8] = if body { b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" } else { b"HTTP/1.1 200 " };
            let _ = understand([begin, &bytes]);
        }

        #[test]
        fn it_never_panics_on_what_looks_like_chunks(text in "[0-9a-f;\r\n ]{0,24}") {
            let _ = understand([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", text.as_bytes()]);
        }
    }

    #[test]
    fn the_head_says_how_the_body_ends() {
        let ok = "HTTP/1.1 200 OK\r\n";
        for (head, expected) in [
            (format!("{ok}content-length: 7\r\n\r\n"), (Framing::Length(7), true)),
            (format!("{ok}content-length: 0\r\n\r\n"), (Framing::Over, true)),
            (format!("{ok}content-length: 7\r\ncontent-length: 7\r\n\r\n"), (Framing::Length(7), true)),
            (format!("{ok}content-length: 7\r\nconnection: close\r\n\r\n"), (Framing::Length(7), false)),
            (format!("{ok}transfer-encoding: gzip, chunked\r\n\r\n"), (Framing::Size, true)),
            (format!("{ok}transfer-encoding: gzip\r\n\r\n"), (Framing::Closing, false)),
            (format!("{ok}transfer-encoding: chunked\r\ncontent-length: 7\r\n\r\n"), (Framing::Size, false)),
            (format!("{ok}\r\n"), (Framing::Closing, false)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 7\r\n\r\n".to_owned(), (Framing::Length(7), false)),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 7\r\nconnection: Keep-Alive\r\n\r\n".to_owned(),
                (Framing::Length(7), true),
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), (Framing::Over, true)),
        ] {
            assert_eq!(framing(&head).unwrap(), expected, "{head}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncontent-length: 8\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +7\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\nhello\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            "<html>not here</html>",
        ] {
            assert!(understand([text.as_bytes()]).is_err(), "{text}");
        }
    }

    #[test]
    fn what_follows_an_answer_is_left() {
        let seen = understand([format!("{LENGTH}HTTP/1.1").as_bytes()]).unwrap();
        assert_eq!(&seen.come[..], b"HTTP/1.1");
    }
}
