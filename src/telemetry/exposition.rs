//! Pure. The metrics in the Prometheus text format.
//!
//! `prometheus-client` writes OpenMetrics, where the `_total` of a counter belongs to its samples and not to its name. The
//! gateway serves the older Prometheus text format (0.0.4), which every scraper reads: its descriptions name the samples,
//! so `classic` adds the suffix to them.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::count::{BOUNDS, Distribution};
use super::metric::{Outcome, RouteSum, Sum, UNEXPLAINED};
use crate::config::Mode;
use crate::gateway::reason::Reason;
use crate::gateway::rejection::Rejection;
use crate::signature::causes::Cause;
use crate::telemetry::labels::Labels;

/// The media type of [`text()`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The state of the process, as opposed to counts of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Bytes of content in memory.
    pub buffered_bytes: u64,
    /// Reloads that put a new configuration in force.
    pub reloads: u64,
    /// Reloads that failed and changed nothing.
    pub failed_reloads: u64,
    /// The number of the configuration in force, from 1.
    pub generation: u64,
    /// Log lines dropped since the process began.
    pub log_dropped: u64,
    /// Whether the gateway is ready.
    pub ready: bool,
    /// When the gateway was started, in seconds since 1970.
    pub started: u64,
}

/// Renders all metrics. Series for everything in the configuration in force exist from the start, at zero: otherwise the
/// first event after a start would not be an increase.
#[must_use]
pub fn text(sum: Sum, labels: Labels, gauges: Gauges) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { sum: with_zeroes(sum, &labels), labels, gauges }));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _infallible = text::encode(&mut text, &registry);
    classic(&text)
}

fn with_zeroes(mut sum: Sum, labels: &Labels) -> Sum {
    let mut of_nobody = RouteSum::default();
    zero(&mut of_nobody, &Rejection::WITHOUT_ROUTE);
    sum.routes.entry("".into()).or_default().add(&of_nobody);
    for route in &labels.routes {
        let mut zeroes = RouteSum::default();
        zero(&mut zeroes, &Rejection::OF_ROUTES);
        match route.mode {
            Mode::Enforce => {}
            Mode::Observe(_) => {
                let observed = Rejection::OBSERVED.iter().filter_map(Rejection::reason);
                zeroes.would_refuse = observed.map(|reason| (reason, 0)).collect();
            }
        }
        let secrets = labels.secrets.iter().filter(|secret| secret.routes.contains(&route.path));
        zeroes.diagnosed = Cause::LABELS.into_iter().chain([UNEXPLAINED]).map(|cause| (cause, 0)).collect();
        zeroes.verified =
            secrets.map(|secret| (Arc::clone(&secret.name), super::metric::Seen::default())).collect();
        sum.routes.entry(Arc::clone(&route.path)).or_default().add(&zeroes);
    }
    sum
}

fn zero(route: &mut RouteSum, rejections: &[Rejection]) {
    for rejection in rejections {
        let reason = rejection.reason();
        route.outcomes.insert(Outcome { status: rejection.status().as_u16(), reason }, 0);
    }
}

/// Converts OpenMetrics: descriptions get the counters' full names, and the end mark is removed.
fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().filter(|line| *line != "# EOF").peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '));
        let described = help.filter(|(name, _)| {
            lines.peek().is_some_and(|next| next.strip_prefix("# TYPE ") == Some(&format!("{name} counter")))
        });
        match described {
            Some((name, help)) => {
                lines.next();
                text.push_str(&format!("# HELP {name}_total {help}\n# TYPE {name}_total counter\n"));
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[derive(Debug)]
struct Exposition {
    sum: Sum,
    labels: Labels,
    gauges: Gauges,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
            (metric.encode)(self, &mut family)?;
        }
        Ok(())
    }
}

