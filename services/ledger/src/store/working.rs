//! Which trades still work, for a gate that has lost its journal.

use super::{
    Books, Keys, Known, StoreError, around,
    rows::TradeRow,
    session::{Arg, Sql},
};
use uuid::Uuid;

/// 2 is `TradeStatus::Working`, written out so that the index of those that work is used.
const WORKING: Sql = Sql::same("SELECT * FROM trade WHERE status = 2 AND trade_id > $1 ORDER BY trade_id LIMIT $2");
const ANY: Sql = Sql::same("SELECT trade_id FROM trade LIMIT 1");

impl Books {
    /// The trades after `after` that work, at most `limit`, with what belongs to them.
    pub(crate) async fn working(&self, after: Uuid, limit: i64) -> Result<Known, StoreError> {
        let trades: Vec<TradeRow> = self.primary.rows(WORKING, &[Arg::Uuid(after), Arg::Int(limit)]).await?;
        around(&self.primary, trades, Vec::new(), Keys::default()).await
    }

    /// Whether there is any trade.
    pub(crate) async fn has_trades(&self) -> Result<bool, StoreError> {
        let any: Option<(Uuid,)> = self.primary.one(ANY, &[]).await?;
        Ok(any.is_some())
    }
}
