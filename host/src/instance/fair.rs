//! Who goes next: a queue that is fair between flows, whatever each of them puts in.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng 1996): each flow has a virtual time, what it has had, and the one that is
//! farthest behind goes next. A flow that was idle begins where the others are: it is served at once and has saved nothing
//! up. So a crowd of one flow makes a line of its own, and costs another no more than what is being served.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

/// Things to do, in lines of flows.
pub(super) struct FairQueue<T> {
    /// Where the flows that are served are.
    now: u64,
    /// What a turn is taken to cost until it is over.
    estimate: u64,
    next_id: u64,
    flows: HashMap<u64, Line<T>>,
    /// The flows that wait, the one farthest behind first.
    order: BTreeSet<(u64, u64)>,
}

/// One flow.
struct Line<T> {
    name: Arc<str>,
    /// What it has had.
    time: u64,
    waiting: VecDeque<T>,
    handles: usize,
}

impl<T> FairQueue<T> {
    /// Nothing to do. `estimate` is what a turn usually costs, in the unit of [`charge`](Self::charge).
    pub(super) fn new(estimate: u64) -> Self {
        Self { now: 0, estimate, next_id: 0, flows: HashMap::new(), order: BTreeSet::new() }
    }

    /// The flow of that name, to be given back by [`leave`](Self::leave).
    pub(super) fn join(&mut self, name: &str) -> u64 {
        if let Some((id, line)) = self.flows.iter_mut().find(|(_, line)| &*line.name == name) {
            line.handles += 1;
            return *id;
        }
        self.next_id += 1;
        let line = Line { name: name.into(), time: self.now, waiting: VecDeque::new(), handles: 1 };
        self.flows.insert(self.next_id, line);
        self.next_id
    }

    /// Nobody puts anything into the flow any more, if this was the last who could; answers what was still in it.
    pub(super) fn leave(&mut self, id: u64) -> VecDeque<T> {
        let Some(line) = self.flows.get_mut(&id) else { return VecDeque::new() };
        line.handles -= 1;
        if line.handles > 0 {
            return VecDeque::new();
        }
        self.order.remove(&(line.time, id));
        self.flows.remove(&id).map(|line| line.waiting).unwrap_or_default()
    }

    /// Puts something at the end of its flow's line.
    pub(super) fn push(&mut self, id: u64, item: T) {
        let Some(line) = self.flows.get_mut(&id) else { return };
        if line.waiting.is_empty() {
            line.time = line.time.max(self.now);
            self.order.insert((line.time, id));
        }
        line.waiting.push_back(item);
    }

    /// What is to be done next, and of which flow, which is charged for it at once by estimate.
    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        let (time, id) = self.order.pop_first()?;
        let line = self.flows.get_mut(&id)?;
        let item = line.waiting.pop_front()?;
        self.now = self.now.max(time);
        line.time = time.saturating_add(self.estimate);
        if !line.waiting.is_empty() {
            self.order.insert((line.time, id));
        }
        Some((id, item))
    }

    /// Puts what a turn really cost in place of the estimate.
    pub(super) fn charge(&mut self, id: u64, cost: u64) {
        let Some(line) = self.flows.get_mut(&id) else { return };
        let waits = self.order.remove(&(line.time, id));
        line.time = line.time.saturating_sub(self.estimate).saturating_add(cost);
        if waits {
            self.order.insert((line.time, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLICE: u64 = 2;

    fn next(queue: &mut FairQueue<&'static str>) -> &'static str {
        let (id, item) = queue.pop().unwrap();
        queue.charge(id, SLICE);
        item
    }

    #[test]
    fn a_newcomer_is_next_however_many_of_another_wait() {
        let mut queue = FairQueue::new(SLICE);
        let (busy, quiet) = (queue.join("busy"), queue.join("quiet"));
        for _ in 0..100 {
            queue.push(busy, "busy");
        }
        for _ in 0..50 {
            assert_eq!(next(&mut queue), "busy");
        }
        queue.push(quiet, "quiet");
        // Both are at the same place, so one may go before.
        assert!([next(&mut queue), next(&mut queue)].contains(&"quiet"));
        for _ in 0..20 {
            queue.push(quiet, "quiet");
            assert!([next(&mut queue), next(&mut queue)].contains(&"quiet"), "no more than one between two of its own");
        }
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut queue = FairQueue::new(SLICE);
        let (one, other) = (queue.join("one"), queue.join("other"));
        for _ in 0..1000 {
            queue.push(one, "one");
            next(&mut queue);
        }
        for _ in 0..100 {
            queue.push(one, "one");
            queue.push(other, "other");
        }
        let served: Vec<_> = (0..100).map(|_| next(&mut queue)).collect();
        let of_one = served.iter().filter(|it| **it == "one").count();
        assert!((49..=51).contains(&of_one), "{of_one}");
    }

    #[test]
    fn a_flow_is_known_by_its_name_until_the_last_has_left() {
        let mut queue = FairQueue::new(SLICE);
        let (one, same) = (queue.join("a"), queue.join("a"));
        assert_eq!(one, same);
        queue.push(one, 1);
        queue.push(one, 2);
        assert!(queue.leave(one).is_empty());
        assert_eq!(queue.pop(), Some((one, 1)));
        assert_eq!(queue.leave(same), [2]);
        queue.charge(one, 5);
        assert!(queue.flows.is_empty() && queue.order.is_empty() && queue.pop().is_none());
    }

    proptest! {
        /// Whatever comes in whatever order with whatever cost: nothing is lost or made, each flow's own order is kept, and
        /// flows that always have something to do get the same within two of the longest turns.
        #[test]
        fn fair_and_complete(steps in prop::collection::vec((0..3_usize, 1..6_u64, any::<bool>()), 1..400)) {
            let mut queue = FairQueue::new(SLICE);
            let flows = ["a", "b", "c"].map(|name| queue.join(name));
            let mut sent = [0_u64; 3];
            let mut got = [0_u64; 3];
            let mut had = [0_u64; 3];
            for (at, _, _) in &steps {
                queue.push(flows[*at], sent[*at]);
                sent[*at] += 1;
            }
            // While all have something to do.
            for (_, cost, late) in steps {
                let Some((id, item)) = queue.pop() else { break };
                let at = flows.iter().position(|it| *it == id).unwrap();
                prop_assert_eq!(item, got[at]);
                got[at] += 1;
                had[at] += cost;
                if late {
                    // Another turn begins before this one is over.
                    let Some((other, item)) = queue.pop() else { queue.charge(id, cost); break };
                    let it = flows.iter().position(|it| *it == other).unwrap();
                    prop_assert_eq!(item, got[it]);
                    got[it] += 1;
                    had[it] += SLICE;
                    queue.charge(other, SLICE);
                }
                queue.charge(id, cost);
                if (0..3).all(|it| got[it] < sent[it]) {
                    prop_assert!(had.iter().max().unwrap() - had.iter().min().unwrap() <= 12, "{had:?}");
                }
            }
            while let Some((id, item)) = queue.pop() {
                let at = flows.iter().position(|it| *it == id).unwrap();
                prop_assert_eq!(item, got[at]);
                got[at] += 1;
            }
            prop_assert_eq!(sent, got);
        }
    }
}
