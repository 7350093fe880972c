//! A trade as it is shown: in full, as a row, on a line.

use crate::{
    Verdict,
    output::{Format, decimal, decimal_or_blank, moment, word},
};
use tragen_contracts::v1;

pub(super) fn show(format: Format, trade: &v1::Trade) -> anyhow::Result<Verdict> {
    format.record(trade, &fields(trade))?;
    Ok(match trade.status() {
        v1::TradeStatus::Denied | v1::TradeStatus::Rejected => Verdict::Refused,
        v1::TradeStatus::Unspecified
        | v1::TradeStatus::Pending
        | v1::TradeStatus::Working
        | v1::TradeStatus::Filled
        | v1::TradeStatus::PartiallyFilled
        | v1::TradeStatus::Expired
        | v1::TradeStatus::Canceled
        | v1::TradeStatus::NoTrade => Verdict::Good,
    })
}

fn fields(trade: &v1::Trade) -> Vec<(&'static str, String)> {
    let ordered = [side(trade), decimal_or_blank(trade.quantity_micros), trade.instrument_id.clone()].join(" ");
    vec![
        ("trade", trade.trade_id.clone()),
        ("request", trade.request_id.clone()),
        ("account", trade.account_id.clone()),
        ("status", status(trade)),
        ("denial", denial(trade)),
        ("rejection", trade.rejection.clone()),
        ("order", ordered.trim().to_owned()),
        ("limit", decimal_or_blank(trade.limit_price_micros)),
        ("filled", decimal(trade.filled_quantity_micros)),
        ("average", decimal_or_blank(trade.average_price_micros)),
        ("fee", decimal_or_blank(trade.fee_micros)),
        ("cash", decimal_or_blank(trade.cash_change_micros)),
        ("agent", trade.agent.clone()),
        ("rationale", trade.rationale.clone()),
        ("trace", trade.trace_id.clone()),
        ("created", moment(trade.created_at.as_ref().map_or(0, |at| at.seconds))),
        ("updated", moment(trade.updated_at.as_ref().map_or(0, |at| at.seconds))),
    ]
}

pub(super) fn row(trade: &v1::Trade) -> Vec<String> {
    vec![
        moment(trade.created_at.as_ref().map_or(0, |at| at.seconds)),
        trade.trade_id.clone(),
        trade.instrument_id.clone(),
        side(trade),
        decimal(trade.filled_quantity_micros),
        decimal(trade.quantity_micros),
        decimal_or_blank(trade.average_price_micros),
        status(trade),
        trade.denial.as_ref().map(|d| word(d.code().as_str_name(), "DENIAL_CODE_")).unwrap_or_default(),
    ]
}

/// A trade on one line: time, account, instrument, side, quantity@price, status.
pub(crate) fn line(trade: &v1::Trade) -> String {
    let time = moment(trade.updated_at.as_ref().map_or(0, |at| at.seconds));
    let (quantity, price) = match trade.filled_quantity_micros {
        0 => (trade.quantity_micros, trade.limit_price_micros),
        filled => (filled, trade.average_price_micros),
    };
    let price = if price == 0 { "market".to_owned() } else { decimal(price) };
    let amount = if quantity == 0 { String::new() } else { format!("{}@{price}", decimal(quantity)) };
    let text = format!(
        "{}  {:<26} {:<22} {:<4} {amount:<22} {}  {}",
        time.get(11..19).unwrap_or("        "),
        trade.account_id,
        trade.instrument_id,
        side(trade),
        status(trade),
        remark(trade),
    );
    text.trim_end().to_owned()
}

/// Why nothing was traded; empty when something was.
fn remark(trade: &v1::Trade) -> String {
    let is_idle = trade.status() == v1::TradeStatus::NoTrade;
    denial(trade) + &trade.rejection + if is_idle { &trade.rationale } else { "" }
}

fn side(trade: &v1::Trade) -> String {
    word(trade.side().as_str_name(), "SIDE_")
}

fn status(trade: &v1::Trade) -> String {
    word(trade.status().as_str_name(), "TRADE_STATUS_")
}

fn denial(trade: &v1::Trade) -> String {
    match &trade.denial {
        Some(denial) => {
            format!("{}: {}", word(denial.code().as_str_name(), "DENIAL_CODE_"), denial.message)
        }
        None => String::new(),
    }
}
