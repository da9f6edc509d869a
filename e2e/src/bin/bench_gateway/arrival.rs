//! HTTP/1.1 as it arrives: a whole request, or the body of an answer.

use memchr::memmem;

/// A request on its way in.
#[derive(Debug, Default)]
pub struct Arrival {
    begun: Vec<u8>,
    /// Bytes of the whole request, once its head is there.
    whole: Option<usize>,
}

impl Arrival {
    /// Takes the next bytes; returns the request if it is complete. Nobody here sends a second one before the first is answered.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.begun.extend_from_slice(bytes);
        if self.whole.is_none() {
            let head = memmem::find(&self.begun, b"\r\n\r\n")? + 4;
            self.whole = Some(head + length(&self.begun[..head]).unwrap_or(0));
        }
        if self.begun.len() < self.whole? {
            return None;
        }
        self.whole = None;
        Some(std::mem::take(&mut self.begun))
    }
}

/// An answer on its way in.
#[derive(Debug)]
pub enum Answer {
    /// Its head has not ended yet.
    Head(Vec<u8>),
    /// So many bytes are missing.
    Length(usize),
    /// The size of a chunk is being read.
    Size(usize),
    /// So many bytes of a chunk are missing, and then the end of its line.
    Chunk(usize),
    /// The last chunk was there; the empty line after it is missing.
    Last(usize),
    /// All of it was there.
    Complete,
    /// It is none, or not a good one.
    Bad,
}

impl Default for Answer {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Answer {
    /// Takes the next bytes, tells of those that belong to the body.
    pub fn take<'a>(&mut self, mut bytes: &'a [u8], mut tell: impl FnMut(&'a [u8])) {
        while !bytes.is_empty() {
            bytes = match self {
                Self::Head(begun) => {
                    let before = begun.len();
                    begun.extend_from_slice(bytes);
                    let Some(at) = memmem::find(begun, b"\r\n\r\n") else { return };
                    let rest = &bytes[at + 4 - before..];
                    *self = after_head(&begun[..at + 4]);
                    rest
                }
                Self::Length(left) => {
                    let (body, rest) = bytes.split_at(bytes.len().min(*left));
                    *left -= body.len();
                    if *left == 0 {
                        *self = Self::Complete;
                    }
                    tell(body);
                    rest
                }
                Self::Size(_) | Self::Last(_) => {
                    self.line(bytes[0]);
                    &bytes[1..]
                }
                Self::Chunk(left) => {
                    let (data, rest) = bytes.split_at(bytes.len().min(*left));
                    *left -= data.len();
                    // the end of the line counts as part of the chunk
                    let keep = data.len().min((*left + data.len()).saturating_sub(2));
                    if *left == 0 {
                        *self = Self::Size(0);
                    }
                    tell(&data[..keep]);
                    rest
                }
                Self::Complete | Self::Bad => {
                    *self = Self::Bad;
                    return;
                }
            };
        }
    }

    /// Whether all of it was there.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }

    /// Whether it is none, or not a good one.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Bad)
    }

    fn line(&mut self, byte: u8) {
        *self = match (&*self, byte) {
            (Self::Size(size), b'\n') if *size == 0 => Self::Last(0),
            (Self::Size(size), b'\n') => Self::Chunk(*size + 2),
            (Self::Size(size), b'\r') => Self::Size(*size),
            (Self::Size(size), _) => match char::from(byte).to_digit(16) {
                Some(digit) => Self::Size(*size * 16 + digit as usize),
                None => Self::Bad,
            },
            (Self::Last(0), b'\n') => Self::Complete,
            (Self::Last(_), b'\n') => Self::Last(0),
            (Self::Last(n), b'\r') => Self::Last(*n),
            (Self::Last(n), _) => Self::Last(*n + 1),
            _ => Self::Bad,
        };
    }
}

fn after_head(head: &[u8]) -> Answer {
    if !head.starts_with(b"HTTP/1.1 200") {
        return Answer::Bad;
    }
    match length(head) {
        Some(0) => Answer::Complete,
        Some(length) => Answer::Length(length),
        None => Answer::Size(0),
    }
}

/// The `Content-Length` of a head; none where the body is chunked.
fn length(head: &[u8]) -> Option<usize> {
    let lines = head.split(|byte| *byte == b'\n');
    let mut values = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:").then_some(value)
    });
    std::str::from_utf8(values.next()?).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrives(pieces: &[&[u8]]) -> (String, Answer) {
        let (mut answer, mut body) = (Answer::default(), Vec::new());
        for piece in pieces {
            answer.take(piece, |bytes| body.extend_from_slice(bytes));
        }
        (String::from_utf8(body).unwrap(), answer)
    }

    #[test]
    fn however_an_answer_is_cut_its_body_is_the_same() {
        for whole in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ] {
            for cut in 0..whole.len() {
                let (body, answer) = arrives(&[&whole[..cut], &whole[cut..]]);
                assert_eq!((body.as_str(), answer.is_complete()), ("hello", true), "{cut}");
            }
            let single: Vec<_> = whole.chunks(1).collect();
            assert_eq!(arrives(&single).0, "hello");
        }
    }

    #[test]
    fn what_is_no_good_answer_is_said_so() {
        assert!(arrives(&[b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n."]).1.is_bad());
        assert!(arrives(&[b"HTTP/1.1 200 OK\r\n\r\nzz"]).1.is_bad());
    }

    #[test]
    fn a_request_is_complete_with_its_last_byte() {
        let mut arrival = Arrival::default();
        assert_eq!(arrival.take(b"POST / HTTP/1.1\r\nContent-Le"), None);
        assert_eq!(arrival.take(b"ngth: 2\r\n\r\n{"), None);
        assert!(arrival.take(b"}").is_some_and(|request| request.ends_with(b"{}")));
        assert!(arrival.take(b"GET / HTTP/1.1\r\n\r\n").is_some());
    }
}
