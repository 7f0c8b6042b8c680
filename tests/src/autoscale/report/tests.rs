use std::collections::BTreeMap;

use super::*;
use crate::autoscale::record::Change;

fn run(driver: Driver) -> Run {
    let ramp = Ramp::new().hold(6.0, 5).hold(460.0, 40).to(6.0, 10).hold(6.0, 30);
    let mut series = Series { sent: 20_000, ..Series::default() };
    for (at, replicas) in [(0, 1), (6_000, 20), (9_000, 38), (60_000, 1)] {
        series.note(Change { at: Duration::from_millis(at), wanted: replicas, serving: replicas });
    }
    for second in 1..=85 {
        let at = Duration::from_secs(second);
        let serving = series.replicas(at).unwrap().serving;
        series.samples.push(Sample {
            at,
            offered: ramp.rate(at),
            answered: ramp.rate(at),
            p50: (second != 7).then_some(Duration::from_millis(81)),
            p99: Some(Duration::from_millis(if second < 10 { 2_400 } else { 120 })),
            wanted: serving,
            serving,
            hosts: (0..3).map(|host| (format!("penstock-host-{host}"), (serving + host) / 3)).collect(),
            queue_wait: Some(Duration::from_micros(400)),
            ..Sample::default()
        });
    }
    let goal = Goal { replicas: 38, slack: 1, steady: Duration::from_secs(20), skew: 1, least: 1 };
    Run { driver, ramp, series, goal }
}

/// The names of all elements that are opened and not closed by themselves, in order; panics where they do not nest.
fn elements(html: &str) -> Vec<String> {
    let (mut all, mut open) = (Vec::new(), Vec::new());
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        let name: String = tag.chars().take_while(|it| !it.is_whitespace()).collect();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "what is opened last is closed first: {tag}");
        } else if !tag.starts_with('!') && !tag.ends_with('/') && name != "meta" {
            open.push(name.clone());
            all.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

/// Values of an attribute.
fn attributes<'a>(html: &'a str, name: &'a str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    html.match_indices(&start).filter_map(|(at, _)| html[at + start.len()..].split('"').next()).collect()
}

#[test]
fn the_page_needs_nothing_else() {
    let html = page(&[run(Driver::Builtin)], "Three hosts.");
    for forbidden in ["http://", "https://", "<script", "<link", "<img", "url(", "@import", " style=", "onclick"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"));
    assert!(html.contains("prefers-color-scheme: dark") && html.contains("color-scheme: light dark"));
}

#[test]
fn the_page_nests_and_its_references_lead_somewhere() {
    let html = page(&[run(Driver::Builtin), run(Driver::KedaPrometheus)], "Two <runs> & more.");
    let all = elements(&html);
    assert_eq!(all.iter().filter(|it| *it == "figure").count(), 12);
    assert_eq!(all.iter().filter(|it| *it == "h1").count(), 1);
    let ids = attributes(&html, "id");
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "ids are unique");
    for reference in attributes(&html, "aria-labelledby").iter().flat_map(|it| it.split(' ')) {
        assert!(ids.contains(&reference), "{reference}");
    }
    for reference in attributes(&html, "href") {
        assert!(ids.contains(&&reference[1..]), "{reference}");
    }
    assert!(html.contains("Two &lt;runs&gt; &amp; more."));
}

#[test]
fn whoever_sees_no_picture_reads_the_same() {
    let html = page(&[run(Driver::Hpa)], "Three hosts.");
    assert_eq!(html.matches("<desc").count(), 6);
    assert_eq!(html.matches("aria-label=\"Figures: ").count(), 6, "a table beside each plot");
    for region in html.matches("role=\"region\"") {
        assert!(!region.is_empty());
    }
    assert_eq!(html.matches("role=\"region\"").count(), html.matches("tabindex=\"0\"").count());
    assert!(html.contains("serving: from 1 to 38, 1 at the end."), "the picture in words");
    assert!(html.contains("<td class=\"n\">–</td>"), "what is unknown is no zero");
}

#[test]
fn verdicts_and_reactions_are_told() {
    let mut bad = run(Driver::Builtin);
    assert!(bad.passed());
    let html = page(std::slice::from_ref(&bad), "");
    assert!(html.contains("<td>6 → 460/s at once</td><td>38</td><td>1.0 s</td><td>4.0 s</td><td>–</td>"), "{html}");
    assert!(html.contains("<td>460 → 6/s in 10 s</td><td>1</td><td>–</td><td>–</td><td>15.0 s</td>"), "{html}");
    assert_eq!(html.matches("<td class=\"passed\">passed</td>").count(), 5);
    bad.series.failed = 3;
    bad.series.failures = BTreeMap::from([("<b>".to_owned(), 3)]);
    assert!(!bad.passed());
    let html = page(&[bad], "");
    assert!(html.contains("<td class=\"failed\">failed</td><td>none</td><td>3 of 20000; 3 × &lt;b&gt;</td>"), "{html}");
}

#[test]
fn a_run_that_recorded_nothing_still_has_a_page() {
    let empty = Run { series: Series::default(), ..run(Driver::KedaExternal) };
    assert!(!empty.passed());
    elements(&page(&[empty], ""));
}

#[test]
fn times_are_read_at_a_glance() {
    for (millis, text) in [(None, "–"), (Some(42), "42 ms"), (Some(999), "999 ms"), (Some(12_340), "12.3 s")] {
        assert_eq!(time(millis.map(Duration::from_millis)), text);
    }
}
