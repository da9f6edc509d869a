//! Whether the gateway may be sent clients, and if not, why.
//!
//! What is lacking at the start is named one by one. Once it has been there it is not asked for again: a gateway that loses something
//! later goes on with the last that was good, and refuses in words.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// Something without which there is nothing to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The configuration.
    Config,
    /// The certificate, where clients speak TLS.
    Certificate,
    /// An API key, where keys are required.
    Keys,
    /// The set of replicas, be it empty.
    Replicas,
}

/// What is still lacking.
#[derive(Debug)]
pub struct Readiness(watch::Sender<BTreeMap<Need, String>>);

impl Readiness {
    /// Lacks all of these.
    pub fn lacking(needs: impl IntoIterator<Item = Need>) -> Self {
        let not_yet = |need| (need, "not looked for yet".to_owned());
        Self(watch::Sender::new(needs.into_iter().map(not_yet).collect()))
    }

    /// It is there.
    pub fn has(&self, need: Need) {
        self.0.send_if_modified(|lacking| lacking.remove(&need).is_some());
    }

    /// It is still not there, for this reason.
    pub fn lacks(&self, need: Need, why: &str) {
        self.0.send_if_modified(|lacking| match lacking.get_mut(&need) {
            Some(known) if known != why => {
                why.clone_into(known);
                true
            }
            _ => false,
        });
    }

    /// Whether it has not been there yet.
    pub fn is_lacking(&self, need: Need) -> bool {
        self.0.borrow().contains_key(&need)
    }

    /// Why the gateway is not ready, in one line; `None` when it is.
    pub fn why_not(&self) -> Option<String> {
        let lacking = self.0.borrow();
        let whys: Vec<_> = lacking.iter().map(|(need, why)| format!("{need:?}: {}", why.replace('\n', " "))).collect();
        (!whys.is_empty()).then(|| whys.join("; "))
    }

    /// Waits until clients can be told more than that nothing is known: who listens earlier would have to turn them away.
    pub async fn may_listen(&self) {
        let there = |lacking: &BTreeMap<Need, String>| {
            !lacking.contains_key(&Need::Config) && !lacking.contains_key(&Need::Certificate)
        };
        // the sender lives as long as `self`
        let _ = self.0.subscribe().wait_for(there).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn what_is_lacking_is_named_in_one_line_until_it_is_there() {
        let ready = Readiness::lacking([Need::Config, Need::Keys]);
        ready.lacks(Need::Config, "config.json: no such file\nat all");
        assert_eq!(ready.why_not().unwrap(), "Config: config.json: no such file at all; Keys: not looked for yet");
        assert!(ready.may_listen().now_or_never().is_none());
        assert!(ready.is_lacking(Need::Config) && !ready.is_lacking(Need::Replicas));
        ready.has(Need::Config);
        assert!(ready.may_listen().now_or_never().is_some(), "who needs a key is told so");
        ready.has(Need::Keys);
        assert_eq!(ready.why_not(), None);
    }

    #[test]
    fn what_has_been_there_is_not_asked_for_again() {
        let ready = Readiness::lacking([Need::Keys]);
        ready.has(Need::Keys);
        ready.lacks(Need::Keys, "the last key is gone");
        ready.lacks(Need::Certificate, "nobody wants one");
        assert_eq!(ready.why_not(), None);
    }
}
