//! Which interfaces the host offers to components, in one list: what `penstock inspect` and link errors say comes from
//! here.
//!
//! Versions match as in the engine's linker: exactly, or on the same compatible track, in either direction. A component
//! that was built against `wasi:http@0.2.0` and one built against `@0.2.99` both get `0.2.12`; pre-releases match only
//! themselves.

use semver::Version;
use serde::Serialize;

/// What the host does about one imported interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "offer")]
pub enum Offer {
    /// Every component gets it.
    Offered {
        /// The version that the host has.
        version: String,
        /// What the workload's manifest decides about it, if anything.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'static str>,
    },
    /// Components get it that ask for it in `hostInterfaces`.
    ByConfiguration {
        /// The version that the host has.
        version: String,
        /// What to write.
        note: &'static str,
    },
    /// Nothing has to be offered: it consists of type definitions only.
    TypesOnly,
    /// Only another component of the same workload can provide it.
    NotOffered {
        /// What is close: `the host offers wasi:http/handler@0.3.0`.
        #[serde(skip_serializing_if = "Option::is_none")]
        nearest: Option<String>,
    },
}

/// One interface that the host offers.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// `namespace:package`.
    pub package: &'static str,
    /// The interface's name.
    pub interface: &'static str,
    /// The version that the host has.
    pub version: &'static str,
    /// What the manifest decides.
    pub terms: Terms,
}

/// Who gets an offered interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Every component.
    Always,
    /// Every component, within what its manifest allows.
    Within(&'static str),
    /// Components whose workload has it in `hostInterfaces`.
    OnRequest(&'static str),
}

const WASI_02: &str = "0.2.12";
const WASI_03: &str = "0.3.0";

const EGRESS: Terms = Terms::Within("reaches the hosts in `allowedHosts` only");
const LOOKUPS: Terms = Terms::Within("resolves the names in `allowedIpNameLookups` only");
const SOCKETS: Terms = Terms::Within("connects to what `allowedHosts` names only");
const FILES: Terms = Terms::Within("sees the volumes in `volumeMounts` only");
const ENVIRONMENT: Terms = Terms::Within("values come from `localResources.environment`");

/// Everything that the host offers.
pub const OFFERED: &[Offered] = &[
    // 0.2
    offered("wasi:io", "error", WASI_02, Terms::Always),
    offered("wasi:io", "poll", WASI_02, Terms::Always),
    offered("wasi:io", "streams", WASI_02, Terms::Always),
    offered("wasi:clocks", "monotonic-clock", WASI_02, Terms::Always),
    offered("wasi:clocks", "wall-clock", WASI_02, Terms::Always),
    offered("wasi:random", "random", WASI_02, Terms::Always),
    offered("wasi:random", "insecure", WASI_02, Terms::Always),
    offered("wasi:random", "insecure-seed", WASI_02, Terms::Always),
    offered("wasi:cli", "environment", WASI_02, ENVIRONMENT),
    offered("wasi:cli", "exit", WASI_02, Terms::Always),
    offered("wasi:cli", "stdin", WASI_02, Terms::Always),
    offered("wasi:cli", "stdout", WASI_02, Terms::Always),
    offered("wasi:cli", "stderr", WASI_02, Terms::Always),
    offered("wasi:cli", "terminal-input", WASI_02, Terms::Always),
    offered("wasi:cli", "terminal-output", WASI_02, Terms::Always),
    offered("wasi:cli", "terminal-stdin", WASI_02, Terms::Always),
    offered("wasi:cli", "terminal-stdout", WASI_02, Terms::Always),
    offered("wasi:cli", "terminal-stderr", WASI_02, Terms::Always),
    offered("wasi:filesystem", "types", WASI_02, FILES),
    offered("wasi:filesystem", "preopens", WASI_02, FILES),
    offered("wasi:sockets", "network", WASI_02, SOCKETS),
    offered("wasi:sockets", "instance-network", WASI_02, SOCKETS),
    offered("wasi:sockets", "ip-name-lookup", WASI_02, LOOKUPS),
    offered("wasi:sockets", "tcp", WASI_02, SOCKETS),
    offered("wasi:sockets", "tcp-create-socket", WASI_02, SOCKETS),
    offered("wasi:sockets", "udp", WASI_02, SOCKETS),
    offered("wasi:sockets", "udp-create-socket", WASI_02, SOCKETS),
    offered("wasi:http", "types", WASI_02, Terms::Always),
    offered("wasi:http", "outgoing-handler", WASI_02, EGRESS),
    // 0.3
    offered("wasi:clocks", "types", WASI_03, Terms::Always),
    offered("wasi:clocks", "monotonic-clock", WASI_03, Terms::Always),
    offered("wasi:clocks", "system-clock", WASI_03, Terms::Always),
    offered("wasi:random", "random", WASI_03, Terms::Always),
    offered("wasi:random", "insecure", WASI_03, Terms::Always),
    offered("wasi:random", "insecure-seed", WASI_03, Terms::Always),
    offered("wasi:cli", "environment", WASI_03, ENVIRONMENT),
    offered("wasi:cli", "exit", WASI_03, Terms::Always),
    offered("wasi:cli", "types", WASI_03, Terms::Always),
    offered("wasi:cli", "stdin", WASI_03, Terms::Always),
    offered("wasi:cli", "stdout", WASI_03, Terms::Always),
    offered("wasi:cli", "stderr", WASI_03, Terms::Always),
    offered("wasi:cli", "terminal-input", WASI_03, Terms::Always),
    offered("wasi:cli", "terminal-output", WASI_03, Terms::Always),
    offered("wasi:cli", "terminal-stdin", WASI_03, Terms::Always),
    offered("wasi:cli", "terminal-stdout", WASI_03, Terms::Always),
    offered("wasi:cli", "terminal-stderr", WASI_03, Terms::Always),
    offered("wasi:filesystem", "types", WASI_03, FILES),
    offered("wasi:filesystem", "preopens", WASI_03, FILES),
    offered("wasi:sockets", "types", WASI_03, SOCKETS),
    offered("wasi:sockets", "ip-name-lookup", WASI_03, LOOKUPS),
    offered("wasi:http", "types", WASI_03, Terms::Always),
    offered("wasi:http", "client", WASI_03, EGRESS),
    // Outside WASI's releases
    offered("wasi:config", "store", "0.2.0-rc.1", Terms::Within("values come from `localResources.config`")),
];

const fn offered(package: &'static str, interface: &'static str, version: &'static str, terms: Terms) -> Offered {
    Offered { package, interface, version, terms }
}

// === impl Offered ===

impl Offered {
    /// `wasi:http/types@0.2.12`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}@{}", self.package, self.interface, self.version)
    }
}

