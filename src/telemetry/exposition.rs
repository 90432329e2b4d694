//! Pure. The metrics in the Prometheus text format.
//!
//! `prometheus-client` writes OpenMetrics. There, the `_total` of a counter belongs to the names of its
//! samples, but not to the metric's own name. The gateway serves the older Prometheus text format (0.0.4),
//! which every scraper reads. In that format the descriptions name the samples. So `classic` adds the suffix
//! to the descriptions.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::histogram::{BOUNDS, Distribution};
use super::metric::{Outcome, RouteSum, Seen, Sum, UNEXPLAINED};
use crate::config::Mode;
use crate::diagnosis::causes::Cause;
use crate::gateway::reason::Reason;
use crate::gateway::rejection::Rejection;
use crate::telemetry::labels::Labels;

/// The media type of [`text()`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The values that describe the whole process, and not single requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// The bytes of content in memory.
    pub buffered_bytes: u64,
    /// How many reloads applied a new configuration.
    pub reloads: u64,
    /// How many reloads failed and changed nothing.
    pub failed_reloads: u64,
    /// The number of the current configuration, counted from 1.
    pub generation: u64,
    /// How many log lines were dropped since the process began.
    pub log_dropped: u64,
    /// Whether the gateway is ready.
    pub ready: bool,
    /// When the gateway was started, in seconds since 1970.
    pub started: u64,
}

/// Renders all metrics. Every series that the current configuration can have exists from the start, with the
/// value zero. Otherwise the first event after a start would not appear as an increase. `further` are the
/// metrics of other parts.
#[must_use]
pub fn text(
    sum: Sum,
    labels: Labels,
    gauges: Gauges,
    further: impl IntoIterator<Item = Box<dyn Collector>>,
) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { sum: with_zeroes(sum, &labels), labels, gauges }));
    further.into_iter().for_each(|collector| registry.register_collector(collector));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _infallible = text::encode(&mut text, &registry);
    classic(&text)
}

fn with_zeroes(mut sum: Sum, labels: &Labels) -> Sum {
    sum.routes.entry("".into()).or_default().add(&zeroes(&Rejection::WITHOUT_ROUTE));
    for route in &labels.routes {
        let mut zeroes = zeroes(&Rejection::OF_ROUTES);
        match route.mode {
            Mode::Enforce => {}
            Mode::Observe(_) => {
                let observed = Rejection::OBSERVED.iter().filter_map(Rejection::reason);
                zeroes.would_refuse = observed.map(|reason| (reason, 0)).collect();
            }
        }
        let secrets = labels.secrets.iter().filter(|secret| secret.routes.contains(&route.path));
        zeroes.diagnosed = Cause::LABELS.into_iter().chain([UNEXPLAINED]).map(|cause| (cause, 0)).collect();
        zeroes.verified = secrets.map(|secret| (Arc::clone(&secret.name), Seen::default())).collect();
        zeroes.clients = route.clients.iter().map(|name| (Arc::clone(name), 0)).collect();
        sum.routes.entry(Arc::clone(&route.path)).or_default().add(&zeroes);
    }
    sum
}

fn zeroes(rejections: &[Rejection]) -> RouteSum {
    let outcome = |rejection: &Rejection| {
        (Outcome { status: rejection.status().as_u16(), reason: rejection.reason() }, 0)
    };
    RouteSum { outcomes: rejections.iter().map(outcome).collect(), ..RouteSum::default() }
}

/// Converts OpenMetrics to the older format: descriptions get the full names of counters, and the end mark is
/// removed.
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

/// The full name of every metric. Used to check the documentation.
pub fn names() -> impl Iterator<Item = String> {
    let text = text(Sum::default(), Labels::default(), Gauges::default(), []);
    let name = |line: &str| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned());
    text.lines().filter_map(name).collect::<Vec<_>>().into_iter()
}

#[derive(Debug)]
struct Exposition {
    sum: Sum,
    labels: Labels,
    gauges: Gauges,
}

