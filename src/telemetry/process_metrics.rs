//! Pure. The metrics of the process and of the build.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::NoLabelSet;

use super::family::{self, Family, Kind, Table, gauge, seconds};

/// The resource use of the process. A value that the system does not give is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessState {
    /// The CPU time of all threads, in microseconds.
    pub cpu_micros: Option<u64>,
    /// The resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// The virtual memory, in bytes.
    pub virtual_bytes: Option<u64>,
    /// The number of open descriptors.
    pub open_descriptors: Option<u64>,
    /// The limit on descriptors.
    pub most_descriptors: Option<u64>,
    /// When the process was started, in seconds since 1970.
    pub started: u64,
}

/// The metrics of this state, for [`super::exposition::text()`].
#[must_use]
pub fn collector(state: ProcessState) -> Box<dyn Collector> {
    Box::new(Table { state, families: FAMILIES })
}

/// The full name of every metric of the process. Used to check the documentation.
pub fn names() -> impl Iterator<Item = String> {
    family::names(FAMILIES)
}

const FAMILIES: &[Family<ProcessState>] = &[
    Family {
        name: "hookgate_build_info",
        help: "The version that runs; the value is 1",
        kind: Kind::Gauge,
        encode: |_, family| gauge(family.encode_family(&[("version", env!("CARGO_PKG_VERSION"))])?, 1),
    },
    Family {
        name: "process_cpu_seconds",
        help: "CPU time of the process, in seconds",
        kind: Kind::Counter,
        encode: |of, family| {
            of.cpu_micros
                .map_or(Ok(()), |micros| family.encode_counter::<NoLabelSet, _, u64>(&seconds(micros), None))
        },
    },
    Family {
        name: "process_resident_memory_bytes",
        help: "Resident memory of the process, in bytes",
        kind: Kind::Gauge,
        encode: |of, family| of.resident_bytes.map_or(Ok(()), |bytes| family.encode_gauge(&bytes)),
    },
    Family {
        name: "process_virtual_memory_bytes",
        help: "Virtual memory of the process, in bytes",
        kind: Kind::Gauge,
        encode: |of, family| of.virtual_bytes.map_or(Ok(()), |bytes| family.encode_gauge(&bytes)),
    },
    Family {
        name: "process_open_fds",
        help: "Open descriptors of the process",
        kind: Kind::Gauge,
        encode: |of, family| of.open_descriptors.map_or(Ok(()), |open| family.encode_gauge(&open)),
    },
    Family {
        name: "process_max_fds",
        help: "The limit on descriptors of the process",
        kind: Kind::Gauge,
        encode: |of, family| of.most_descriptors.map_or(Ok(()), |most| family.encode_gauge(&most)),
    },
    Family {
        name: "process_start_time_seconds",
        help: "When the process was started, in seconds since 1970",
        kind: Kind::Gauge,
        encode: |of, family| family.encode_gauge(&of.started),
    },
];
