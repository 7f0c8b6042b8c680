//! `penstock routes explain`: the winner, and what became of the others.

use std::{collections::BTreeMap, fmt, process::ExitCode};

use anyhow::{Context, bail};
use form_urlencoded::Serializer;
use http::Uri;
use penstock_host::HostStatus;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::readable;
use crate::{
    admin::Admin,
    args::{ExplainArgs, Output},
    show::show,
    table::{Cell, Table},
    term::{BAD, DIM, GOOD, paint},
};

/// What one listener says.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    listener: String,
    generation: u64,
    winner: Option<Candidate>,
    losers: Vec<Loser>,
}

/// One pair of hostname and match.
#[derive(Debug, Serialize, Deserialize)]
struct Candidate {
    host: String,
    matches: String,
    route: String,
    rule: usize,
    rule_name: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Loser {
    #[serde(flatten)]
    candidate: Candidate,
    lost: Value,
}

/// Asks one listener and prints its answer. Exits with 1 if no route matches.
pub(super) async fn run(admin: &Admin, args: &ExplainArgs, output: Output) -> anyhow::Result<ExitCode> {
    let url: Uri = args.url.parse().with_context(|| format!("{} is no URL", args.url))?;
    let listener = match &args.listener {
        Some(listener) => listener.clone(),
        None => listener(&admin.get::<HostStatus>("/v1/status").await?, &url),
    };
    let mut query = Serializer::new(String::new());
    query.append_pair("method", &args.method).append_pair("url", &args.url).append_pair("listener", &listener);
    let is_host =
        |header: &String| header.split(':').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("host"));
    let host =
        url.authority().filter(|_| !args.headers.iter().any(is_host)).map(|authority| format!("Host: {authority}"));
    args.headers.iter().chain(&host).for_each(|header| {
        query.append_pair("header", header);
    });
    let answers: Vec<Answer> = admin.get(&format!("/v1/explain?{}", query.finish())).await?;
    let Some(answer) = answers.first() else {
        bail!("there is no listener {listener}: `penstock routes` lists those there are");
    };
    show(output, answer, |out| write!(out, "{answer}"))?;
    Ok(if answer.winner.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The listener at the URL's port; `shared` where none is.
fn listener(status: &HostStatus, url: &Uri) -> String {
    let ports: BTreeMap<u16, &String> =
        status.listeners.iter().filter_map(|(name, it)| Some((it.address?.port(), name))).collect();
    let port = url.port_u16().unwrap_or(80);
    ports.get(&port).map_or_else(|| "shared".to_owned(), ToString::to_string)
}

impl Candidate {
    fn rule(&self) -> String {
        match &self.rule_name {
            Some(name) => format!("{} rule {} ({name})", self.route, self.rule),
            None => format!("{} rule {}", self.route, self.rule),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.winner {
            Some(it) => {
                let wins = paint(GOOD, "wins");
                writeln!(f, "{wins}  {}  {}  {}", it.rule(), it.host, readable(&it.matches))?;
            }
            None => writeln!(f, "{}: listener {} answers 404", paint(BAD, "no route matches"), self.listener)?,
        }
        if self.losers.is_empty() {
            return Ok(());
        }
        writeln!(f)?;
        let mut table = Table::new(&["LOSES", "HOST", "MATCH", "BECAUSE"]);
        for Loser { candidate, lost } in &self.losers {
            let because = Cell::styled(because(lost), DIM);
            table.row([
                candidate.rule().into(),
                candidate.host.as_str().into(),
                readable(&candidate.matches).into(),
                because,
            ]);
        }
        write!(f, "{table}")
    }
}

/// Why a candidate lost, in words.
fn because(lost: &Value) -> String {
    let (kind, detail) = match lost {
        Value::String(kind) => (kind.as_str(), ""),
        Value::Object(object) => match object.iter().next() {
            Some((kind, detail)) => (kind.as_str(), detail.as_str().unwrap_or_default()),
            None => ("", ""),
        },
        _ => ("", ""),
    };
    match kind {
        "host" => "the hostname is another".to_owned(),
        "path" => "the path is another".to_owned(),
        "method" => "the method is another".to_owned(),
        "header" => format!("the header {detail} is missing or another"),
        "query" => format!("the query parameter {detail} is missing or another"),
        "precedence" => format!("it matches too, but {}", decided(detail)),
        // A host of another version.
        _ => lost.to_string(),
    }
}

/// What put the winner first: Gateway API's rules of precedence, in their order.
fn decided(by: &str) -> String {
    match by {
        "hostname" => "the winner's hostname is more specific".to_owned(),
        "path-kind" => "an exact path goes before an expression, and that before a prefix".to_owned(),
        "path-length" => "the winner's path is longer".to_owned(),
        "method" => "the winner asks for a method".to_owned(),
        "header-count" => "the winner asks for more headers".to_owned(),
        "query-count" => "the winner asks for more query parameters".to_owned(),
        "age" => "the winner's route is older".to_owned(),
        "name" => "the name of the winner's route comes first in the alphabet".to_owned(),
        "rule-order" => "the winner's rule stands first".to_owned(),
        "match-order" => "the winner's match stands first".to_owned(),
        other => format!("goes behind by {other}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Answer {
        serde_json::from_value(json!({
            "listener": "shared",
            "generation": 3,
            "winner": {"host": "localhost", "matches": "/api", "route": "default/q", "rule": 1, "rule_name": null},
            "losers": [
                {"host": "localhost", "matches": "/api x-variant=canary", "route": "default/q", "rule": 2,
                 "rule_name": "canary", "lost": {"header": "x-variant"}},
                {"host": "*", "matches": "/", "route": "default/q", "rule": 0, "rule_name": null,
                 "lost": {"precedence": "path-length"}},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn an_answer_for_people() {
        let text = anstream::adapter::strip_str(&answer().to_string()).to_string();
        assert_eq!(
            text,
            "wins  default/q rule 1  localhost  /api\n\n\
             LOSES                      HOST       MATCH                  BECAUSE\n\
             default/q rule 2 (canary)  localhost  /api x-variant=canary  the header x-variant is missing or another\n\
             default/q rule 0           *          /                      it matches too, but the winner's path is longer\n"
        );
        let nothing = Answer { winner: None, losers: Vec::new(), ..answer() };
        let text = anstream::adapter::strip_str(&nothing.to_string()).to_string();
        assert_eq!(text, "no route matches: listener shared answers 404\n");
    }

    #[test]
    fn every_reason_has_words() {
        for (lost, words) in [
            (json!("host"), "the hostname is another"),
            (json!("path"), "the path is another"),
            (json!("method"), "the method is another"),
            (json!({"query": "v"}), "the query parameter v is missing or another"),
            (json!("moon"), "\"moon\""),
        ] {
            assert_eq!(because(&lost), words);
        }
    }

    #[test]
    fn the_port_names_the_listener() {
        let status: HostStatus = serde_json::from_value(json!({
            "version": 1, "shares": {},
            "listeners": {
                "shared": {"address": "127.0.0.1:8000", "generation": 1, "matches": 0},
                "default/a:http": {"address": "127.0.0.1:8100", "generation": 1, "matches": 0},
            },
        }))
        .unwrap();
        for (url, name) in [
            ("http://localhost:8000/", "shared"),
            ("http://localhost:8100/", "default/a:http"),
            ("http://a.example/", "shared"),
            ("/api", "shared"),
        ] {
            assert_eq!(listener(&status, &url.parse().unwrap()), name, "{url}");
        }
    }
}
