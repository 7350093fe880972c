//! `tragen account statement`: everything that moved the account's cash in a
//! period, with the balance after each line.

use crate::{
    api::{Authorized, ask},
    output::{Format, decimal, moment, print, word},
};
use clap::Args;
use tragen_contracts::{
    convert,
    v1::{self, accounts_client::AccountsClient},
};
use tragen_domain::time::Timestamp;

/// Lines of one page.
const PAGE_LINES: i32 = 500;

/// Which part of the account's history.
#[derive(Debug, Args)]
pub(crate) struct StatementArgs {
    /// From here on: a date, which begins at 00:00 UTC, or a moment such as 2026-01-31T09:30:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = parse_moment)]
    from: Option<Timestamp>,
    /// Before here, now if it is not given.
    #[arg(long, value_name = "MOMENT", value_parser = parse_moment)]
    to: Option<Timestamp>,
    /// ISO 4217 or token code.
    #[arg(long, default_value = "USD")]
    currency: String,
}

impl StatementArgs {
    /// Reads all pages and prints them as one statement.
    pub(super) async fn run(self, format: Format, accounts: &mut AccountsClient<Authorized>) -> anyhow::Result<()> {
        let mut statement = v1::GetStatementResponse::default();
        let mut page_token = String::new();
        let mut is_first = true;
        loop {
            let question = v1::GetStatementRequest {
                currency: self.currency.clone(),
                from: self.from.map(convert::timestamp),
                to: self.to.map(convert::timestamp),
                page_size: PAGE_LINES,
                page_token,
                min_version: 0,
            };
            let page = accounts.get_statement(ask(question)).await?.into_inner();
            if std::mem::take(&mut is_first) {
                statement.opening_cash_micros = page.opening_cash_micros;
            }
            statement.closing_cash_micros = page.closing_cash_micros;
            statement.lines.extend(page.lines);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        print_statement(format, &statement, &self.currency)
    }
}

fn print_statement(format: Format, statement: &v1::GetStatementResponse, currency: &str) -> anyhow::Result<()> {
    let (opening, closing) = (decimal(statement.opening_cash_micros), decimal(statement.closing_cash_micros));
    match format {
        Format::Json => format.record(statement, &[]),
        Format::Table => {
            print(&format!("opening  {opening} {currency}\n"))?;
            let headers = ["POSTED", "KIND", "AMOUNT", "CASH", "SEQUENCE", "FROM", "TO", "REFERENCE"];
            format.list_or("Nothing moved.", "lines", &statement.lines, &headers, |line| {
                cells(line, moment(posted_at(line).map_or(0, |(seconds, _)| seconds)))
            })?;
            print(&format!("\nclosing  {closing} {currency}"))
        }
        Format::Csv => {
            let mut rows = vec![balance_row("OPENING", opening)];
            rows.extend(statement.lines.iter().map(|line| {
                let posted = posted_at(line).and_then(|(seconds, nanos)| jiff::Timestamp::new(seconds, nanos).ok());
                cells(line, posted.map(|at| at.to_string()).unwrap_or_default())
            }));
            rows.push(balance_row("CLOSING", closing));
            let headers = ["posted_at", "kind", "amount", "cash", "sequence", "from", "to", "reference"];
            format.list("lines", &rows, &headers, Clone::clone)
        }
    }
}

/// The balance before or after all lines, in the columns of a line.
fn balance_row(kind: &str, cash: String) -> Vec<String> {
    let mut row = vec![String::new(), kind.to_owned(), String::new(), cash];
    row.resize(8, String::new());
    row
}

fn cells(line: &v1::StatementLine, posted: String) -> Vec<String> {
    let transfer = line.transfer.clone().unwrap_or_default();
    vec![
        posted,
        word(transfer.kind().as_str_name(), "TRANSFER_KIND_"),
        decimal(line.amount_micros),
        decimal(line.cash_micros),
        transfer.sequence.to_string(),
        transfer.debit_account,
        transfer.credit_account,
        transfer.reference_id,
    ]
}

/// Seconds since the epoch and nanoseconds.
fn posted_at(line: &v1::StatementLine) -> Option<(i64, i32)> {
    let at = line.transfer.as_ref()?.posted_at.as_ref()?;
    Some((at.seconds, at.nanos))
}

/// A date or a moment with its offset from UTC.
pub(super) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let date = || jiff::civil::Date::strptime("%Y-%m-%d", text).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let moment = match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Some(moment),
        Err(_) => date().map(|date| date.timestamp()),
    };
    let moment =
        moment.ok_or_else(|| format!("{text:?} is neither a date such as 2026-01-31 nor an RFC 3339 moment"))?;
    Ok(Timestamp::from_micros(moment.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, micros: Option<i64>) {
        assert_eq!(parse_moment(text).ok().map(Timestamp::micros), micros, "{text}");
    }

    #[test]
    fn dates_begin_at_midnight_utc_and_moments_say_their_offset() {
        check("1970-01-02", Some(86_400_000_000));
        check("1970-01-01T00:00:01.5Z", Some(1_500_000));
        check("1970-01-01T02:00:00+02:00", Some(0));
        check("1969-12-31", Some(-86_400_000_000));
        for bad in ["", "yesterday", "2026-13-01", "2026-01-31T09:30:00", "1700000000"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_line_has_the_columns_of_the_header() {
        let line = v1::StatementLine {
            transfer: Some(v1::Transfer {
                sequence: 7,
                kind: v1::TransferKind::Sent.into(),
                debit_account: "wallet/alice".to_owned(),
                credit_account: "wallet/bob".to_owned(),
                reference_id: "t-1".to_owned(),
                ..v1::Transfer::default()
            }),
            amount_micros: -2_500_000,
            cash_micros: 7_500_000,
        };
        let row = cells(&line, "then".to_owned());
        assert_eq!(row.join(","), "then,SENT,-2.5,7.5,7,wallet/alice,wallet/bob,t-1");
        assert_eq!(balance_row("OPENING", "10".to_owned()).join(","), ",OPENING,,10,,,,");
    }
}
