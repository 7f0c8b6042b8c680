//! What a client carries: `token[.began[.seen]]`, in hexadecimal digits.

use std::fmt;

use sha2::{Digest, Sha256};

/// Stands for one backend of one rule. 64 bits: the few backends of a rule do not collide by chance, and if two were made
/// to, a session would go to either, which is no more than its weight could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u64);

/// A session as a client carries it. Times are seconds since the epoch, and there if the rule has a use for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) token: Token,
    pub(super) began: Option<u64>,
    pub(super) seen: Option<u64>,
}

// === impl Token ===

impl Token {
    /// The same on every host and in every release: sessions of clients hang on it.
    pub(super) fn of(rule: &str, backend: &str) -> Self {
        let hash = Sha256::new().chain_update(rule).chain_update([0]).chain_update(backend).finalize();
        Self(hash.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Half of it, as part of a name.
    pub(super) fn short(self) -> String {
        format!("{:08x}", self.0 >> 32)
    }
}

// === impl Claim ===

impl Claim {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let token = parts.next().filter(|token| token.len() == 16).and_then(hexadecimal)?;
        let mut parts = parts.map(hexadecimal);
        let claim = Self { token: Token(token), began: time(parts.next())?, seen: time(parts.next())? };
        parts.next().is_none().then_some(claim)
    }
}

/// A time that may be left out, but not be wrong.
fn time(part: Option<Option<u64>>) -> Option<Option<u64>> {
    match part {
        None => Some(None),
        Some(time) => time.filter(|time| *time <= u64::from(u32::MAX) << 8).map(Some),
    }
}

/// At most 16 digits. (`from_str_radix` would take a sign.)
fn hexadecimal(text: &str) -> Option<u64> {
    let digits = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.token.0)?;
        for time in self.began.into_iter().chain(self.seen) {
            write!(f, ".{time:x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_as_they_are_written() {
        let token = Token::of("default/r 0", "default/a");
        for (began, seen) in [(None, None), (Some(1), None), (Some(1_800_000_000), Some(1_800_000_001))] {
            let claim = Claim { token, began, seen };
            assert_eq!(Claim::parse(&claim.to_string()), Some(claim));
        }
    }

    #[test]
    fn a_token_is_the_same_for_ever() {
        // `printf 'default/r 0\0default/a' | sha256sum`
        let claim = Claim { token: Token::of("default/r 0", "default/a"), began: None, seen: None };
        assert_eq!(claim.to_string(), "f1829a42ce6950dd");
        assert_ne!(Token::of("default/r 0", "default/a"), Token::of("default/r 1", "default/a"));
        assert_ne!(Token::of("default/r 0", "default/a"), Token::of("default/r 0", "default/b"));
    }

    #[test]
    fn what_is_no_claim() {
        let good = "0123456789abcdef";
        assert!(Claim::parse(good).is_some());
        for bad in [
            "",
            ".",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789abcdeg",
            "+123456789abcdef",
            "0123456789abcdef.",
            "0123456789abcdef.1.",
            "0123456789abcdef.1.1.1",
            "0123456789abcdef.-1",
            "0123456789abcdef.x",
            "0123456789abcdef.ffffffffffffffff",
            "0123456789abcdef ",
            "default/a",
        ] {
            assert_eq!(Claim::parse(bad), None, "{bad}");
        }
    }
}