/// A metric: its name without `_total`, its help text, and a function that writes its samples.
struct Metric {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    encode: fn(&Exposition, &mut MetricEncoder<'_>) -> fmt::Result,
}

/// The full name of every metric, used to check the documentation.
pub fn names() -> impl Iterator<Item = String> {
    METRICS.iter().map(|metric| {
        let suffix = if matches!(metric.kind, MetricType::Counter) { "_total" } else { "" };
        format!("{}{suffix}", metric.name)
    })
}

/// All metrics. The encoder adds a full stop to each help text.
const METRICS: &[Metric] = &[
    Metric {
        name: "hookgate_requests",
        help: "Requests that have ended, by route, status code and reason",
        kind: MetricType::Counter,
        encode: |all, family| {
            all.each_route(|path, route| {
                for (outcome, count) in &route.outcomes {
                    let status = match outcome.status {
                        Outcome::UNREGISTERED => "other".to_owned(),
                        status => status.to_string(),
                    };
                    let labels = [
                        ("route", path),
                        ("status", status.as_str()),
                        ("reason", outcome.reason.map_or("", Reason::as_str)),
                    ];
                    counter(family.encode_family(&labels)?, *count)?;
                }
                Ok(())
            })
        },
    },
    Metric {
        name: "hookgate_would_refuse",
        help: "Requests that were forwarded because their route observes, by the reason to refuse them",
        kind: MetricType::Counter,
        encode: |all, family| {
            all.each_route(|path, route| {
                for (reason, count) in &route.would_refuse {
                    counter(family.encode_family(&[("route", path), ("reason", reason.as_str())])?, *count)?;
                }
                Ok(())
            })
        },
    },
    Metric {
        name: "hookgate_diagnosed",
        help: "Requests that did not verify and were looked into, by route and likely cause",
        kind: MetricType::Counter,
        encode: |all, family| {
            all.each_route(|path, route| {
                for (cause, count) in &route.diagnosed {
                    counter(family.encode_family(&[("route", path), ("cause", *cause)])?, *count)?;
                }
                Ok(())
            })
        },
    },
    Metric {
        name: "hookgate_verified",
        help: "Requests that have verified, by route and secret",
        kind: MetricType::Counter,
        encode: |all, family| {
            all.each_route(|path, route| {
                for (secret, seen) in &route.verified {
                    counter(family.encode_family(&[("route", path), ("secret", &**secret)])?, seen.count)?;
                }
                Ok(())
            })
        },
    },
    Metric {
        name: "hookgate_secret_last_seen_timestamp_seconds",
        help: "When a secret last verified a request, 0 if it has not since the start",
        kind: MetricType::Gauge,
        encode: |all, family| {
            for secret in &all.labels.secrets {
                let last = all.sum.seen(secret).last;
                gauge(family.encode_family(&[("secret", secret.label.as_str())])?, last)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hookgate_request_duration_seconds",
        help: "From the end of a request's head to the end of its answer",
        kind: MetricType::Histogram,
        encode: |all, family| histogram(family, &all.sum.took),
    },
    Metric {
        name: "hookgate_upstream_duration_seconds",
        help: "From the forwarding of a request to the head of the upstream's response, or the failure to get one",
        kind: MetricType::Histogram,
        encode: |all, family| {
            all.each_route(|path, route| match path {
                "" => Ok(()),
                path => histogram(&mut family.encode_family(&[("route", path)])?, &route.upstream),
            })
        },
    },
    Metric {
        name: "hookgate_buffered_bytes",
        help: "Bytes of request bodies and large request heads held in memory",
        kind: MetricType::Gauge,
        encode: |all, family| gauge_here(family, all.gauges.buffered_bytes),
    },
    Metric {
        name: "hookgate_connections",
        help: "Connections from senders that are open",
        kind: MetricType::Gauge,
        encode: |all, family| gauge_here(family, all.sum.connections),
    },
    Metric {
        name: "hookgate_config_reloads",
        help: "Configurations that were loaded after the start, by whether they came into force",
        kind: MetricType::Counter,
        encode: |all, family| {
            let results = [("success", all.gauges.reloads), ("failure", all.gauges.failed_reloads)];
            for (result, count) in results {
                counter(family.encode_family(&[("result", result)])?, count)?;
            }
            Ok(())
        },
    },
    Metric {
        name: "hookgate_config_generation",
        help: "The number of the configuration in force, from 1",
        kind: MetricType::Gauge,
        encode: |all, family| gauge_here(family, all.gauges.generation),
    },
    Metric {
        name: "hookgate_log_dropped",
        help: "Log lines that were dropped because the log could not be written fast enough, or not at all",
        kind: MetricType::Counter,
        encode: |all, family| family.encode_counter::<NoLabelSet, _, u64>(&all.gauges.log_dropped, None),
    },
    Metric {
        name: "hookgate_ready",
        help: "Whether /readyz says that it is ready, 1 or 0",
        kind: MetricType::Gauge,
        encode: |all, family| gauge_here(family, u64::from(all.gauges.ready)),
    },
    Metric {
        name: "hookgate_start_time_seconds",
        help: "When the gateway was started",
        kind: MetricType::Gauge,
        encode: |all, family| gauge_here(family, all.gauges.started),
    },
];

impl Exposition {
    fn each_route(&self, mut encode: impl FnMut(&str, &RouteSum) -> fmt::Result) -> fmt::Result {
        self.sum.routes.iter().try_for_each(|(path, route)| encode(path, route))
    }
}

fn counter(encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder)
}

fn gauge(encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder)
}

fn gauge_here(encoder: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_gauge(&value)
}

/// The encoder cumulates the buckets itself.
fn histogram(encoder: &mut MetricEncoder<'_>, distribution: &Distribution) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> =
        BOUNDS.iter().map(|bound| seconds(*bound)).zip(distribution.buckets).collect();
    buckets.push((f64::INFINITY, distribution.beyond));
    encoder.encode_histogram::<NoLabelSet>(seconds(distribution.micros), distribution.count(), &buckets, None)
}

/// Exact for every total that a gateway can reach in a century.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "there is no other way from u64 to f64"
)]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Permit;
    use crate::telemetry::labels::{RouteName, SecretName};
    use crate::telemetry::metric::{Meters, Seen};

    fn labels(path: &str, mode: Mode) -> Labels {
        let secret = SecretName {
            label: "current".to_owned(),
            name: "current".into(),
            scheme: "propify".to_owned(),
            signature: 0,
            not_after: None,
            routes: vec![path.into()],
        };
        Labels { routes: vec![RouteName { path: path.into(), mode }], secrets: vec![secret] }
    }

    #[test]
    fn a_counter_is_described_under_the_name_of_its_samples() {
        let text = text(Meters::default().sum(), labels("/a", Mode::Enforce), Gauges::default());
        let mut described: Vec<&str> = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                described.push(rest.split(' ').next().unwrap());
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let known = described.last().is_some_and(|last| *last == name || Some(*last) == base);
                assert!(known, "{line} under {:?}", described.last());
            }
        }
        assert_eq!(described, names().collect::<Vec<_>>());
        assert!(!text.contains("EOF"));
    }

    #[test]
    fn configured_series_start_at_zero() {
        let mut sum = Meters::default().sum();
        let seen = Seen { count: 7, last: 1_700_000_000 };
        sum.routes.entry("/gone".into()).or_default().verified.insert("old".into(), seen);
        let text = text(sum, labels("/a", Mode::Observe(Permit::of_configuration())), Gauges::default());
        for line in [
            "hookgate_requests_total{route=\"\",status=\"404\",reason=\"no_route\"} 0",
            "hookgate_requests_total{route=\"\",status=\"400\",reason=\"\"} 0",
            "hookgate_requests_total{route=\"/a\",status=\"401\",reason=\"signature_mismatch\"} 0",
            "hookgate_would_refuse_total{route=\"/a\",reason=\"signature_mismatch\"} 0",
            "hookgate_verified_total{route=\"/a\",secret=\"current\"} 0",
            "hookgate_verified_total{route=\"/gone\",secret=\"old\"} 7",
            "hookgate_secret_last_seen_timestamp_seconds{secret=\"current\"} 0",
            "hookgate_upstream_duration_seconds_count{route=\"/a\"} 0",
            "hookgate_upstream_duration_seconds_bucket{le=\"+Inf\",route=\"/a\"} 0",
            "hookgate_config_reloads_total{result=\"failure\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains("secret_last_seen_timestamp_seconds{secret=\"old\"}"));
    }

    #[test]
    fn a_path_is_escaped() {
        let path = "/a\"b\\c";
        let text = text(Meters::default().sum(), labels(path, Mode::Enforce), Gauges::default());
        assert!(text.contains(r#"hookgate_verified_total{route="/a\"b\\c",secret="current"} 0"#), "{text}");
    }
}
