//! Gauges out of metrics in the text format of Prometheus.

use std::collections::BTreeSet;

/// Every gauge with its labels and value, without those of the process, which are seen otherwise.
pub(crate) fn gauges(text: &str) -> Vec<(String, f64)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"));
    let known: BTreeSet<&str> = types.filter(|name| !name.starts_with("process_")).collect();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = samples.filter_map(|line| {
        let (name, value) = line.trim().rsplit_once(' ')?;
        let plain = name.split('{').next()?;
        let value: f64 = value.parse().ok()?;
        (known.contains(plain) && value.is_finite()).then(|| (name.to_owned(), value))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gauges_count() {
        let text = "# HELP a what\n# TYPE a gauge\na 1\n# TYPE b counter\nb 2\n# TYPE c gauge\nc{shard=\"0 1\"} 3.5\n\
                    # TYPE process_threads gauge\nprocess_threads 9\n# TYPE d gauge\nd NaN\n";
        assert_eq!(gauges(text), [("a".to_owned(), 1.0), ("c{shard=\"0 1\"}".to_owned(), 3.5)]);
    }
}