/// The encoder adds `_total` to the names of counters, and a full stop to each help text.
impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { sum, labels, gauges } = self;
        let mut to = Writer(&mut encoder);
        let routes = || sum.routes.iter().map(|(path, route)| (("route", &**path), route));

        let help = "Requests that have ended, by route, status code and reason";
        let requests = routes().flat_map(|(path, route)| {
            let outcome = move |(outcome, count): (&Outcome, &u64)| {
                let status = match outcome.status {
                    Outcome::UNREGISTERED => "other".to_owned(),
                    status => status.to_string(),
                };
                let reason = outcome.reason.map_or("", Reason::as_str);
                (own([path, ("status", &status), ("reason", reason)]), *count)
            };
            route.outcomes.iter().map(outcome)
        });
        to.counters("hookgate_requests", help, requests)?;

        let help = "Requests that were forwarded because their route observes, by the reason to refuse them";
        let would_refuse = routes().flat_map(|(path, route)| {
            route.would_refuse.iter().map(move |(why, count)| (own([path, ("reason", why.as_str())]), *count))
        });
        to.counters("hookgate_would_refuse", help, would_refuse)?;

        let help = "Requests that did not verify and were looked into, by route and likely cause";
        let diagnosed = routes().flat_map(|(path, route)| {
            route.diagnosed.iter().map(move |(cause, count)| (own([path, ("cause", *cause)]), *count))
        });
        to.counters("hookgate_diagnosed", help, diagnosed)?;

        let help = "Requests that have verified, by route and secret";
        let verified = routes().flat_map(|(path, route)| {
            route.verified.iter().map(move |(secret, seen)| (own([path, ("secret", &**secret)]), seen.count))
        });
        to.counters("hookgate_verified", help, verified)?;

        let help = "Requests of clients with a certificate that their route requires, by route and name";
        let clients = routes().flat_map(|(path, route)| {
            route.clients.iter().map(move |(name, count)| (own([path, ("name", &**name)]), *count))
        });
        to.counters("hookgate_client_certificates", help, clients)?;

        let help = "TLS handshakes with clients, by how they ended";
        let handshakes = sum.handshakes.iter().map(|(result, count)| (own([("result", *result)]), *count));
        to.counters("hookgate_tls_handshakes", help, handshakes)?;

        let help = "When a certificate that clients are shown expires, by its first name";
        let certificates = labels.certificates.iter().map(|(name, validity)| {
            let end = validity.end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            (own([("name", &**name)]), end)
        });
        to.gauges("hookgate_tls_certificate_expiry_timestamp_seconds", help, certificates)?;

        let help = "How long a certificate that clients are shown is valid in all, by its first name";
        let lives = labels.certificates.iter();
        let lives = lives.map(|(name, validity)| (own([("name", &**name)]), validity.life.as_secs()));
        to.gauges("hookgate_tls_certificate_life_seconds", help, lives)?;

        let help = "When a secret last verified a request, 0 if it has not since the start";
        let last_seen =
            labels.secrets.iter().map(|secret| (own([("secret", &secret.label)]), sum.seen(secret).last));
        to.gauges("hookgate_secret_last_seen_timestamp_seconds", help, last_seen)?;

        let help = "From the end of a request's head to the end of its answer";
        to.histograms("hookgate_request_duration_seconds", help, [(own([]), &sum.took)])?;

        let help = "From the end of a request's head to the end of its answer, by route";
        let of_routes = routes().filter(|((_, path), _)| !path.is_empty());
        let of_routes = of_routes.map(|(path, route)| (own([path]), &route.took));
        to.histograms("hookgate_route_request_duration_seconds", help, of_routes)?;

        let help = "From the forwarding of a request to the head of the upstream's response, or the failure to get one";
        let upstream = routes().filter(|((_, path), _)| !path.is_empty());
        let upstream = upstream.map(|(path, route)| (own([path]), &route.upstream));
        to.histograms("hookgate_upstream_duration_seconds", help, upstream)?;

        let help = "Bytes of request bodies and large request heads held in memory";
        to.gauge("hookgate_buffered_bytes", help, gauges.buffered_bytes)?;
        to.gauge("hookgate_connections", "Connections from senders that are open", sum.connections)?;

        let help = "Connections that were closed because their client had max_connections_per_client already";
        to.counters("hookgate_client_connections_closed", help, [(own([]), sum.closed_connections)])?;

        let help = "Configurations that were loaded after the start, by whether they came into force";
        let reloads = [("success", gauges.reloads), ("failure", gauges.failed_reloads)];
        let reloads = reloads.map(|(result, count)| (own([("result", result)]), count));
        to.counters("hookgate_config_reloads", help, reloads)?;

        let help = "The number of the configuration in force, from 1";
        to.gauge("hookgate_config_generation", help, gauges.generation)?;
        let help =
            "Log lines that were dropped because the log could not be written fast enough, or not at all";
        to.counters("hookgate_log_dropped", help, [(own([]), gauges.log_dropped)])?;
        let help = "Whether /readyz says that it is ready, 1 or 0";
        to.gauge("hookgate_ready", help, u64::from(gauges.ready))?;
        to.gauge("hookgate_start_time_seconds", "When the gateway was started", gauges.started)
    }
}

