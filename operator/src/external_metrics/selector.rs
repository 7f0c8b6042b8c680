//! The label selector of a request, as far as it can mean anything here.

/// The one label that a metric has.
pub(super) const WORKLOAD: &str = "workload";

/// The workload that a request is about: `labelSelector=workload=NAME`, or `workload==NAME`, or `workload in (NAME)`.
pub(super) fn workload(query: Option<&str>) -> Result<String, String> {
    let advice = || format!("say whose load: labelSelector={WORKLOAD}=NAME, a WorkloadDeployment of this namespace");
    let parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let selectors: Vec<_> = parameters.filter(|(key, _)| key == "labelSelector").map(|(_, value)| value).collect();
    let [selector] = selectors.as_slice() else { return Err(advice()) };
    let name = named(selector).ok_or_else(|| format!("the selector {selector:?} cannot be answered: {}", advice()))?;
    Ok(name.to_owned())
}

/// Whether the client wants to be told of changes.
pub(super) fn watches(query: Option<&str>) -> bool {
    let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    parameters.any(|(key, value)| key == "watch" && !matches!(&*value, "" | "0" | "false"))
}

fn named(selector: &str) -> Option<&str> {
    let rest = selector.trim().strip_prefix(WORKLOAD)?;
    let value = match rest.trim_start().strip_prefix('=') {
        Some(value) => value.strip_prefix('=').unwrap_or(value),
        None => {
            let set = rest.strip_prefix(char::is_whitespace)?.trim_start().strip_prefix("in")?;
            set.trim_start().strip_prefix('(')?.strip_suffix(')')?
        }
    };
    let value = value.trim();
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.' | '_');
    (!value.is_empty() && value.chars().all(plain)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_workload_in_every_way_of_writing_it() {
        for query in [
            "labelSelector=workload%3Dapi",
            "labelSelector=workload=api",
            "labelSelector=workload%3D%3Dapi",
            "limit=500&labelSelector=workload+%3D+api&timeout=5s",
            "labelSelector=workload%20in%20(api)",
            "labelSelector=workload+in+%28+api+%29",
        ] {
            assert_eq!(workload(Some(query)).as_deref(), Ok("api"), "{query}");
        }
        assert_eq!(workload(Some("labelSelector=workload%3Da.b-c")).as_deref(), Ok("a.b-c"));
    }

    #[test]
    fn refuses_what_names_none_or_several_and_says_what_to_do() {
        for query in [
            "",
            "labelSelector=",
            "labelSelector=workload",
            "labelSelector=workload%3D",
            "labelSelector=workload!%3Dapi",
            "labelSelector=app%3Dapi",
            "labelSelector=workloads%3Dapi",
            "labelSelector=workload%3Dapi,app%3Dweb",
            "labelSelector=workload+in+(a,b)",
            "labelSelector=workload+notin+(a)",
            "labelSelector=workload%3Da/b",
            "labelSelector=workload%3Da&labelSelector=workload%3Db",
        ] {
            assert!(workload(Some(query)).unwrap_err().contains("labelSelector=workload=NAME"), "{query}");
        }
        assert!(workload(None).is_err());
        assert!(watches(Some("watch=true")) && watches(Some("a=b&watch=1")));
        assert!(!watches(Some("watch=false")) && !watches(Some("watch=")) && !watches(None));
    }
}
