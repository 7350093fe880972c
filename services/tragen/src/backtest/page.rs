//! The report as one page that needs nothing else: no script, no file, no network.

use super::{
    chart::{calibration, columns, escape, line},
    report::{Figure, Report, Standing},
    seat::units,
};
use std::fmt::Write as _;

/// Rows of the trades' table; the message has all of them.
const TRADES_SHOWN: usize = 2_000;

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}td,th{padding:.2em .6em;border-bottom:1px solid #ddd;\
    text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}svg{width:100%;background:#fafafa;\
    margin:.5em 0}svg.square{width:300px}svg text{font-size:11px;fill:#666}svg text.end{text-anchor:end}\
    .line{fill:none;stroke:#1668a5;stroke-width:1.5}circle.line{fill:#1668a5}.fall{fill:none;stroke:#b3372f;stroke-width:1.5}\
    .axis{stroke:#bbb;fill:none}.gain{fill:#2c7a4b}.loss{fill:#b3372f}.OK{color:#2c7a4b}.WARN{color:#a86b00}\
    .CRITICAL{color:#b3372f;font-weight:bold}.UNDEFINED{color:#777}.wide{overflow-x:auto}code{font-size:12px}";

/// The page.
pub(crate) fn page(report: &Report) -> String {
    let mut html = String::with_capacity(64 << 10);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>Backtest</title><style>{STYLE}</style></head><body>\
         <h1>Backtest</h1><p>From {} to {}, in {}. Hash of all decisions: <code>{}</code></p>",
        escape(&report.from),
        escape(&report.to),
        escape(&report.currency),
        escape(&report.hash)
    );
    equity(&mut html, report);
    kpis(&mut html, report);
    agents(&mut html, report);
    shares(&mut html, report);
    forecasts(&mut html, report);
    costs(&mut html, report);
    data(&mut html, report);
    trades(&mut html, report);
    html.push_str("</body></html>\n");
    html
}

fn equity(html: &mut String, report: &Report) {
    let labels = (report.from.as_str(), report.to.as_str());
    let values: Vec<f64> = report.equity.iter().map(|point| units(point.micros)).collect();
    let falls: Vec<f64> = report.equity.iter().map(|point| -100.0 * point.drawdown).collect();
    let _ = write!(
        html,
        "<h2>Equity</h2><p>{} to {}: net {} after {} of fees; largest drawdown {:.2} %.</p>{}<h2>Drawdown, %</h2>{}",
        escape(&report.total.start),
        escape(&report.total.end),
        escape(&report.total.net),
        escape(&report.total.fees),
        100.0 * report.total.max_drawdown,
        line("Equity at the end of each day", &values, labels, "line"),
        line("Drawdown in percent", &falls, labels, "fall")
    );
}

fn kpis(html: &mut String, report: &Report) {
    html.push_str(
        "<h2>KPIs</h2><table><tr><th>KPI</th><th>Value</th><th>Target</th><th>Critical</th><th>Status</th></tr>",
    );
    for own in &report.kpis {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{status}\">{status}</td></tr>",
            own.kpi,
            figure(&own.figure),
            own.target,
            own.critical,
            status = own.status
        );
    }
    html.push_str("</table>");
}

fn agents(html: &mut String, report: &Report) {
    html.push_str(
        "<h2>Agents</h2><div class=\"wide\"><table><tr><th>Agent</th><th>Strategy</th><th>Net</th><th>Fees</th><th>Trades</th>\
         <th>Win rate</th><th>Profit factor</th><th>Sharpe</th><th>Sortino</th><th>Drawdown</th><th>VaR 95 %</th><th>ES 95 %</th><th>VaR 99 %</th>\
         <th>Score</th></tr>",
    );
    for own in report.agents.iter().chain([&report.total]) {
        let Standing { agent, pool, net, fees, trades, max_drawdown, .. } = own;
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{trades}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{max_drawdown:.4}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(agent),
            escape(pool),
            escape(net),
            escape(fees),
            figure(&own.win_rate),
            figure(&own.profit_factor),
            figure(&own.sharpe),
            figure(&own.sortino),
            figure(&own.value_at_risk_95),
            figure(&own.expected_shortfall_95),
            figure(&own.value_at_risk_99),
            figure(&own.performance_score)
        );
    }
    html.push_str("</table></div>");
    let with_bets: Vec<_> = report.agents.iter().filter_map(|own| Some((&own.agent, own.bets.as_ref()?))).collect();
    if with_bets.is_empty() {
        return;
    }
    html.push_str(
        "<h2>Bets</h2><p>CLV is what the closing line says a bet was worth; it needs far fewer bets than the return to be \
         believed. t counts standard errors from 0.</p><table><tr><th>Agent</th><th>Bets</th><th>Won</th><th>Staked</th>\
         <th>Return</th><th>t</th><th>Edge</th><th>CLV</th><th>t</th></tr>",
    );
    for (agent, bets) in with_bets {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(agent),
            bets.bets,
            bets.wins,
            escape(&bets.staked),
            figure(&bets.return_on_stake),
            figure(&bets.return_t),
            figure(&bets.mean_edge),
            figure(&bets.closing_value),
            figure(&bets.closing_value_t)
        );
    }
    html.push_str("</table>");
}

