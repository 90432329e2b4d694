//! Shell. The CPU time, memory and descriptors of this process, as the system reports them.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// The resource use of the process. A value is `None` if the system does not report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceUse {
    /// The CPU time of all threads, in microseconds.
    pub cpu_micros: Option<u64>,
    /// The resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// The virtual memory, in bytes.
    pub virtual_bytes: Option<u64>,
    /// The number of open descriptors.
    pub open_descriptors: Option<u64>,
}

impl ResourceUse {
    /// Reads the values from the system. The files in `/proc` (proc(5)) are made from counters, so reading
    /// them waits for no disk.
    #[must_use]
    pub fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let micros =
            |seconds: u64, nanos: u64| seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000);
        let cpu_micros = match (u64::try_from(cpu.tv_sec), u64::try_from(cpu.tv_nsec)) {
            (Ok(seconds), Ok(nanos)) => Some(micros(seconds, nanos)),
            (Ok(_) | Err(_), _) => None,
        };
        let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let mut pages = pages.split(' ').map(|pages| pages.parse::<u64>().ok());
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        let mut bytes = || pages.next().flatten().map(|pages| pages.saturating_mul(page));
        let (virtual_bytes, resident_bytes) = (bytes(), bytes());
        // The folder that is read is itself an open descriptor.
        let open = fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1));
        let open_descriptors = open.and_then(|open| u64::try_from(open).ok());
        Self { cpu_micros, resident_bytes, virtual_bytes, open_descriptors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_and_descriptors_are_known() {
        let used = ResourceUse::now();
        assert!(
            used.resident_bytes.unwrap() > 100_000 && used.virtual_bytes > used.resident_bytes,
            "{used:?}"
        );
        assert!(used.open_descriptors.unwrap() >= 3 && used.cpu_micros.unwrap() > 0, "{used:?}");
    }
}
