//! The compiled table against a slow, obviously right matcher, over random tables and requests that nearly collide.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;

use penstock_router::route::{Lost, RouteTable};
use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestRunner},
};

use crate::oracle::Choices;

const TABLES: u32 = 2_500;
const REQUESTS: usize = 48;

#[test]
fn the_table_agrees_with_a_plain_matcher() {
    let (pairs, found, contested) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let config = Config { cases: TABLES, failure_persistence: None, ..Config::default() };
    let bytes = (vec(any::<u8>(), 100..600), vec(any::<u8>(), REQUESTS * 14));
    let outcome = TestRunner::new(config).run(&bytes, |(table, requests)| {
        let routes = crate::oracle::routes(&mut Choices(&table));
        let compiled = RouteTable::compile(routes.clone());
        for mut choices in requests.chunks(14).map(Choices) {
            let request = crate::oracle::request(&mut choices);
            let wanted = crate::oracle::find(&routes, &request);
            let got = compiled.find(&request.key());
            assert_eq!(got.as_ref().map(|found| *found.action), wanted, "{request:?}\n{routes:#?}");

            let explanation = compiled.explain(&request.key());
            let winner = explanation.winner.as_ref().map(|winner| (winner.route.as_str(), winner.rule));
            assert_eq!(got.as_ref().map(|found| (&**found.route, found.rule)), winner, "{request:?}\n{explanation}");
            assert_eq!(explanation.losers.len() + usize::from(winner.is_some()), compiled.len());

            pairs.set(pairs.get() + 1);
            found.set(found.get() + usize::from(got.is_some()));
            let lost_by_rank = explanation.losers.iter().any(|loser| matches!(loser.lost, Lost::Precedence(_)));
            contested.set(contested.get() + usize::from(lost_by_rank));
        }
        Ok(())
    });
    outcome.unwrap();
    // A generator that hardly ever produces a match, or a contest of two, would prove nothing.
    assert!(pairs.get() >= 100_000, "{pairs:?} pairs");
    assert!(found.get() > pairs.get() / 3, "{found:?} of {pairs:?} matched");
    assert!(contested.get() > pairs.get() / 5, "{contested:?} of {pairs:?} had more than one candidate");
    eprintln!("{} pairs, {} matched, {} contested", pairs.get(), found.get(), contested.get());
}