fn shares(html: &mut String, report: &Report) {
    let by_agent: Vec<(String, f64)> = report
        .agents
        .iter()
        .map(|own| {
            (own.agent.clone(), own.net.parse::<tragen_domain::money::Money>().map_or(0.0, |net| units(net.micros())))
        })
        .collect();
    let by_month: Vec<(String, f64)> = report.months.iter().map(|own| (own.name.clone(), units(own.micros))).collect();
    let by_pool: Vec<(String, f64)> =
        report.strategies.iter().map(|own| (own.name.clone(), units(own.micros))).collect();
    let _ = write!(
        html,
        "<h2>Profit by month</h2>{}<h2>Profit by strategy</h2>{}<h2>Profit by agent</h2>{}",
        columns("Profit by month", &by_month),
        columns("Profit by strategy", &by_pool),
        columns("Profit by agent", &by_agent)
    );
    html.push_str("<table><tr><th>Month</th><th>Net</th></tr>");
    for own in &report.months {
        let _ = write!(html, "<tr><td>{}</td><td>{}</td></tr>", escape(&own.name), escape(&own.net));
    }
    html.push_str("</table>");
}

fn forecasts(html: &mut String, report: &Report) {
    for own in &report.agents {
        let Some(forecasts) = own.forecasts.as_ref().filter(|forecasts| forecasts.matches > 0) else { continue };
        let points: Vec<(f64, f64, usize)> =
            forecasts.calibration.iter().map(|point| (point.believed, point.happened, point.outcomes)).collect();
        let text = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"));
        let _ = write!(
            html,
            "<h2>What {} believed</h2><p>{} matches: log-loss {}, ranked probability score {}, Brier score {}. Points on the \
             line happened as often as they were believed.</p>{}",
            escape(&own.agent),
            forecasts.matches,
            text(forecasts.log_loss),
            text(forecasts.ranked_score),
            text(forecasts.brier),
            calibration("Believed against happened", &points)
        );
    }
}

fn costs(html: &mut String, report: &Report) {
    let own = &report.costs;
    let running = own.running.as_deref().unwrap_or("not given");
    let _ = write!(
        html,
        "<h2>Costs</h2><table><tr><td>Turnover</td><td>{}</td></tr><tr><td>Fees</td><td>{}</td></tr><tr><td>Fees of turnover</td>\
         <td>{}</td></tr><tr><td>Fees of what was won or lost before them</td><td>{}</td></tr><tr><td>Running the agents</td>\
         <td>{}</td></tr></table>",
        escape(&own.turnover),
        escape(&own.fees),
        figure(&own.fee_share_of_turnover),
        figure(&own.fee_share_of_gross),
        escape(running)
    );
    if !report.denials.is_empty() {
        html.push_str("<table><tr><th>Denied by the gate because of</th><th>Orders</th></tr>");
        for (reason, count) in &report.denials {
            let _ = write!(html, "<tr><td>{}</td><td>{count}</td></tr>", escape(reason));
        }
        html.push_str("</table>");
    }
}

fn data(html: &mut String, report: &Report) {
    html.push_str(
        "<h2>Data</h2><table><tr><th>File</th><th>Used</th><th>Skipped</th><th>Left out</th><th>Repaired</th><th>Accuracy</th></tr>",
    );
    for own in &report.files {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&own.file),
            own.accepted,
            own.skipped,
            own.left_out,
            own.repaired,
            own.accuracy.map_or_else(|| "-".to_owned(), |share| format!("{share:.4}"))
        );
    }
    html.push_str("</table>");
    let faults: Vec<&String> = report.files.iter().flat_map(|own| &own.faults).chain(&report.notes).collect();
    if !faults.is_empty() {
        html.push_str("<ul>");
        for fault in faults {
            let _ = write!(html, "<li><code>{}</code></li>", escape(fault));
        }
        html.push_str("</ul>");
    }
}

fn trades(html: &mut String, report: &Report) {
    html.push_str(
        "<h2>Trades</h2><div class=\"wide\"><table><tr><th>Agent</th><th>Instrument</th><th>Side</th><th>Quantity</th>\
         <th>Opened</th><th>Closed</th><th>Entry</th><th>Exit</th><th>Fees</th><th>Net</th><th>Ended by</th><th>CLV</th></tr>",
    );
    for own in report.trades.iter().take(TRADES_SHOWN) {
        let closing_value = own.closing_value.map_or_else(String::new, |value| format!("{value:.4}"));
        let cells: [&str; 12] = [
            &own.agent,
            &own.instrument,
            own.side,
            &own.quantity,
            &own.opened,
            &own.closed,
            &own.entry,
            &own.exit,
            &own.fees,
            &own.net,
            own.why,
            &closing_value,
        ];
        html.push_str("<tr>");
        for cell in cells {
            let _ = write!(html, "<td>{}</td>", escape(cell));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
    let shown = report.trades.len().min(TRADES_SHOWN);
    let left = u64::try_from(report.trades.len() - shown).unwrap_or_default() + report.trades_left_out;
    if left > 0 {
        let _ = write!(html, "<p>{left} more trades are in the sums but not in this table.</p>");
    }
}

fn figure(figure: &Figure) -> String {
    match (figure.value, &figure.undefined) {
        (Some(value), _) => format!("{value:.4}"),
        (None, reason) => {
            format!("<span class=\"UNDEFINED\">{}</span>", escape(reason.as_deref().unwrap_or("undefined")))
        }
    }
}
