//! What people are told, from a trace that was written down.

use super::super::explain::{Happened, Trace, explain};
use super::*;

/// A trace of a site whose peer dies.
fn trace() -> Trace {
    let mut events = Vec::new();
    for second in 1..40_u64 {
        let at = Moment::from_millis(second * 1000);
        let gone = second > 15;
        let renewed = second.min(15);
        let role = Some(Record { version: Version(renewed.to_string()), ..record(Site::Peer, 1) });
        let peer = if gone { Verdict::Down } else { Verdict::Up };
        let mut told = vec![
            Event::OwnState(READY),
            Event::Probed { answered: !gone },
            Event::Observed { us: Verdict::Up, peer },
            Event::RoleRead { asked: at, role },
            Event::Tick,
        ];
        if second == 26 {
            let stored = Record { version: Version("99".into()), ..record(Site::Us, 2) };
            told.push(Event::RoleWritten { asked: Moment::from_millis(25_000), outcome: Outcome::Stored(stored) });
        }
        events.extend(told.into_iter().map(|event| Happened { at, event }));
    }
    let kept = Kept { highest: epoch(1), ..Kept::default() };
    Trace { settings: settings(), kept, started: Moment::START, events }
}

#[test]
fn a_trace_survives_being_written_down_and_tells_the_same() {
    let trace = trace();
    let written = serde_json::to_string(&trace).unwrap();
    assert!(written.contains(r#"{"event":"tick"}"#), "{written}");
    let read: Trace = serde_json::from_str(&written).unwrap();
    assert_eq!(read, trace);
    assert_eq!(explain(&read), explain(&trace));
}

#[test]
fn it_says_in_words_why_it_waited_and_why_it_switched() {
    let lines = explain(&trace());
    let story = lines.join("\n");
    for words in [
        "8.0 s  Init → Standby: the role was watched for a whole lease after the start",
        "18.0 s  no switch: the peer's gateway answers nobody, but it still renews; it is asked to hand over",
        "18.0 s  Standby → Arming",
        "→ Acquiring: the lease has expired, and the peer's gateway answers nobody",
    ] {
        assert!(story.contains(words), "{words}\n{story}");
    }
}
