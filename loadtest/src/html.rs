//! The report as one HTML file: everything in it, nothing from elsewhere.

mod chart;

use crate::{
    figures::{BUCKET_ENDS_MICROS, Latency, Part},
    kpi::Verdict,
    report::{Report, millis},
};
use chart::{Scale, Series, float, heat, lines};
use std::{collections::BTreeMap, fmt::Write as _};

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}\
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;margin:.5em 0}\
th,td{border-bottom:1px solid #ddd;padding:.2em .8em;text-align:right}th:first-child,td:first-child{text-align:left}\
.good{color:#176117}.bad{color:#b00020;font-weight:600}svg{display:block;margin:.5em 0}";

/// Most gauges that are drawn.
const GAUGES_MAX: usize = 24;

/// The page of one or more runs, each with its verdicts.
#[must_use]
pub fn page(title: &str, runs: &[(Report, Vec<Verdict>)]) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{0}</h1>\n",
        escaped(title)
    );
    for (report, verdicts) in runs {
        page.push_str(&run(report, verdicts));
    }
    page.push_str("</body></html>\n");
    page
}

fn run(report: &Report, verdicts: &[Verdict]) -> String {
    let mut text = format!("<h2>{}</h2>\n", escaped(&report.load));
    text.push_str(&summary(report));
    if !verdicts.is_empty() {
        text.push_str("<h2>Goals</h2>\n<table><tr><th>figure</th><th>measured, target and critical value</th></tr>\n");
        for verdict in verdicts {
            let class = if verdict.is_failed() { "bad" } else { "good" };
            let line = escaped(&verdict.to_string());
            let _ = writeln!(text, "<tr><td>{}</td><td class=\"{class}\">{line}</td></tr>", verdict.kpi.name());
        }
        text.push_str("</table>\n");
    }
    text.push_str(&over_time(report));
    text.push_str(&parts("By operation", &report.by_operation));
    text.push_str(&parts("By tier", &report.by_tier));
    text.push_str(&counts("Answers as meant, by status", &report.ok_by_status));
    text.push_str(&counts("Answers that were not what was meant", &report.missed_by_status));
    text.push_str(&counts("Denials by code", &report.denied_by_code));
    text.push_str(&counts("Failures by code", &report.errors_by_code));
    text.push_str(&usage(report));
    text.push_str(&audit(report));
    text
}

fn summary(report: &Report) -> String {
    let Latency { p50_micros, p90_micros, p99_micros, p999_micros, max_micros } = report.latency;
    let machine = &report.machine;
    let rows = [
        ("machine", format!("{}, {} cores, {} MiB", machine.processor, machine.cores, machine.memory_bytes >> 20)),
        ("kernel", machine.kernel.clone()),
        (
            "versions",
            format!(
                "load test {} ({} build), platform {}",
                machine.loadtest_version,
                machine.build,
                if machine.platform_version.is_empty() { "unknown" } else { &machine.platform_version }
            ),
        ),
        ("accounts", format!("{}, {} of them active", report.accounts, report.accounts_active)),
        ("traded", format!("{} over {} connections", report.instrument_id, report.connections)),
        ("measured", format!("{} s, the warm-up not counted", millis(report.measured_ms))),
        ("offered", format!("{}, {} never sent", report.offered, report.unsent)),
        (
            "answered",
            format!(
                "{} as meant ({} trades filled), {} otherwise, {} denied, {} failed",
                report.ok, report.trades, report.missed, report.denied, report.errors
            ),
        ),
        ("rate", format!("{} operations/s as meant, {} trades/s", report.ok_per_second, report.trades_per_second)),
        (
            "latency ms",
            format!(
                "p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
                millis(p50_micros),
                millis(p90_micros),
                millis(p99_micros),
                millis(p999_micros),
                millis(max_micros)
            ),
        ),
    ];
    let rows = rows.map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>\n", escaped(&value))).concat();
    format!("<table>{rows}</table>\n")
}

fn over_time(report: &Report) -> String {
    let seconds = &report.seconds;
    let of = |value: fn(&crate::Second) -> u64| seconds.iter().map(|second| float(value(second))).collect::<Vec<_>>();
    let latency =
        |value: fn(&Latency) -> u64| seconds.iter().map(|s| float(value(&s.latency)) / 1_000.0).collect::<Vec<_>>();
    let rates = [
        Series::new("offered", of(|second| second.offered)),
        Series::new("as meant", of(|second| second.ok)),
        Series::new("trades", of(|second| second.trades)),
        Series::new("denied", of(|second| second.denied)),
        Series::new("failed", of(|second| second.errors)),
    ];
    let latencies = [
        Series::new("p50", latency(|latency| latency.p50_micros)),
        Series::new("p90", latency(|latency| latency.p90_micros)),
        Series::new("p99", latency(|latency| latency.p99_micros)),
        Series::new("max", latency(|latency| latency.max_micros)),
    ];
    let labels: Vec<String> = BUCKET_ENDS_MICROS.iter().map(|end| format!("{} ms", millis(*end))).collect();
    let cells: Vec<Vec<u64>> = seconds.iter().map(|second| second.buckets.to_vec()).collect();
    format!(
        "<h2>Over time</h2>\n{}{}{}",
        lines("operations per second", Scale::Linear, &rates),
        lines("latency, ms, from the intended start", Scale::Log, &latencies),
        heat("answers by latency (upwards) and second", &labels, &cells)
    )
}

