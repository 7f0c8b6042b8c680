//! The routes of the native comparison, and the requests that exercise them.

/// Routes in the table.
pub const ROUTES: usize = 10_000;

/// Hostnames that they spread over.
const HOSTS: usize = 100;

/// Routes that the load asks for, one after another: enough that the table does not stay in the nearest cache.
pub const ASKED: usize = 1_000;

/// The hostname of route `n`.
#[must_use]
pub fn host(n: usize) -> String {
    format!("service-{}.example.com", n % HOSTS)
}

/// The path prefix of route `n`, unique under its hostname.
#[must_use]
pub fn prefix(n: usize) -> String {
    format!("/team-{}/app-{}", n / HOSTS % 10, n / HOSTS)
}

/// Host and path of the requests, spread evenly over all routes.
pub fn asked() -> impl Iterator<Item = (String, String)> {
    (0..ASKED)
        .map(|n| n * (ROUTES / ASKED) + n % (ROUTES / ASKED))
        .map(|n| (host(n), format!("{}/items/7?x=1", prefix(n))))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn routes_are_distinct_and_every_request_has_one() {
        let routes: HashSet<_> = (0..ROUTES).map(|n| (host(n), prefix(n))).collect();
        assert_eq!(routes.len(), ROUTES);
        let asked: HashSet<_> = asked().collect();
        assert_eq!(asked.len(), ASKED);
        for (host, path) in asked {
            let prefix = path.trim_end_matches("/items/7?x=1").to_owned();
            assert!(routes.contains(&(host, prefix)));
        }
    }
}
