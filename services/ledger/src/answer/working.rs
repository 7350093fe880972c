//! All trades that work, page by page, over all shards: a gate that has lost its journal brings them to an end.

use super::{
    Answers,
    all_shards::{PAGE_ATTEMPTS_MAX, keeper, moving},
    invalid, unavailable,
};
use crate::facts;
use tragen_contracts::{
    convert::InvalidField,
    v1::{self, ledger_answer::Answer},
};
use uuid::Uuid;

/// Most trades of a page.
const PAGE_MAX: usize = 1_000;

impl Answers {
    /// A page of the trades that work. None may be missing, so it is read anew when slots have moved meanwhile, and
    /// needs every shard.
    pub(super) async fn working_trades(&self, page: &v1::WorkingTradesQuestion) -> Result<Answer, v1::AskError> {
        let after = match page.after_trade_id.as_str() {
            "" => Uuid::nil(),
            after => Uuid::try_parse(after)
                .map_err(|_| invalid(&InvalidField::new("after_trade_id", "NOT_A_UUID", "is no id of a trade")))?,
        };
        let size = usize::try_from(page.page_size).ok().filter(|size| *size > 0).map_or(PAGE_MAX, |s| s.min(PAGE_MAX));
        for _ in 0..PAGE_ATTEMPTS_MAX {
            let slots = self.all_slots().await?;
            let answer = self.read_working_trades(after, size, &slots).await?;
            if slots == self.all_slots().await? {
                return Ok(Answer::WorkingTrades(answer));
            }
        }
        Err(moving())
    }

    async fn read_working_trades(
        &self,
        after: Uuid,
        size: usize,
        slots: &[crate::slot::Slots],
    ) -> Result<v1::WorkingTrades, v1::AskError> {
        let mut page = v1::WorkingTrades::default();
        let mut listed: Vec<(Uuid, v1::LedgerFact)> = Vec::new();
        // Beyond it a shard may have trades that were not read.
        let mut horizon: Option<Uuid> = None;
        let limit = i64::try_from(size).unwrap_or(i64::MAX);
        for (place, books) in self.books.iter().enumerate() {
            page.has_trades = page.has_trades || books.has_trades().await.map_err(unavailable)?;
            let mut known = books.working(after, limit).await.map_err(unavailable)?;
            let last = known.trades.iter().map(|row| row.trade_id).max();
            if known.trades.len() >= size && last.is_some() {
                horizon = horizon.map_or(last, |horizon| last.map(|last| last.min(horizon)));
            }
            let mut own = Vec::with_capacity(known.trades.len());
            for row in std::mem::take(&mut known.trades) {
                // What has left with its slot stays behind as history, and works for ever there.
                if slots.is_empty() || keeper(slots, &row.account_id)? == Some(place) {
                    own.push(row);
                }
            }
            known.trades = own;
            listed.extend(facts::of_known(books.shard, known).into_iter().filter_map(|fact| {
                let Some(v1::ledger_fact::Kind::Trade(posted)) = &fact.kind else { return None };
                let id = Uuid::try_parse(&posted.trade.as_ref()?.trade_id).ok()?;
                Some((id, fact))
            }));
        }
        listed.sort_by_key(|(id, _)| *id);
        listed.retain(|(id, _)| horizon.is_none_or(|horizon| *id <= horizon));
        if listed.len() > size {
            listed.truncate(size);
            horizon = listed.last().map(|(id, _)| *id);
        }
        page.next_trade_id = horizon.map(|id| id.to_string()).unwrap_or_default();
        page.facts = listed.into_iter().map(|(_, fact)| fact).collect();
        Ok(page)
    }
}
