//! Server-sent events go on whole: what a client has received so far always ends between two events.
//!
//! So a stream that breaks off can be ended by an event of our own. Engines write an event at a time, so that hardly ever anything
//! is kept back; what is passed on is not copied then.

use bytes::{Bytes, BytesMut};

use crate::said::Said;

/// Longest event that is kept back; a longer one goes on in pieces.
const LONGEST: usize = 1 << 20;

/// Follows the events of one answer.
#[derive(Debug, Default)]
pub struct Events {
    /// The beginning of an event whose end has not come yet.
    begun: BytesMut,
}

impl Events {
    /// Takes the next bytes, notes what they say, and returns those that may go on.
    pub fn take(&mut self, piece: Bytes, said: &mut Said) -> Bytes {
        let whole = if self.begun.is_empty() { piece } else { self.joined(&piece) };
        let end = end_of_last_event(&whole).unwrap_or(0);
        if end < whole.len() && whole.len() - end <= LONGEST {
            self.begun.extend_from_slice(&whole[end..]);
        }
        let passed = if self.begun.is_empty() { whole } else { whole.slice(..end) };
        for event in split(&passed) {
            said.note(event);
        }
        passed
    }

    /// What is left at the end of the answer: nothing, if it ended between two events.
    pub fn rest(&mut self) -> Bytes {
        self.begun.split().freeze()
    }

    fn joined(&mut self, piece: &[u8]) -> Bytes {
        self.begun.extend_from_slice(piece);
        self.begun.split().freeze()
    }
}

/// Behind the last empty line.
fn end_of_last_event(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr_iter(b'\n', bytes).find(|at| is_empty_line(&bytes[..*at])).map(|at| at + 1)
}

/// Whether the line that ends here is empty.
fn is_empty_line(before: &[u8]) -> bool {
    matches!(before, [.., b'\n'] | [.., b'\n', b'\r'])
}

/// The lines of the events, without the empty ones.
fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n: comment\n\ndata: \
                          {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DONE]\n\n";

    /// What goes on of these pieces, and what they say.
    fn passed(pieces: &[&'static [u8]]) -> (Vec<Bytes>, Said) {
        let (mut events, mut said) = (Events::default(), Said::default());
        let passed = pieces.iter().map(|piece| events.take(Bytes::from_static(piece), &mut said)).collect();
        (passed, said)
    }

    fn is_understood(said: &Said) -> bool {
        (said.pieces, said.finished, said.done) == (2, true, true)
    }

    #[test]
    fn whole_events_go_on_as_they_came() {
        let (passed, said) = passed(&[STREAM.as_bytes()]);
        assert_eq!(passed[0].as_ptr(), STREAM.as_ptr(), "nothing is copied");
        assert_eq!(passed[0], STREAM);
        assert!(is_understood(&said), "{said:?}");
    }

    #[test]
    fn half_an_event_waits_for_its_other_half() {
        let (mut events, mut said) = (Events::default(), Said::default());
        let mut take = |piece| events.take(Bytes::from_static(piece), &mut said);
        assert_eq!(take(b"data: a\n\ndata: b"), "data: a\n\n");
        assert_eq!(take(b"\n"), "");
        assert_eq!(take(b"\ndata: c"), "data: b\n\n");
        assert_eq!(events.rest(), "data: c");
        assert_eq!(events.rest(), "");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_all_of_it_goes_on(cuts in proptest::collection::vec(0..STREAM.len(), 0..9)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &STREAM.as_bytes()[cut[0]..cut[1]]).collect();
            let (passed, said) = passed(&pieces);
            for at in 0..=passed.len() {
                let so_far = passed[..at].concat();
                let between = so_far.is_empty() || end_of_last_event(&so_far) == Some(so_far.len());
                prop_assert!(between, "{:?}", String::from_utf8_lossy(&so_far));
            }
            prop_assert_eq!(passed.concat(), STREAM.as_bytes());
            prop_assert!(is_understood(&said), "{:?}", said);
        }

        #[test]
        fn bytes_of_any_kind_are_kept(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9)) {
            let (mut events, mut said, mut passed) = (Events::default(), Said::default(), Vec::new());
            for piece in &pieces {
                passed.extend_from_slice(&events.take(Bytes::copy_from_slice(piece), &mut said));
            }
            passed.extend_from_slice(&events.rest());
            prop_assert_eq!(passed, pieces.concat());
        }
    }
}
