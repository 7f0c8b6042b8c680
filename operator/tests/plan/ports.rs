//! Ports of listeners.

use std::collections::{BTreeMap, BTreeSet};

use penstock_operator::plan::{Name, Ports};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::new("default", text)
}

#[test]
fn a_port_stays_with_its_service() {
    let mut ports = Ports::new(20_000..=29_999);
    let first = ports.allocate(&name("s"), ["http", "grpc"]);
    assert_eq!(first.len(), 2);
    assert_ne!(first["http"], first["grpc"]);
    assert!(first.values().all(|it| (20_000..=29_999).contains(it)));
    assert_eq!(ports.allocate(&name("s"), ["grpc", "http"]), first, "asked again");
    let renamed = ports.allocate(&name("s"), ["http", "web"]);
    assert_eq!(renamed["http"], first["http"]);
    assert_eq!(ports.get(&name("s"), "grpc"), None);
    // Equal names come to equal ports where nothing is in the way: also without any record.
    assert_eq!(Ports::new(20_000..=29_999).allocate(&name("s"), ["http", "grpc"]), first);
}

#[test]
fn slices_are_the_record() {
    let mut ports = Ports::new(20_000..=29_999);
    assert!(ports.record(&name("s"), "http", 20_007));
    assert!(ports.record(&name("s"), "http", 20_007), "a second slice says the same");
    assert!(!ports.record(&name("s"), "http", 20_008), "it has another one");
    assert!(!ports.record(&name("t"), "http", 20_007), "it is another's");
    assert!(!ports.record(&name("t"), "http", 80), "it is out of range");
    assert_eq!(ports.allocate(&name("s"), ["http"]), BTreeMap::from([("http".into(), 20_007)]));
    assert_ne!(ports.allocate(&name("t"), ["http"])["http"], 20_007);
}

#[test]
fn a_range_is_used_up_and_given_back() {
    let mut ports = Ports::new(20_000..=20_002);
    assert_eq!(ports.allocate(&name("a"), ["x", "y"]).len(), 2);
    let one = ports.allocate(&name("b"), ["x", "y"]);
    assert_eq!(one.len(), 1, "one of the two has a port");
    ports.release(&name("a"));
    let both = ports.allocate(&name("b"), ["x", "y"]);
    assert_eq!(both.len(), 2);
    assert!(one.iter().all(|(name, port)| both[name] == *port));
    // Names can change when the range is full.
    assert_eq!(ports.allocate(&name("a"), ["x"]).len(), 1);
    assert_eq!(ports.allocate(&name("b"), ["z", "w"]).len(), 2);
}

proptest! {
    /// However Services come, change and go: no two listeners have the same port, and none changes for no reason.
    #[test]
    fn no_port_has_two_owners(changes in prop::collection::vec((0..6_u8, prop::collection::btree_set(0..4_u8, 0..4)), 1..40)) {
        let mut ports = Ports::new(20_000..=20_011);
        let mut all: BTreeMap<u8, BTreeMap<String, u16>> = BTreeMap::new();
        for (service, names) in changes {
            let names: Vec<String> = names.iter().map(|it| format!("p{it}")).collect();
            let before = all.remove(&service).unwrap_or_default();
            let now = ports.allocate(&name(&service.to_string()), names.iter().map(String::as_str));
            for (name, port) in &now {
                prop_assert!(before.get(name).is_none_or(|it| it == port));
            }
            all.insert(service, now.clone());
            let taken: Vec<u16> = all.values().flat_map(|it| it.values().copied()).collect();
            prop_assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len());
            // Nobody goes without while there is a free port.
            prop_assert!(now.len() == names.len() || taken.len() == 12, "{now:?}");
        }
    }
}
