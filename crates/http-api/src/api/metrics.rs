//! Counters of this process in the text format of Prometheus.
//!
//! Requests are told apart by route template, method and status only: the number of series is bounded by the routes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets, in milliseconds.
const BOUNDS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[derive(Debug, Default)]
struct Histogram {
    counts: [u64; BOUNDS_MS.len()],
    total: u64,
    sum: Duration,
}

/// By method; counted requests by status.
type Route = BTreeMap<&'static str, (BTreeMap<u16, u64>, Histogram)>;

/// By route.
type Counts = BTreeMap<String, Route>;

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Metrics(Mutex<Counts>);

impl Metrics {
    /// Counts an answered request.
    pub(super) fn count(&self, route: &str, method: &str, status: u16, took: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.contains_key(route) {
            counts.insert(route.to_owned(), Route::default());
        }
        let Some(counts) = counts.get_mut(route) else { return };
        let (requests, histogram) = counts.entry(method).or_default();
        *requests.entry(status).or_default() += 1;
        for (count, bound) in histogram.counts.iter_mut().zip(BOUNDS_MS) {
            *count += u64::from(took <= Duration::from_millis(bound));
        }
        histogram.total += 1;
        histogram.sum += took;
    }

    /// Everything as text.
    pub(super) fn text(&self, open_runs: Option<usize>, version: &str) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let written = self.write(&mut text, open_runs, version);
        debug_assert!(written.is_ok(), "writing failed");
        text
    }

    fn write(&self, to: &mut String, open_runs: Option<usize>, version: &str) -> std::fmt::Result {
        head(to, "fleetest_build_info", "gauge", "The version that is running.")?;
        writeln!(to, "fleetest_build_info{{version=\"{version}\"}} 1")?;
        if let Some(open) = open_runs {
            head(to, "fleetest_open_runs", "gauge", "Runs that are not finished.")?;
            writeln!(to, "fleetest_open_runs {open}")?;
        }
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        head(to, "fleetest_http_requests_total", "counter", "Answered requests.")?;
        let series = || {
            let routes = counts.iter();
            routes.flat_map(|(route, methods)| methods.iter().map(move |(method, of)| (route, method, of)))
        };
        for (route, method, (requests, _)) in series() {
            for (status, count) in requests {
                writeln!(
                    to,
                    "fleetest_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {count}"
                )?;
            }
        }
        let name = "fleetest_http_request_duration_seconds";
        head(to, name, "histogram", "Time to the head of the answer.")?;
        for (route, method, (_, histogram)) in series() {
            histogram.write(to, name, &format!("route=\"{route}\",method=\"{method}\""))?;
        }
        Ok(())
    }
}

impl Histogram {
    fn write(&self, to: &mut String, name: &str, labels: &str) -> std::fmt::Result {
        for (count, bound) in self.counts.iter().zip(BOUNDS_MS) {
            let seconds = Duration::from_millis(bound).as_secs_f64();
            writeln!(to, "{name}_bucket{{{labels},le=\"{seconds}\"}} {count}")?;
        }
        writeln!(to, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", self.total)?;
        writeln!(to, "{name}_sum{{{labels}}} {}", self.sum.as_secs_f64())?;
        writeln!(to, "{name}_count{{{labels}}} {}", self.total)
    }
}

fn head(to: &mut String, name: &str, kind: &str, about: &str) -> std::fmt::Result {
    writeln!(to, "# HELP {name} {about}\n# TYPE {name} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_methods_are_bounded() {
        let metrics = Metrics::default();
        metrics.count("/v1/runs/{run}", "GET", 200, Duration::from_millis(7));
        metrics.count("/v1/runs/{run}", "GET", 404, Duration::from_millis(70));
        metrics.count("/v1/runs/{run}", "BREW", 405, Duration::from_secs(60));
        let text = metrics.text(Some(3), "1");
        let series = "route=\"/v1/runs/{run}\",method=\"GET\"";
        for line in [
            format!("fleetest_http_requests_total{{{series},status=\"404\"}} 1"),
            format!("fleetest_http_request_duration_seconds_bucket{{{series},le=\"0.005\"}} 0"),
            format!("fleetest_http_request_duration_seconds_bucket{{{series},le=\"0.01\"}} 1"),
            format!("fleetest_http_request_duration_seconds_bucket{{{series},le=\"0.1\"}} 2"),
            format!("fleetest_http_request_duration_seconds_count{{{series}}} 2"),
            "fleetest_open_runs 3".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("method=\"other\"") && !text.contains("BREW"));
    }
}
