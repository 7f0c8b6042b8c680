//! Rules of CORS filters, as Gateway API's own CEL and patterns have them.

use super::{super::diagnostic::Problem, http::header_name, no_duplicates};
use crate::{
    origin,
    route::{CorsMethod, HttpCorsFilter},
};

pub(super) fn check(filter: &HttpCorsFilter, at: &str, problems: &mut Vec<Problem>) {
    for (index, it) in filter.allow_origins.iter().enumerate() {
        if let Err(error) = origin::check(it) {
            let path = format!("{at}.allowOrigins[{index}]");
            problems.push(Problem::error(path, format!("`{it}` is no origin"), error.to_string()));
        }
    }
    for (name, headers) in [("allowHeaders", &filter.allow_headers), ("exposeHeaders", &filter.expose_headers)] {
        for (index, it) in headers.iter().enumerate() {
            header_name(it, &format!("{at}.{name}[{index}]"), problems);
        }
        once(headers.iter().map(String::clone), &format!("{at}.{name}"), problems);
    }
    once(filter.allow_origins.iter().map(String::clone), &format!("{at}.allowOrigins"), problems);
    once(filter.allow_methods.iter().map(|it| it.as_str().to_owned()), &format!("{at}.allowMethods"), problems);

    let every = |list: &[String]| list.iter().any(|it| it == "*");
    let alone = [
        ("allowOrigins", "origin", every(&filter.allow_origins), filter.allow_origins.len()),
        ("allowMethods", "method", filter.allow_methods.contains(&CorsMethod::All), filter.allow_methods.len()),
        ("allowHeaders", "header", every(&filter.allow_headers), filter.allow_headers.len()),
    ];
    for (field, what, every, length) in alone {
        if every && length > 1 {
            let message = format!("`*` stands for every {what}");
            problems.push(Problem::error(format!("{at}.{field}"), message, "remove the others, or remove `*`"));
        }
    }
    if every(&filter.allow_origins) && filter.allow_credentials == Some(true) {
        let message = "scripts of every site may act with the cookies of whoever visits it";
        let advice = "name the origins, or leave `allowCredentials` out".to_owned();
        problems.push(Problem::warning(format!("{at}.allowCredentials"), message, Some(advice)));
    }
}

fn once(entries: impl Iterator<Item = String>, at: &str, problems: &mut Vec<Problem>) {
    no_duplicates(entries, problems, |index, it| {
        Problem::error(format!("{at}[{index}]"), format!("`{it}` is there twice"), "remove one of them")
    });
}
