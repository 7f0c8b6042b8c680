//! Networks in the notation of RFC 4632 section 3.1 (CIDR): who is believed.

use std::{fmt, net::IpAddr, str::FromStr};

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// Without the bits that the prefix leaves open.
    address: IpAddr,
    prefix: u8,
}

/// Some networks; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a network; write an address (10.1.2.3) or a prefix (10.0.0.0/8, fd00::/8)")]
pub struct InvalidNetwork {
    text: String,
}

// === impl Network ===

impl Network {
    /// The network of all addresses that share the first `prefix` bits of `address`; `None` if it has fewer bits.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        // An IPv4 client of a socket for both is seen as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2): the same network.
        let (address, prefix) = match address.to_canonical() {
            short @ IpAddr::V4(_) if address.is_ipv6() && prefix >= 96 => (short, prefix - 96),
            IpAddr::V4(_) if address.is_ipv6() => (address, prefix),
            same => (same, prefix),
        };
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then(|| Self { address: masked(address, prefix), prefix })
    }

    /// Whether the address belongs to it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.address.is_ipv4() == address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(u32::BITS.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(u128::BITS.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let parse = || {
            let Some((address, prefix)) = text.split_once('/') else {
                let address: IpAddr = text.parse().ok()?;
                return Self::new(address, if address.is_ipv4() { 32 } else { 128 });
            };
            let plain = prefix.bytes().all(|byte| byte.is_ascii_digit());
            Self::new(address.parse().ok()?, prefix.parse().ok().filter(|_| plain)?)
        };
        parse().ok_or_else(|| InvalidNetwork { text: text.to_owned() })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

// === impl Networks ===

impl Networks {
    /// Whether the address belongs to one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parses_holds_its_addresses_and_prints_in_one_form() {
        for (text, printed, inside, outside) in [
            ("10.0.0.0/8", "10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.0.0.0/8", "10.0.0.0", "9.255.255.255"),
            ("192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7", "192.0.2.7/32", "::ffff:192.0.2.7", "::192.0.2.7"),
            ("0.0.0.0/0", "0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "::/0", "2001:db8::1", "203.0.113.9"),
            ("fd00::/8", "fd00::/8", "fdff::1", "fe00::1"),
            ("2001:db8::1/33", "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
            ("::1", "::1/128", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8", "10.9.9.9", "11.0.0.0"),
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), printed);
            assert_eq!(printed.parse(), Ok(network));
            let networks: Networks = [network].into_iter().collect();
            assert!(networks.contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!networks.contains(outside.parse().unwrap()), "{text} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "a",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "1.2.3.4/8/9",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert!("x".parse::<Network>().unwrap_err().to_string().starts_with("'x' is not a network; "));
    }

    #[test]
    fn nobody_is_in_no_network() {
        assert!(!Networks::default().contains([127, 0, 0, 1].into()));
    }
}
