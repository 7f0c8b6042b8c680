//! What one host thinks of another's load, and whom it asks: pure, but for the time that goes in.
//!
//! Of two at random the one with more room (M. Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001): with the
//! least loaded of all, everybody would run to the same host between two reports.

use std::time::Duration;

use tokio::time::Instant;

/// What is known holds for so long: then a host that was full is worth a question again.
const FRESH: Duration = Duration::from_millis(100);
/// What a peer has said of itself is better than what the operator says of it for so long: that is as old.
const OWN_WORD: Duration = Duration::from_secs(1);
/// One that said no is left alone for so long, then twice as long for each further no ...
const REST: Duration = Duration::from_millis(10);
/// ... up to this.
const LONGEST_REST: Duration = Duration::from_millis(320);

/// One peer, as one share here sees it.
#[derive(Clone, Debug)]
pub(super) struct Page {
    capacity: u64,
    /// Calls there, running and waiting, as it was last told ...
    in_flight: u64,
    /// ... at this time ...
    at: Instant,
    /// ... when so many of them, or of those on the way, were from here.
    mine_then: u64,
    /// Those from here now.
    mine: u64,
    rest_until: Instant,
    refusals: u32,
}

// === impl Page ===

impl Page {
    pub(super) const fn new(capacity: u64, in_flight: u64, now: Instant) -> Self {
        Self { capacity, in_flight, at: now, mine_then: 0, mine: 0, rest_until: now, refusals: 0 }
    }

    /// What the operator says of it.
    pub(super) fn reported(&mut self, capacity: u64, in_flight: u64, now: Instant) {
        if now.saturating_duration_since(self.at) < OWN_WORD {
            self.capacity = capacity;
        } else {
            self.told(capacity, in_flight, now);
        }
    }

    /// What it says.
    pub(super) const fn told(&mut self, capacity: u64, in_flight: u64, now: Instant) {
        (self.capacity, self.in_flight, self.at, self.mine_then) = (capacity, in_flight, now, self.mine);
    }

    /// A call is on its way to it.
    pub(super) const fn passed(&mut self) {
        self.mine += 1;
    }

    /// A call that was passed on has ended, whichever way.
    pub(super) const fn ended(&mut self) {
        self.mine = self.mine.saturating_sub(1);
    }

    /// It has taken a call.
    pub(super) const fn took(&mut self) {
        self.refusals = 0;
    }

    /// It had no place.
    pub(super) fn refused(&mut self, now: Instant) {
        let rest = REST.saturating_mul(1 << self.refusals.min(10)).min(LONGEST_REST);
        self.rest_until = now + rest;
        self.refusals = self.refusals.saturating_add(1);
    }

    /// Calls there, as far as one can tell from here.
    const fn load(&self) -> u64 {
        (self.in_flight + self.mine).saturating_sub(self.mine_then)
    }

    fn rests(&self, now: Instant) -> bool {
        now < self.rest_until || self.capacity == 0
    }

    fn is_full(&self, now: Instant) -> bool {
        self.load() >= self.capacity && now.saturating_duration_since(self.at) < FRESH
    }

    /// Whether this one has relatively less to do than the other.
    const fn is_better(&self, other: &Self) -> bool {
        let (here, there) = (self.load() as u128, other.load() as u128);
        here * (other.capacity as u128) < there * (self.capacity as u128)
    }
}

/// Whom to ask for a place, if anybody. `random` is even over all `u64`; `connected` tells which can be asked at all.
pub(super) fn choose(pages: &[Page], connected: impl Fn(usize) -> bool, now: Instant, random: u64) -> Option<usize> {
    let fits = |place: &usize| pages.get(*place).is_some_and(|page| !page.rests(now)) && connected(*place);
    let fitting: Vec<usize> = (0..pages.len()).filter(fits).collect();
    let count = fitting.len() as u64;
    let first = random.checked_rem(count)?;
    let pick = |number: u64| fitting.get(usize::try_from(number).ok()?).copied();
    let first_place = pick(first)?;
    let better = match (random >> 32).checked_rem(count - 1) {
        // Any but the first.
        Some(further) => {
            let second_place = pick((first + 1 + further) % count)?;
            let (a, b) = (pages.get(first_place)?, pages.get(second_place)?);
            if b.is_better(a) { second_place } else { first_place }
        }
        None => first_place,
    };
    pages.get(better).filter(|page| !page.is_full(now)).map(|_| better)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(capacity: u64, in_flight: u64) -> Page {
        Page::new(capacity, in_flight, Instant::now())
    }

    fn chosen(pages: &[Page], now: Instant) -> Vec<usize> {
        let mut counts = vec![0; pages.len()];
        for _ in 0..10_000 {
            if let Some(place) = choose(pages, |_| true, now, fastrand::u64(..)) {
                counts[place] += 1;
            }
        }
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_the_one_with_more_room() {
        let now = Instant::now();
        assert_eq!(chosen(&[], now), [] as [usize; 0]);
        assert_eq!(chosen(&[page(10, 9)], now), [10_000]);
        assert_eq!(chosen(&[page(10, 9), page(100, 50)], now), [0, 10_000]);
        let three = chosen(&[page(10, 1), page(10, 2), page(10, 3)], now);
        assert!(three[2] == 0 && three[0].abs_diff(6_667) < 300 && three[1].abs_diff(3_333) < 300, "{three:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_full_is_not_asked_while_that_is_news() {
        let now = Instant::now();
        assert_eq!(chosen(&[page(10, 10)], now), [0]);
        assert_eq!(chosen(&[page(0, 0)], now), [0]);
        assert_eq!(chosen(&[page(10, 10)], now + FRESH), [10_000]);
        // What is on its way counts.
        let mut one = page(2, 0);
        one.passed();
        assert_eq!(chosen(&[one.clone()], now), [10_000]);
        one.passed();
        assert_eq!(chosen(&[one.clone()], now), [0]);
        // What it says holds its calls from here already.
        one.told(4, 3, now);
        assert_eq!(one.load(), 3);
        one.ended();
        assert_eq!(one.load(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_no_is_left_alone_for_longer_and_longer() {
        let now = Instant::now();
        let mut one = page(10, 0);
        for rest in [10, 20, 40, 80, 160, 320, 320] {
            one.refused(now);
            assert_eq!(chosen(&[one.clone()], now + Duration::from_millis(rest - 1)), [0]);
            assert_eq!(chosen(&[one.clone()], now + Duration::from_millis(rest)), [10_000]);
        }
        one.took();
        one.refused(now);
        assert_eq!(chosen(&[one.clone()], now + REST), [10_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_be_reached_is_not_asked() {
        let pages = [page(10, 0), page(10, 9)];
        for _ in 0..100 {
            assert_eq!(choose(&pages, |it| it == 1, Instant::now(), fastrand::u64(..)), Some(1));
        }
    }
}
