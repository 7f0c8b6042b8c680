//! `RequestHeaderModifier` and `ResponseHeaderModifier`.

use std::collections::HashSet;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};

use super::FilterError;
use crate::{Cause, Error};

/// Headers that say where a message ends or hold for one connection only: a modified one would part two messages
/// wrongly, or would be taken off again on the way.
const FRAMING: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Sets, adds and removes headers, in this order. Names match without regard to case.
///
/// One modifier acts on each name at most once, as Gateway API demands, so the order shows only between a rule's modifier and
/// its backend reference's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderModifier {
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
}

// === impl HeaderModifier ===

impl HeaderModifier {
    /// A modifier that overwrites the headers in `set`, appends those in `add` (pairs of name and value) and takes those
    /// in `remove` away.
    ///
    /// # Errors
    /// The first bad name or value, the first name that comes twice, and names that are not for a filter to modify: `Host`
    /// (see [`UrlRewrite`](super::UrlRewrite)) and those that frame the message.
    pub fn new<'a>(
        set: impl IntoIterator<Item = (&'a str, &'a str)>,
        add: impl IntoIterator<Item = (&'a str, &'a str)>,
        remove: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, FilterError> {
        let mut seen = HashSet::new();
        let set = set.into_iter().map(|(name, text)| pair(name, text, &mut seen)).collect::<Result<_, _>>()?;
        let add = add.into_iter().map(|(name, text)| pair(name, text, &mut seen)).collect::<Result<_, _>>()?;
        let remove = remove.into_iter().map(|name| header(name, &mut seen)).collect::<Result<_, _>>()?;
        Ok(Self { set, add, remove })
    }

    /// Changes `headers`. An added value becomes a field line of its own, which means the same as a comma
    /// (RFC 9110 section 5.3) and is the only right way for `Set-Cookie`.
    ///
    /// # Errors
    /// [`Cause::HeadersTooLarge`] if the map cannot take another header.
    pub fn apply(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let full =
            |_| Error::new(Cause::HeadersTooLarge, "no room for the headers that this route adds; send fewer headers");
        for (name, value) in &self.set {
            headers.try_insert(name, value.clone()).map_err(full)?;
        }
        for (name, value) in &self.add {
            headers.try_append(name, value.clone()).map_err(full)?;
        }
        for name in &self.remove {
            headers.remove(name);
        }
        Ok(())
    }
}

fn pair(name: &str, value: &str, seen: &mut HashSet<HeaderName>) -> Result<(HeaderName, HeaderValue), FilterError> {
    let name = header(name, seen)?;
    match HeaderValue::from_str(value) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(FilterError::HeaderValue { name: name.to_string() }),
    }
}

fn header(name: &str, seen: &mut HashSet<HeaderName>) -> Result<HeaderName, FilterError> {
    let header = name.parse::<HeaderName>().map_err(|_| FilterError::HeaderName { name: name.to_owned() })?;
    if header == HOST {
        return Err(FilterError::HeaderHost);
    }
    if FRAMING.contains(&header) {
        return Err(FilterError::HeaderFraming { name: header.to_string() });
    }
    if !seen.insert(header.clone()) {
        return Err(FilterError::HeaderTwice { name: header.to_string() });
    }
    Ok(header)
}
