//! From a host's status to what has changed since the operator last heard. Pure.

use std::collections::BTreeMap;

use penstock_api::control::{ListenerReport, Report, ShareReport, share_report::State};

use crate::{HostStatus, ListenerStatus, ShareState, ShareStatus};

/// What one stream's operator knows.
#[derive(Debug, Default)]
pub(super) struct Told {
    head: Option<Report>,
    shares: BTreeMap<String, ShareReport>,
    listeners: BTreeMap<String, ListenerReport>,
}

impl Told {
    /// What is new in `status`, if anything; from then on it counts as told. The first report is never empty of news.
    pub(super) fn news(&mut self, status: &HostStatus, refused: &str) -> Option<Report> {
        let head = Report {
            version: status.version,
            follows: status.follows,
            leaving: status.leaving,
            refused: refused.to_owned(),
            ..Report::default()
        };
        let (shares, gone_shares) = changes(&mut self.shares, &status.shares, share);
        let (listeners, gone_listeners) = changes(&mut self.listeners, &status.listeners, listener);
        let quiet = shares.is_empty() && gone_shares.is_empty() && listeners.is_empty() && gone_listeners.is_empty();
        if quiet && self.head.as_ref() == Some(&head) {
            return None;
        }
        self.head = Some(head.clone());
        Some(Report { shares, gone_shares, listeners, gone_listeners, ..head })
    }
}

/// What is new or different, and what is gone; brings `told` up to date.
fn changes<Status, Message: PartialEq + Clone>(
    told: &mut BTreeMap<String, Message>,
    now: &BTreeMap<String, Status>,
    write: fn(&str, &Status) -> Message,
) -> (Vec<Message>, Vec<String>) {
    let gone: Vec<String> = told.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
    for name in &gone {
        told.remove(name);
    }
    let mut changed = Vec::new();
    for (name, status) in now {
        let message = write(name, status);
        if told.get(name) != Some(&message) {
            told.insert(name.clone(), message.clone());
            changed.push(message);
        }
    }
    (changed, gone)
}

fn share(id: &str, status: &ShareStatus) -> ShareReport {
    let state = match status.state {
        ShareState::Loading => State::Loading,
        ShareState::Ready => State::Ready,
        ShareState::Failed => State::Failed,
        ShareState::Draining => State::Draining,
    };
    let message = status.message.clone().unwrap_or_default();
    ShareReport { id: id.to_owned(), state: state.into(), message, replicas: status.replicas }
}

fn listener(name: &str, status: &ListenerStatus) -> ListenerReport {
    let address = status.address.map(|address| address.to_string()).unwrap_or_default();
    ListenerReport { name: name.to_owned(), address, errors: status.errors.clone() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::control) fn share_status(state: ShareState) -> ShareStatus {
        ShareStatus {
            deployment: "ns/a".into(),
            revision: "1".into(),
            state,
            replicas: 1,
            capacity: 100,
            ..ShareStatus::default()
        }
    }

    #[test]
    fn only_news_is_told() {
        let mut told = Told::default();
        let mut status = HostStatus::default();
        assert!(told.news(&status, "").is_some(), "the first one says that there is nothing");
        assert!(told.news(&status, "").is_none());

        status.follows = 1;
        status.shares.insert("a".into(), share_status(ShareState::Loading));
        status.shares.insert("b".into(), share_status(ShareState::Ready));
        let report = told.news(&status, "").unwrap();
        assert_eq!((report.version, report.follows, report.shares.len()), (0, 1, 2));

        let failed = ShareStatus { message: Some("no".into()), ..share_status(ShareState::Failed) };
        status.shares.insert("a".into(), failed);
        let report = told.news(&status, "").unwrap();
        assert_eq!(report.shares.len(), 1, "a neighbour that loads holds nobody up");
        assert_eq!((report.shares[0].id.as_str(), report.shares[0].message.as_str()), ("a", "no"));

        status.shares.get_mut("b").unwrap().in_flight = 7;
        assert!(told.news(&status, "").is_none(), "load is told elsewhere");

        status.shares.remove("a");
        assert_eq!(told.news(&status, "").unwrap().gone_shares, ["a"]);
        assert_eq!(told.news(&status, "cannot be read").unwrap().refused, "cannot be read");
        status.leaving = true;
        assert!(told.news(&status, "").unwrap().leaving);
    }
}