fn parts(title: &str, parts: &BTreeMap<String, Part>) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let rows = parts.iter().map(|(name, part)| {
        let Latency { p50_micros, p99_micros, p999_micros, max_micros, .. } = part.latency;
        let times = [p50_micros, p99_micros, p999_micros, max_micros].map(millis).join("</td><td>");
        let classes: Vec<_> = part.errors_by_class.iter().map(|(class, count)| format!("{class} {count}")).collect();
        let classes = classes.join(", ");
        let Part { ok, trades, missed, denied, errors, .. } = part;
        let counts = [ok, trades, missed, denied].map(u64::to_string).join("</td><td>");
        format!("<tr><td>{name}</td><td>{counts}</td><td>{errors} {classes}</td><td>{times}</td></tr>\n")
    });
    let rows: String = rows.collect();
    format!(
        "<h2>{title}</h2>\n<table><tr><th></th><th>as meant</th><th>trades</th><th>missed</th><th>denied</th><th>failed</th><th>p50 ms</th><th>p99 ms</th>\
         <th>p99.9 ms</th><th>max ms</th></tr>\n{rows}</table>\n"
    )
}

fn counts(title: &str, counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let rows: String =
        counts.iter().map(|(name, count)| format!("<tr><td>{}</td><td>{count}</td></tr>\n", escaped(name))).collect();
    format!("<h2>{title}</h2>\n<table>{rows}</table>\n")
}

fn usage(report: &Report) -> String {
    let usage = &report.usage;
    if usage.processes.is_empty() {
        return String::new();
    }
    let mut text = "<h2>Use of the machine</h2>\n<table><tr><th>process</th><th>CPU, ms</th><th>CPU, us/operation</th>\
                    <th>CPU, us/trade</th><th>memory at most, MiB</th><th>written, bytes/operation</th>\
                    <th>written, bytes/trade</th></tr>\n"
        .to_owned();
    for process in &usage.processes {
        let name = escaped(&process.name);
        let (cpu, each) = (process.cpu_micros / 1_000, process.cpu_micros_per_ok);
        let (rss, written) = (process.rss_bytes_max >> 20, process.written_bytes_per_ok);
        let (cpu_trade, written_trade) = (process.cpu_micros_per_trade, process.written_bytes_per_trade);
        let _ = writeln!(
            text,
            "<tr><td>{name}</td><td>{cpu}</td><td>{each}</td><td>{cpu_trade}</td><td>{rss}</td><td>{written}</td>\
             <td>{written_trade}</td></tr>"
        );
    }
    text.push_str("</table>\n");
    if let Some((cpu, written)) = usage.platform_per_trade() {
        let _ = writeln!(text, "<p>All but the load test: {cpu} us CPU and {written} bytes written for one trade</p>");
    }
    let memory: Vec<_> = usage
        .processes
        .iter()
        .map(|process| {
            Series::new(&process.name, process.rss_bytes.iter().map(|rss| float(rss >> 10) / 1_024.0).collect())
        })
        .collect();
    text.push_str(&lines("memory, MiB", Scale::Linear, &memory));
    for gauge in usage.gauges.iter().take(GAUGES_MAX) {
        let title = format!("{} {}", gauge.service, gauge.name);
        text.push_str(&lines(&title, Scale::Linear, &[Series::new("value", gauge.values.clone())]));
    }
    text
}

fn audit(report: &Report) -> String {
    let mut text = "<h2>Audit</h2>\n".to_owned();
    let audit = &report.audit;
    let verdict = |is_passed| if is_passed { ("good", "passed") } else { ("bad", "FAILED") };
    let (class, word) = verdict(audit.is_passed());
    let _ = writeln!(
        text,
        "<p class=\"{class}\">{word}: {} trades read again, cash of {} accounts, {} transfers, {} trades found without \
         an answer</p>",
        audit.trades_compared, audit.accounts_compared, audit.transfers_added, audit.recovered
    );
    let proved = report.proof.iter().flat_map(|proof| &proof.findings);
    if let Some(proof) = &report.proof {
        let (class, _) = verdict(proof.is_passed());
        let _ = writeln!(text, "<p class=\"{class}\">{}</p>", escaped(&proof.to_string()));
    }
    for finding in audit.findings.iter().chain(proved) {
        let _ = writeln!(text, "<p class=\"bad\">{}</p>", escaped(finding));
    }
    text
}

/// `text` as it may stand in a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Second;

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let second = |second| Second { second, offered: 10, ok: 9, errors: 1, ..Second::default() };
        let report = Report {
            load: "10/s <b>".to_owned(),
            seconds: (0..5).map(second).collect(),
            by_tier: BTreeMap::from([("premium".to_owned(), Part::default())]),
            ..Report::default()
        };
        let page = page("a & b", &[(report, Vec::new())]);
        assert!(page.contains("10/s &lt;b&gt;") && page.contains("a &amp; b"), "{page}");
        assert!(page.contains("<svg") && page.contains("premium") && page.ends_with("</html>\n"));
        for foreign in ["http://", "https://", "src=", "<script", "<link", "@import"] {
            let text = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(foreign), "{foreign}");
        }
    }
}
