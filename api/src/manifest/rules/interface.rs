//! What a workload asks of its host.

use super::{super::diagnostic::Problem, no_duplicates};
use crate::{hostname, workload::HostInterface};

pub(super) fn check(entries: &[HostInterface], at: &str, problems: &mut Vec<Problem>) {
    no_duplicates(entries.iter().map(|it| (&it.namespace, &it.package, &it.name)), problems, |index, key| {
        let (namespace, package, name) = key;
        match name {
            None => Problem::error(
                format!("{at}[{index}]"),
                format!("there are two entries for {namespace}:{package} without a name"),
                "give all but one of them a `name:`, or merge them",
            ),
            Some(name) => Problem::error(
                format!("{at}[{index}].name"),
                format!("there are two entries `{name}` for {namespace}:{package}"),
                "give each a name of its own",
            ),
        }
    });
    for (index, entry) in entries.iter().enumerate() {
        if let Some(name) = &entry.name
            && !is_entry_name(name)
        {
            let advice = "use lower-case letters, digits and `-`, and begin with a letter or digit";
            problems.push(Problem::error(format!("{at}[{index}].name"), format!("`{name}` is no name"), advice));
        }
        for (place, interface) in entry.interfaces.iter().enumerate() {
            if interface.is_empty() || interface.contains([':', '/', '@', ' ']) {
                let path = format!("{at}[{index}].interfaces[{place}]");
                let message = format!("`{interface}` is no name of an interface");
                problems.push(Problem::error(path, message, "write the name alone, such as `incoming-handler`"));
            }
        }
        if entry.serves_http() {
            http_config(entry, &format!("{at}[{index}].config"), problems);
        }
    }
}

fn http_config(entry: &HostInterface, at: &str, problems: &mut Vec<Problem>) {
    let aliases = entry.config.get("host-aliases").into_iter().flat_map(|it| it.split(','));
    let hosts = entry.config.get("host").map(|it| ("host", it.as_str())).into_iter();
    for (key, host) in hosts.chain(aliases.map(|it| ("host-aliases", it.trim()))) {
        // A trailing comma in the list is harmless, and `*` alone means every host.
        if (key == "host-aliases" && host.is_empty()) || host == "*" {
            continue;
        }
        if let Err(error) = hostname::check(host) {
            problems.push(Problem::error(format!("{at}.{key}"), format!("`{host}` is no hostname"), error.to_string()));
        }
    }
    if let Some(path) = entry.config.get("path")
        && !path.starts_with('/')
    {
        problems.push(Problem::error(format!("{at}.path"), format!("`{path}` is relative"), "begin it with `/`"));
    }
}

fn is_entry_name(name: &str) -> bool {
    !name.starts_with('-') && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
}
