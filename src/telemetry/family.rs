//! Pure. Tables of metrics whose values are read from a state.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::histogram::{BOUNDS, Distribution};

/// A metric: its name without `_total`, its help text, and a function that writes its samples.
pub(super) struct Family<T> {
    pub(super) name: &'static str,
    /// The help text, without the final full stop: the encoder adds it.
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) encode: fn(&T, &mut MetricEncoder<'_>) -> fmt::Result,
}

/// The type of a metric.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A state with its table of metrics.
pub(super) struct Table<T: 'static> {
    pub(super) state: T,
    pub(super) families: &'static [Family<T>],
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("families", &self.families.len()).finish_non_exhaustive()
    }
}

impl<T: Send + Sync> Collector for Table<T> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.families {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut samples = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            (family.encode)(&self.state, &mut samples)?;
        }
        Ok(())
    }
}

/// The full names of a table's metrics.
pub(super) fn names<T>(families: &'static [Family<T>]) -> impl Iterator<Item = String> {
    families.iter().map(|family| match family.kind {
        Kind::Counter => format!("{}_total", family.name),
        Kind::Gauge | Kind::Histogram => family.name.to_owned(),
    })
}

/// Writes a sample of a counter.
pub(super) fn counter(encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder)
}

/// Writes a sample of a gauge.
pub(super) fn gauge(encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder)
}

/// Writes a histogram without labels. The encoder adds up the buckets, so they are passed as single counts.
pub(super) fn histogram(encoder: &mut MetricEncoder<'_>, distribution: &Distribution) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> =
        BOUNDS.iter().map(|bound| seconds(*bound)).zip(distribution.buckets).collect();
    buckets.push((f64::INFINITY, distribution.beyond));
    encoder.encode_histogram::<NoLabelSet>(seconds(distribution.micros), distribution.count(), &buckets, None)
}

/// The conversion is exact for every total that a gateway can reach in a century.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "there is no other way from u64 to f64"
)]
pub(super) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}
