//! Where figures were measured: without it they say nothing.

use serde::Serialize;
use std::fs;

/// The machine and the program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor as the kernel calls it.
    pub processor: String,
    /// Cores this program may use.
    pub cores: usize,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// The kernel.
    pub kernel: String,
    /// The load test's version.
    pub loadtest_version: String,
    /// How the load test was built: with debug assertions figures are no figures.
    pub build: String,
    /// The platform's version as the API tells it; empty if nobody may ask.
    pub platform_version: String,
}

impl Machine {
    /// This machine, against a platform of this version.
    #[must_use]
    pub fn here(platform_version: &str) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find(|line| line.starts_with("model name"));
        let processor = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, model)| model);
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1_024,
            kernel: kernel.trim().to_owned(),
            loadtest_version: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug assertions" } else { "release" }.to_owned(),
            platform_version: platform_version.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_a_version() {
        let here = Machine::here("0.1.0");
        assert!(here.cores > 0 && !here.loadtest_version.is_empty());
        assert_eq!(here.platform_version, "0.1.0");
    }
}
