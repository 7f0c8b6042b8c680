//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;

/// The content type.
pub(in crate::app) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page that is being written.
#[derive(Debug, Default)]
pub(super) struct Page(String);

// === impl Page ===

impl Page {
    /// Begins a family. Writing to a text cannot fail.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        if !labels.is_empty() {
            let mut before = '{';
            for (label, value) in labels {
                let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(value));
                before = ',';
            }
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A family of one.
    pub(super) fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A sample, unless it never happened: most combinations do not.
    pub(super) fn counted(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        if value > 0 {
            self.sample(name, labels, super::number(value));
        }
    }

    /// `counts` of each bucket alone, one more than `bounds`.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        counts: impl Iterator<Item = u64>,
        sum: f64,
    ) {
        let (bucket, mut total) = (format!("{name}_bucket"), 0);
        let bounds = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(counts) {
            total += count;
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&bucket, &labels, super::number(total));
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, super::number(total));
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_prometheus_reads() {
        let mut page = Page::default();
        page.one("up", "gauge", "Whether.", 1.0);
        page.sample("odd", &[("a", "b\"\\\nc"), ("d", "")], 0.5);
        page.counted("never", &[], 0);
        page.histogram("took", &[("w", "x")], &[0.1, 1.0], [2, 1, 0].into_iter(), 0.75);
        assert_eq!(
            page.into_text(),
            "# HELP up Whether.\n# TYPE up gauge\nup 1\nodd{a=\"b\\\"\\\\\\nc\",d=\"\"} 0.5\n\
             took_bucket{w=\"x\",le=\"0.1\"} 2\ntook_bucket{w=\"x\",le=\"1\"} 3\ntook_bucket{w=\"x\",le=\"+Inf\"} 3\n\
             took_sum{w=\"x\"} 0.75\ntook_count{w=\"x\"} 3\n"
        );
    }
}
