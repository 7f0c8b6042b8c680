//! The request's target: a path that selects what to do, and a query that says how.

/// Path and query.
pub struct Target<'a> {
    /// Up to the `?`.
    pub path: &'a str,
    query: &'a str,
}

impl<'a> Target<'a> {
    /// Splits `path?query`.
    pub fn new(target: &'a str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { path, query }
    }

    /// The first value of `name`, percent-decoded.
    pub fn text(&self, name: &str) -> Option<String> {
        let mut parameters = self.query.split('&').map(|p| p.split_once('=').unwrap_or((p, "")));
        parameters.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
    }

    /// The first value of `name` as a number; `default` if there is none.
    pub fn number(&self, name: &str, default: u64) -> u64 {
        self.text(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}

/// The parts of an absolute URL that an outgoing request needs.
pub struct Url {
    /// `http` or `https`.
    pub https: bool,
    /// Host and port.
    pub authority: String,
    /// Path and query, at least `/`.
    pub target: String,
}

impl Url {
    /// Splits `http://authority/path?query`; no user information, no fragment.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let https = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let target = if path.is_empty() { "/" } else { path };
        Some(Self { https, authority: authority.to_owned(), target: target.to_owned() })
    }
}

/// The `index`-th chunk of a stream: `size` bytes of one letter, the last one a line feed.
pub fn chunk(index: u64, size: usize) -> Vec<u8> {
    let letter = b'a' + (index % 26) as u8;
    let mut bytes = vec![letter; size];
    if let Some(last) = bytes.last_mut() {
        *last = b'\n';
    }
    bytes
}

/// Continues a 64-bit FNV-1a hash (`None` starts one): lets a test compare what went up with what arrived.
pub fn fnv1a(hash: Option<u64>, bytes: &[u8]) -> u64 {
    let start = hash.unwrap_or(0xcbf2_9ce4_8422_2325);
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let hex = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
