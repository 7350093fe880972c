//! What the venue has executed, against the executions in the books.

use super::{ask, finding::Finding};
use crate::store::{
    Books,
    session::{Arg, Sql},
};
use anyhow::bail;
use std::collections::{BTreeMap, HashSet};
use tragen_bus::Bus;
use tragen_contracts::v1::{self, guard_answer::Answer, guard_question::Question};
use tragen_host::clock::now_micros;
use uuid::Uuid;

/// How long an execution may take to be booked before it is looked for.
const LATE_MICROS: i64 = 30_000_000;
/// Executions asked for at once.
const PAGE: i32 = 5_000;
/// Executions remembered as missing; enough to know that something is very wrong.
const MISSING_MAX: usize = 5_000;

const BOOKED: Sql = Sql::new(
    "SELECT execution_id FROM execution WHERE execution_id IN (SELECT value FROM json_each($1))",
    "SELECT execution_id FROM execution WHERE execution_id = ANY($1)",
);
const ACCOUNT: Sql = Sql::same("SELECT account_id FROM trade WHERE trade_id = $1");

/// How far the venue's executions were compared.
#[derive(Debug, Default)]
pub(super) struct Venue {
    /// Every older one was looked for.
    after: i64,
    /// Those that were not in the books then, with their orders: what is still missing a round later is.
    missing: BTreeMap<String, String>,
}

impl Venue {
    /// Executions that are not in the books, after a round in which they could have come.
    pub(super) async fn missing(
        &mut self,
        (bus, books): (&Bus, &[Books]),
        fills_max: usize,
    ) -> anyhow::Result<Vec<Finding>> {
        let findings = self.still_missing(books).await?;
        let mut left = fills_max;
        while left > 0 {
            let asked = v1::VenueFillsQuestion { after: self.after, page_size: PAGE };
            let question =
                v1::GuardQuestion { question: Some(Question::VenueFills(asked)), ..v1::GuardQuestion::default() };
            let page = match ask(bus, &question).await? {
                Answer::VenueFills(page) => page,
                other @ (Answer::State(_)
                | Answer::Halt(_)
                | Answer::ReducePositions(_)
                | Answer::Flatten(_)
                | Answer::ShutdownAgent(_)
                | Answer::History(_)
                | Answer::ListLimits(_)
                | Answer::ProposeLimit(_)
                | Answer::ConfirmLimit(_)
                | Answer::ProposeReductionEnd(_)
                | Answer::ConfirmReductionEnd(_)
                | Answer::ProposeResume(_)
                | Answer::ConfirmResume(_)
                | Answer::Error(_)
                | Answer::ProposeBooking(_)
                | Answer::ConfirmBooking(_)
                | Answer::AccountViews(_)) => bail!("the guard answered something else: {other:?}"),
            };
            let late = now_micros() - LATE_MICROS;
            let fills = page.fills.into_iter().filter_map(|fill| Some((fill.fill?, fill.order_id)));
            let fills: Vec<_> = fills.collect();
            let due = fills.iter().take_while(|(fill, _)| fill.executed_at_micros <= late).count();
            let orders: BTreeMap<String, String> =
                fills.iter().take(due).map(|(fill, order)| (fill.execution_id.clone(), order.clone())).collect();
            let booked = booked(books, &orders).await?;
            let new = orders.into_iter().filter(|(id, _)| !booked.contains(id));
            self.missing.extend(new.take(MISSING_MAX.saturating_sub(self.missing.len())));
            self.after += i64::try_from(due)?;
            left = left.saturating_sub(due);
            if due < fills.len() || fills.is_empty() {
                break;
            }
        }
        Ok(findings)
    }

    async fn still_missing(&mut self, books: &[Books]) -> anyhow::Result<Vec<Finding>> {
        let booked = booked(books, &self.missing).await?;
        self.missing.retain(|id, _| !booked.contains(id));
        let mut findings = Vec::new();
        for (id, order) in &self.missing {
            let account = account_of(books, order).await?;
            let of = account.as_deref().unwrap_or("an account that is not known");
            let message = format!("the venue has executed {id} of order {order} for {of}, the books do not have it");
            findings.push(Finding::of_venue(id, account.as_deref(), message));
        }
        Ok(findings)
    }
}

async fn booked(books: &[Books], orders: &BTreeMap<String, String>) -> anyhow::Result<HashSet<String>> {
    let ids: Vec<String> = orders.keys().cloned().collect();
    let mut booked = HashSet::new();
    if !ids.is_empty() {
        for books in books {
            let rows: Vec<(String,)> = books.primary.rows(BOOKED, &[Arg::Texts(&ids)]).await?;
            booked.extend(rows.into_iter().map(|(id,)| id));
        }
    }
    Ok(booked)
}

/// Whose order it is: an order is named after its trade.
async fn account_of(books: &[Books], order_id: &str) -> anyhow::Result<Option<String>> {
    let trade_id = order_id.strip_suffix("-o").and_then(|trade_id| Uuid::try_parse(trade_id).ok());
    let Some(trade_id) = trade_id else { return Ok(None) };
    for books in books {
        let row: Option<(String,)> = books.primary.one(ACCOUNT, &[Arg::Uuid(trade_id)]).await?;
        if let Some((account_id,)) = row {
            return Ok(Some(account_id));
        }
    }
    Ok(None)
}
