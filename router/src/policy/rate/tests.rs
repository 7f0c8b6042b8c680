use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn bucket(requests: u32, burst: u32) -> Bucket {
    Bucket::new(requests, Duration::from_secs(1), burst)
}

fn taken(cell: &Cell, bucket: Bucket, now: u64) -> usize {
    (0..100).filter(|_| matches!(cell.take(bucket, now), Verdict::Taken { .. })).count()
}

#[test]
fn a_burst_at_once_and_then_one_after_the_other() {
    let (cell, bucket) = (Cell::default(), bucket(10, 5));
    assert_eq!(cell.take(bucket, 0), Verdict::Taken { remaining: 4, full_in: SECOND / 10 });
    assert_eq!(taken(&cell, bucket, 0), 4);
    assert_eq!(cell.take(bucket, 0), Verdict::Refused { wait: SECOND / 10, full_in: SECOND / 2 });
    assert_eq!(taken(&cell, bucket, SECOND / 10 - 1), 0);
    assert_eq!(taken(&cell, bucket, SECOND / 10), 1);
    assert_eq!(taken(&cell, bucket, 9 * SECOND), 5, "what is not used is saved up to the burst");
}

#[test]
fn keys_are_bounded_and_those_that_are_known_lose_nothing() {
    let (keys, bucket) = (Keys::new(1600), bucket(1, 2));
    let spread = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let take = |number: u64, now: u64| matches!(keys.take(spread(number), bucket, now), Verdict::Taken { .. });
    assert!(take(0, 0));
    let fits = (1..100_000).filter(|number| take(*number, 0)).count();
    assert_eq!((keys.len(), fits), (1600, 1599 + 2), "the newcomers share one bucket");
    assert_eq!((take(0, 0), take(0, 0)), (true, false), "the known one has its burst");
    // Those that sent once are as if they had sent nothing, and make room.
    assert!(take(200_000, SECOND + 1));
    assert!(keys.len() <= 1600 && keys.capacity() <= 4 * 1600, "{} {}", keys.len(), keys.capacity());
}

#[tokio::test]
async fn who_counts_together() {
    let limit = |by: RateKey| RateLimiter::new(Rate { requests: 1, per: Duration::from_secs(3600), burst: 1, by });
    let headers = |value: Option<&str>| {
        let name = HeaderName::from_static("x-api-key");
        HeaderMap::from_iter(value.map(|it| (name, HeaderValue::from_str(it).unwrap())))
    };
    let second = |by: RateKey, one: (&str, Option<&str>), other: (&str, Option<&str>)| {
        let limit = limit(by);
        let take = |it: (&str, Option<&str>)| limit.take(it.0.parse().unwrap(), &headers(it.1), Instant::now()).is_ok();
        assert!(take(one));
        take(other)
    };
    let client = |one, other| second(RateKey::Client, (one, None), (other, None));
    assert!(!client("192.0.2.1", "192.0.2.1"));
    assert!(client("192.0.2.1", "192.0.2.2"));
    assert!(!client("192.0.2.1", "::ffff:192.0.2.1"));
    assert!(!client("2001:db8::1", "2001:db8::2"), "of IPv6 a /64 is one client");
    assert!(client("2001:db8::1", "2001:db8:0:1::1"));
    let key = |one, other| {
        let by = RateKey::Header(HeaderName::from_static("x-api-key"));
        second(by, ("192.0.2.1", one), ("192.0.2.2", other))
    };
    assert!(!key(Some("a"), Some("a")));
    assert!(key(Some("a"), Some("b")));
    assert!(!key(None, None));
    assert!(!second(RateKey::All, ("192.0.2.1", Some("a")), ("192.0.2.2", None)));
}

#[tokio::test]
async fn a_rule_goes_on_counting_in_its_next_table() {
    let limiters = RateLimiters::new();
    let rate = Rate { requests: 1, per: Duration::from_secs(3600), burst: 1, by: RateKey::All };
    let take = |rule: &str, rate: &Rate| {
        let limiter = limiters.of(rule, rate);
        let allowed = limiter.take([192, 0, 2, 1].into(), &HeaderMap::new(), Instant::now()).is_ok();
        (limiter, allowed)
    };
    let (first, allowed) = take("r", &rate);
    assert!(allowed);
    assert!(!take("r", &rate).1, "the same rule in the next table");
    assert!(take("s", &rate).1, "another rule");
    assert!(take("r", &Rate { requests: 2, ..rate.clone() }).1, "another limit");
    drop(first);
    assert!(take("r", &rate).1, "nobody held it");
}

proptest! {
    /// In no span of time more than the rate and one burst, whatever the times.
    #[test]
    fn never_more_than_the_rate(
        requests in 1..50_u32,
        burst in 1..20_u32,
        gaps in prop::collection::vec(0..SECOND / 5, 1..300),
    ) {
        let (bucket, cell) = (bucket(requests, burst), Cell::default());
        let (mut now, mut passed) = (0, Vec::new());
        for gap in gaps {
            now += gap;
            if matches!(cell.take(bucket, now), Verdict::Taken { .. }) {
                passed.push(now);
            }
        }
        let cost = SECOND.div_ceil(u64::from(requests));
        for (index, from) in passed.iter().enumerate() {
            for (count, to) in passed[index..].iter().enumerate() {
                prop_assert!(count as u64 <= u64::from(burst) - 1 + (to - from) / cost + 1, "{} in {}", count + 1, to - from);
            }
        }
    }
}
