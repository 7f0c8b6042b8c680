//! Label selectors as `/scale` has them: one line of text.

use std::collections::BTreeMap;

/// Whether labels are matched by all of a selector's requirements. An empty selector matches nothing here: it is none. So does
/// one that cannot be read.
pub(crate) fn matches(selector: &str, labels: &BTreeMap<String, String>) -> bool {
    let parts = requirements(selector);
    !parts.is_empty() && parts.iter().all(|part| requirement(part, labels).unwrap_or(false))
}

/// Its requirements: commas part them, except inside of brackets.
fn requirements(selector: &str) -> Vec<&str> {
    let mut inside = false;
    let parts = selector.split(|it: char| {
        match it {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        it == ',' && !inside
    });
    parts.map(str::trim).filter(|it| !it.is_empty()).collect()
}

/// Whether one of them is met; nothing if it cannot be read.
fn requirement(text: &str, labels: &BTreeMap<String, String>) -> Option<bool> {
    let value = |key: &str| labels.get(key.trim()).map(String::as_str);
    if let Some(key) = text.strip_prefix('!') {
        return Some(value(key).is_none());
    }
    if let Some((key, wanted)) = text.split_once("!=") {
        return Some(value(key) != Some(wanted.trim()));
    }
    if let Some((key, wanted)) = text.split_once('=') {
        let wanted = wanted.strip_prefix('=').unwrap_or(wanted);
        return Some(value(key) == Some(wanted.trim()));
    }
    if let Some((key, set)) = text.strip_suffix(')').and_then(|it| it.split_once('(')) {
        let (key, word) = key.trim().rsplit_once(char::is_whitespace)?;
        let found = value(key);
        let is_in = set.split(',').any(|it| found == Some(it.trim()));
        return match word {
            "in" => Some(is_in),
            "notin" => Some(!is_in),
            _ => None,
        };
    }
    (!text.contains(char::is_whitespace)).then(|| value(text).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_as_in_kubernetes() {
        let labels: BTreeMap<String, String> =
            [("app", "web"), ("tier", "front")].into_iter().map(|(key, it)| (key.to_owned(), it.to_owned())).collect();
        for selector in [
            "app=web",
            "app==web",
            "app = web, tier=front",
            "app in (api, web)",
            "app in (web),tier notin (back,data)",
            "app",
            "!zone",
            "zone!=a",
        ] {
            assert!(matches(selector, &labels), "{selector}");
        }
        for selector in [
            "",
            " , ",
            "app=api",
            "app=web,tier=back",
            "app in (api)",
            "app notin (web)",
            "!app",
            "zone",
            "app!=web",
            "app near (web)",
            "app web",
        ] {
            assert!(!matches(selector, &labels), "{selector}");
        }
    }
}
