//! Every metric of market-data, described once.

use metrics::{Unit, describe_counter, describe_gauge};

/// Says what the metrics mean.
pub(crate) fn describe() {
    describe_counter!("market_data_rows_total", "Rows of feed files by kind, accepted, skipped or left_out.");
    describe_counter!("market_data_values_repaired_total", "Single values of accepted rows left out or put right.");
    describe_counter!("market_data_messages_published_total", "Messages published by kind.");
    describe_counter!("market_data_publish_failures_total", "Publications given up because the bus did not answer.");
    describe_counter!("market_data_refills_total", "Times everything was published again after a reconnect.");
    describe_counter!("market_data_trades_seen_total", "Execution reports whose price was recorded.");
    describe_counter!("market_data_questions_total", "Questions answered by kind and result.");
    describe_gauge!("market_data_instruments_open", "Instruments that can be traded now.");
    describe_gauge!("market_data_market_time_seconds", Unit::Seconds, "Market time of the last event, Unix time.");
}
