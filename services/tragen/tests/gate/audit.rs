//! What was decided, told and booked, read from the bus.

use std::collections::{BTreeMap, BTreeSet};
use tragen_bus::{Bus, StartAt, Stream};
use tragen_contracts::v1::{self, journal_record::Kind};
use tragen_host::{Lifecycle, trace::Spans};

/// Everything that streams say of trades.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// How often each trade was approved.
    pub(crate) approvals: BTreeMap<String, usize>,
    /// Trades whose order was decided, one way or the other.
    pub(crate) orders_proposed: BTreeSet<String>,
    /// Every end that was told of each trade.
    pub(crate) ends: BTreeMap<String, BTreeSet<&'static str>>,
    /// Executions that were told.
    pub(crate) executions: BTreeSet<String>,
    /// Executions that the ledger has booked.
    pub(crate) booked: BTreeSet<String>,
}

impl Told {
    /// Reads all of it.
    pub(crate) async fn read(bus: &Bus) -> Self {
        let mut told = Self::default();
        each(bus, Stream::Journal, |batch: v1::JournalBatch| {
            for record in batch.records {
                let refused = matches!(&record.kind, Some(Kind::Refused(refused)) if refused.proposed.is_some());
                let approved = matches!(record.kind, Some(Kind::Approved(_)));
                let Some(key) = record.key.filter(|_| refused || approved) else { continue };
                if approved {
                    *told.approvals.entry(key.trade_id.clone()).or_default() += 1;
                }
                told.orders_proposed.insert(key.trade_id);
            }
        })
        .await;
        each(bus, Stream::Executions, |batch: v1::ExecutionBatch| {
            for report in batch.reports {
                let (Some(v1::execution_report::Kind::Trade(trade)), Some(key)) = (report.kind, report.key) else {
                    continue;
                };
                told.executions.extend(trade.fills.iter().map(|fill| fill.execution_id.clone()));
                if !matches!(trade.status(), v1::TradeStatus::Working | v1::TradeStatus::Pending) {
                    told.ends.entry(key.trade_id).or_default().insert(trade.status().as_str_name());
                }
            }
        })
        .await;
        each(bus, Stream::Ledger, |batch: v1::LedgerFactBatch| {
            for fact in batch.facts {
                if let Some(v1::ledger_fact::Kind::Trade(posted)) = fact.kind {
                    told.booked.extend(posted.execution_ids);
                }
            }
        })
        .await;
        told
    }
}

/// Takes every message that is there.
async fn each<M: prost::Message + Default>(bus: &Bus, stream: Stream, mut take: impl FnMut(M)) {
    let Some(newest) = bus.newest(stream).await.expect("a stream") else { return };
    let lifecycle = Lifecycle::new(1);
    let context = lifecycle.context("audit", Spans::default());
    let mut messages = bus.follow(&context, stream, "", StartAt::Beginning).await.expect("a stream");
    loop {
        let message = messages.next().await.expect("a running bus");
        take(M::decode(message.payload).expect("a message"));
        if message.sequence >= newest {
            return;
        }
    }
}