/// The labels of a sample.
type LabelSet = Vec<(&'static str, String)>;

fn own<const N: usize>(labels: [(&'static str, &str); N]) -> LabelSet {
    labels.map(|(name, value)| (name, value.to_owned())).into()
}

/// Writes metrics with their samples.
struct Writer<'e, 'd>(&'e mut DescriptorEncoder<'d>);

impl Writer<'_, '_> {
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (LabelSet, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        samples.into_iter().try_for_each(|(labels, value)| {
            sample(&mut metric, &labels, |to| to.encode_counter::<NoLabelSet, _, u64>(&value, None))
        })
    }

    fn gauges<I: IntoIterator<Item = (LabelSet, u64)>>(
        &mut self,
        name: &str,
        help: &str,
        samples: I,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let mut samples = samples.into_iter();
        samples.try_for_each(|(labels, value)| sample(&mut metric, &labels, |to| to.encode_gauge(&value)))
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.gauges(name, help, [(own([]), value)])
    }

    /// The encoder adds up the buckets, so they are passed as single counts.
    fn histograms<'s>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (LabelSet, &'s Distribution)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        samples.into_iter().try_for_each(|(labels, all)| {
            let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(all.buckets.into_iter().chain([all.beyond])).collect();
            sample(&mut metric, &labels, |to| {
                to.encode_histogram::<NoLabelSet>(seconds(all.micros), all.count(), &buckets, None)
            })
        })
    }
}

/// Writes a sample, without braces if it has no labels.
fn sample(
    metric: &mut MetricEncoder<'_>,
    labels: &LabelSet,
    encode: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { encode(metric) } else { encode(&mut metric.encode_family(labels)?) }
}

/// The conversion is exact for every total that a gateway can reach in a century.
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
    use std::time::Duration;

    use super::*;
    use crate::signature::Permit;
    use crate::telemetry::labels::{RouteName, SecretName, Validity};
    use crate::telemetry::metric::Meters;

    fn labels(path: &str, mode: Mode) -> Labels {
        let secret = SecretName {
            label: "current".to_owned(),
            name: "current".into(),
            scheme: "propify".to_owned(),
            signature: 0,
            not_after: None,
            routes: vec![path.into()],
        };
        let route = RouteName { path: path.into(), mode, clients: vec!["sender.example".into()] };
        let certificates = [(
            "hooks.example".into(),
            Validity { end: SystemTime::UNIX_EPOCH + Duration::from_secs(7), life: Duration::from_secs(5) },
        )]
        .into();
        Labels { routes: vec![route], secrets: vec![secret], certificates }
    }

    #[test]
    fn a_counter_is_described_under_the_name_of_its_samples() {
        let text = text(Meters::default().sum(), labels("/a", Mode::Enforce), Gauges::default(), []);
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
        let text = text(sum, labels("/a", Mode::Observe(Permit::of_configuration())), Gauges::default(), []);
        for line in [
            "hookgate_requests_total{route=\"\",status=\"404\",reason=\"no_route\"} 0",
            "hookgate_requests_total{route=\"\",status=\"400\",reason=\"\"} 0",
            "hookgate_requests_total{route=\"/a\",status=\"401\",reason=\"signature_mismatch\"} 0",
            "hookgate_would_refuse_total{route=\"/a\",reason=\"signature_mismatch\"} 0",
            "hookgate_verified_total{route=\"/a\",secret=\"current\"} 0",
            "hookgate_verified_total{route=\"/gone\",secret=\"old\"} 7",
            "hookgate_secret_last_seen_timestamp_seconds{secret=\"current\"} 0",
            "hookgate_client_certificates_total{route=\"/a\",name=\"sender.example\"} 0",
            "hookgate_tls_handshakes_total{result=\"ok\"} 0",
            "hookgate_tls_certificate_expiry_timestamp_seconds{name=\"hooks.example\"} 7",
            "hookgate_tls_certificate_life_seconds{name=\"hooks.example\"} 5",
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
        let text = text(Meters::default().sum(), labels(path, Mode::Enforce), Gauges::default(), []);
        assert!(text.contains(r#"hookgate_verified_total{route="/a\"b\\c",secret="current"} 0"#), "{text}");
    }
}
