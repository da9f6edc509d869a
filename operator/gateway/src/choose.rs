//! Which replica gets a request.
//!
//! ```text
//! L_i  load of replica i: the sum of the costs of what runs there (see `cost`)
//! w_i  weight of replica i, in (0, 1]: less than 1 while it starts slowly
//! l    cost of this request
//!
//! by load      of two replicas drawn at random the one with the smaller (L_i + l) / w_i
//!              (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001)
//! by opening   the first in the order of this opening's scores with L_i + l <= w_i max(c (L + l) / W, f)
//!              c = 1.25: how far above the average is too much; f = 4: less than that never is, engines batch
//!              (Mirrokni, Thorup, Zadimoghaddam, Consistent Hashing with Bounded Loads, 2016; the order is that of
//!              rendezvous hashing, Thaler and Ravishankar, 1998, which needs no ring)
//! ```
//!
//! Only replicas with room are drawn: who is full is no choice, and when all are full the request waits.

use std::hash::Hasher;

/// How far above the average a replica may be loaded before an opening's next choice is taken.
const BOUND: f64 = 1.25;

/// A load that is never too much for an opening's first choice.
const FREE: f64 = 4.0;

/// Bytes of a request that cost as much again as its answer: filling the cache with a thousand tokens takes an engine about as
/// long as making a few dozen.
const BYTES_PER_UNIT: usize = 4096;

/// A replica that could take the request.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Tells it from the others, the same in every gateway: a hash of its name.
    pub id: u64,
    /// Costs of what runs there.
    pub load: u32,
    /// Its share of traffic relative to others; 1 for one that has settled.
    pub weight: f64,
    /// Whether it may take one more request.
    pub has_room: bool,
}

/// What a request costs: one, and more for a long prompt.
pub fn cost(body_bytes: usize) -> u32 {
    u32::try_from(1 + body_bytes / BYTES_PER_UNIT).unwrap_or(u32::MAX)
}

/// Identifies the opening of a conversation, the same in every gateway.
pub fn opening_key(parts: [&[u8]; 2]) -> u64 {
    let mut hasher = fnv::FnvHasher::default();
    for part in parts {
        hasher.write(part);
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

/// By load; `dice` are two random numbers. `None` when no candidate has room.
pub fn by_load(candidates: &[Candidate], cost: u32, dice: [u64; 2]) -> Option<usize> {
    let open = candidates.iter().filter(|candidate| candidate.has_room).count() as u64;
    let draw = |dice: u64, open: u64| usize::try_from(dice % open).ok();
    let first = draw(dice[0], open.max(1)).filter(|_| open > 0)?;
    let second = draw(dice[1], (open - 1).max(1))?;
    // two different ones, if there are two
    let second = if open > 1 && second >= first { second + 1 } else { second.min(usize::try_from(open).ok()? - 1) };
    let at = |nth: usize| candidates.iter().enumerate().filter(|(_, c)| c.has_room).nth(nth).map(|(at, _)| at);
    let (one, other) = (at(first)?, at(second)?);
    let strain = |at: usize| (f64::from(candidates[at].load) + f64::from(cost)) / candidates[at].weight;
    Some(if strain(other) < strain(one) { other } else { one })
}

/// By opening, so that what the engine has cached of a conversation is used again. `None` when no candidate has room.
pub fn by_opening(candidates: &[Candidate], cost: u32, opening: u64) -> Option<usize> {
    let loads: f64 = candidates.iter().map(|candidate| f64::from(candidate.load)).sum();
    let weights: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let cost = f64::from(cost);
    let fair = (BOUND * (loads + cost) / weights).max(FREE);
    let within = |c: &Candidate| f64::from(c.load) + cost <= c.weight * fair;
    let best = |allowed: &dyn Fn(&Candidate) -> bool| {
        let open = candidates.iter().enumerate().filter(|(_, c)| c.has_room && allowed(c));
        open.max_by_key(|(_, candidate)| score(opening, candidate.id)).map(|(at, _)| at)
    };
    // there may be none: all of them full, or all but new
    best(&within).or_else(|| best(&|_| true))
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, 2014) over both.
fn score(opening: u64, replica: u64) -> u64 {
    let mut mixed = opening ^ replica.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(loads: &[u32]) -> Vec<Candidate> {
        let ids = loads.iter().enumerate().map(|(at, load)| (at as u64 * 7919, *load));
        ids.map(|(id, load)| Candidate { id, load, weight: 1.0, has_room: true }).collect()
    }

    #[test]
    fn nobody_is_chosen_among_nobody() {
        let full = [Candidate { id: 1, load: 0, weight: 1.0, has_room: false }];
        for none in [&[][..], &full] {
            assert_eq!(by_load(none, 1, [3, 4]), None);
            assert_eq!(by_opening(none, 1, 3), None);
        }
    }

    #[test]
    fn the_less_loaded_of_two_is_taken() {
        for dice in [[0, 0], [1, 0], [7, 5]] {
            assert_eq!(by_load(&candidates(&[5, 1]), 1, dice), Some(1));
        }
    }

    #[test]
    fn who_starts_slowly_counts_as_more_loaded() {
        let mut slow = candidates(&[1, 1]);
        slow[0].weight = 0.1;
        assert_eq!(by_load(&slow, 1, [0, 0]), Some(1));
    }

    #[test]
    fn an_opening_stays_where_it_was_when_another_replica_goes() {
        let all = candidates(&[0; 5]);
        let homes: Vec<_> = (0..200).map(|key| by_opening(&all, 1, key).unwrap()).collect();
        let fewer = &all[..4];
        for (key, home) in homes.iter().enumerate().filter(|(_, home)| **home != 4) {
            assert_eq!(by_opening(fewer, 1, key as u64), Some(*home));
        }
        for at in 0..5 {
            assert!(homes.iter().filter(|home| **home == at).count() > 20, "{homes:?}");
        }
    }

    #[test]
    fn a_long_prompt_costs_more() {
        assert_eq!((cost(0), cost(4095), cost(40_960)), (1, 1, 11));
    }

    fn worlds() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (any::<u64>(), 0..1000_u32, 0.05..=1.0_f64, any::<bool>());
        proptest::collection::vec(
            one.prop_map(|(id, load, weight, has_room)| Candidate { id, load, weight, has_room }),
            0..9,
        )
    }

    proptest! {
        #[test]
        fn somebody_with_room_is_chosen_if_there_is_one(all in worlds(), dice: [u64; 2], key: u64, cost in 1..100_u32) {
            let any = all.iter().any(|c| c.has_room);
            for choice in [by_load(&all, cost, dice), by_opening(&all, cost, key)] {
                prop_assert_eq!(choice.is_some(), any);
                prop_assert!(choice.is_none_or(|at| all[at].has_room));
            }
        }

        #[test]
        fn the_bound_holds_while_somebody_is_within(loads in proptest::collection::vec(0..50_u32, 1..9), key: u64) {
            let all = candidates(&loads);
            let chosen = by_opening(&all, 1, key).unwrap();
            let total: u32 = loads.iter().sum();
            let fair = (BOUND * f64::from(total + 1) / f64::from(u32::try_from(loads.len()).unwrap())).max(FREE);
            let within = |load: u32| f64::from(load) + 1.0 <= fair;
            prop_assert!(within(loads[chosen]) || !loads.iter().any(|load| within(*load)));
        }
    }
}