/// What the host does about the import `id`, such as `wasi:http/types@0.2.3`.
#[must_use]
pub fn look_up(id: &str) -> Offer {
    find(OFFERED, id)
}

fn find(list: &[Offered], id: &str) -> Offer {
    let (name, version) = id.split_once('@').unwrap_or((id, ""));
    let named = || list.iter().filter(|entry| name == format!("{}/{}", entry.package, entry.interface));
    let Some(entry) = named().find(|entry| matches(version, entry.version)) else {
        let others: Vec<String> = named().map(Offered::id).collect();
        let nearest = (!others.is_empty()).then(|| format!("the host offers {}", others.join(" and ")));
        return Offer::NotOffered { nearest };
    };
    let version = entry.version.to_owned();
    match entry.terms {
        Terms::Always => Offer::Offered { version, note: None },
        Terms::Within(note) => Offer::Offered { version, note: Some(note) },
        Terms::OnRequest(note) => Offer::ByConfiguration { version, note },
    }
}

/// Whether the linker takes a definition of version `have` for an import of version `want`.
#[must_use]
pub fn matches(want: &str, have: &str) -> bool {
    want == have || track(want).is_some_and(|want| track(have) == Some(want))
}

/// What versions must have in common: `1` of `1.2.3`, `0.2` of `0.2.3`. `None` for `0.0.z` and pre-releases, which are
/// compatible with nothing else.
fn track(version: &str) -> Option<(u64, u64)> {
    let version = Version::parse(version).ok().filter(|version| version.pre.is_empty())?;
    match (version.major, version.minor) {
        (0, 0) => None,
        (0, minor) => Some((0, minor)),
        (major, _) => Some((major, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_match_as_in_the_linker() {
        for (want, have, expected) in [
            ("0.2.12", "0.2.12", true),
            ("0.2.0", "0.2.12", true),
            ("0.2.99", "0.2.12", true),
            ("0.2.3+build", "0.2.12", true),
            ("0.3.0", "0.2.12", false),
            ("0.2.0-rc.1", "0.2.0-rc.1", true),
            ("0.2.0-rc.2", "0.2.0-rc.1", false),
            ("0.3.0-rc-2025-09-16", "0.3.0", false),
            ("0.0.1", "0.0.1", true),
            ("0.0.1", "0.0.2", false),
            ("1.2.3", "1.0.0", true),
            ("2.0.0", "1.0.0", false),
            ("", "", true),
            ("", "0.2.12", false),
        ] {
            assert_eq!(matches(want, have), expected, "{want} by {have}");
        }
    }

    #[test]
    fn look_ups() {
        let always = |version: &str| Offer::Offered { version: version.into(), note: None };
        assert_eq!(look_up("wasi:http/types@0.2.0"), always("0.2.12"));
        assert_eq!(look_up("wasi:http/types@0.3.0"), always("0.3.0"));
        assert_eq!(
            look_up("wasi:http/outgoing-handler@0.2.4"),
            Offer::Offered { version: "0.2.12".into(), note: Some("reaches the hosts in `allowedHosts` only") }
        );
        assert_eq!(
            look_up("wasi:http/types@0.3.0-rc-2025-09-16"),
            Offer::NotOffered {
                nearest: Some("the host offers wasi:http/types@0.2.12 and wasi:http/types@0.3.0".into())
            }
        );
        assert_eq!(look_up("acme:tools/hammer@1.0.0"), Offer::NotOffered { nearest: None });
        assert_eq!(look_up("hammer"), Offer::NotOffered { nearest: None });
        let on_request = [offered("a:b", "c", "1.0.0", Terms::OnRequest("write this"))];
        assert_eq!(
            find(&on_request, "a:b/c@1.4.0"),
            Offer::ByConfiguration { version: "1.0.0".into(), note: "write this" }
        );
    }

    #[test]
    fn no_entry_hides_another() {
        for (i, a) in OFFERED.iter().enumerate() {
            for b in &OFFERED[i + 1..] {
                let same = (a.package, a.interface) == (b.package, b.interface);
                assert!(!same || !matches(a.version, b.version), "{} and {}", a.id(), b.id());
            }
        }
    }
}
