//! The role as the witness keeps it, and as we have seen it.
//!
//! A role expires by what we saw ourselves: the same version for a whole lease, on our own clock. No time that another machine wrote is
//! ever read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Moment;

/// Who holds, from where we stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Site {
    /// Our site; whichever replica.
    Us,
    /// The other one.
    Peer,
    /// A name that is neither ours nor our peer's.
    Stranger,
}

/// Number of a switch; the higher one wins. Without a witness both sites may choose the same counter: then the primary's wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// `leaseTransitions` of the role's Lease. 0: never.
    pub counter: u64,
    /// 1 for the primary's epochs, 0 for the others'.
    pub rank: u8,
}

impl Epoch {
    /// Before the first switch.
    pub const NEVER: Self = Self { counter: 0, rank: 0 };

    /// Above this one by so much.
    #[must_use]
    pub fn above(self, by: u64, rank: u8) -> Self {
        Self { counter: self.counter.saturating_add(by), rank }
    }
}

/// The `resourceVersion` of the role's Lease. Only compared for equality.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub String);

/// The role's Lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Who holds it, or held it last.
    pub holder: Site,
    /// Since which switch.
    pub epoch: Epoch,
    /// It was given up for this site; when that one does not come, for any.
    pub released: Option<Site>,
    /// Of this write.
    pub version: Version,
}

impl Record {
    /// Whether this site is named as the holder and has not given it up.
    pub fn is_held_by(&self, site: Site) -> bool {
        self.holder == site && self.released.is_none()
    }
}

/// What the witness said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sight {
    /// Nothing yet.
    #[default]
    Unknown,
    /// There is no role.
    Absent,
    /// This.
    Present(Record),
}

impl Sight {
    /// The record, if there is one.
    pub fn record(&self) -> Option<&Record> {
        if let Self::Present(record) = self { Some(record) } else { None }
    }

    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present(one), Self::Present(other)) => one.version == other.version,
            (Self::Absent, Self::Absent) | (Self::Unknown, Self::Unknown) => true,
            _ => false,
        }
    }
}

/// What we have seen of the role, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sighting {
    /// The last that was seen.
    pub sight: Sight,
    /// When the answer came that first showed this version: the end of the request, so that we rather wait too long.
    pub changed: Moment,
    /// Start of the last request that showed it.
    pub asked: Moment,
    /// When the witness last answered anything.
    pub answered: Option<Moment>,
    /// Something failed since: nothing is written before the role has been read again.
    pub stale: bool,
    /// The last request failed, or was not answered in time.
    pub failing: bool,
    /// When the last read was sent.
    pub read: Option<Moment>,
    /// Whether this is the first that this process has seen.
    pub first: bool,
}

impl Sighting {
    /// Takes in what a request showed that started at `asked` and was answered now. `None` if a later one has been answered, else
    /// what was seen before and the start of the request that showed it.
    pub fn take(&mut self, sight: Sight, asked: Moment, now: Moment) -> Option<(Sight, Moment)> {
        self.answer(now);
        let known = self.sight != Sight::Unknown;
        if known && asked < self.asked {
            return None;
        }
        let before = (self.sight.clone(), self.asked);
        if !self.sight.is_same_as(&sight) {
            self.changed = now;
            self.first = !known;
            self.sight = sight;
        }
        self.asked = asked;
        self.stale = false;
        Some(before)
    }

    /// The witness answered something.
    pub fn answer(&mut self, now: Moment) {
        self.answered = Some(now);
        self.failing = false;
    }

    /// The witness did not answer; what was sent may have been stored.
    pub fn fail(&mut self) {
        self.stale = true;
        self.failing = true;
    }

    /// Whether it has stood unchanged for so long before our eyes.
    pub fn has_stood(&self, time: Duration, now: Moment) -> bool {
        self.sight != Sight::Unknown && now.since(self.changed) >= time
    }

    /// Whether the witness answered within this time.
    pub fn is_reachable(&self, within: Duration, now: Moment) -> bool {
        self.answered.is_some_and(|answered| now.since(answered) < within)
    }
}
