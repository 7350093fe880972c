//! What a wallet's cash was noted as, where statements begin to add up: each
//! note must be what the wallet held after its transfer. That a note is missing
//! is no harm: a statement adds up a little more.

use super::{
    Found, bad,
    read::{Snapshot, Stream},
    record::Noted,
    replay::Replay,
};

/// The notes of a shard, in the order of their transfers.
pub(super) struct Notes(Stream<Noted<'static>>);

impl Notes {
    /// Those made after the transfer and the time given.
    pub(super) fn after(transfer: i64, at: i64, snapshot: &mut Snapshot) -> anyhow::Result<Self> {
        let which = format!(
            "WHERE sequence > {transfer} OR sequence = {transfer} AND posted_at > {at} ORDER BY sequence, posted_at"
        );
        Ok(Self(snapshot.scan(&which)?))
    }

    /// Compares the notes made with the posting just booked.
    pub(super) fn check(&mut self, replay: &Replay<'_>) -> Result<(), Found> {
        let (transfer, at) = (replay.chain.transfer(), replay.last.1);
        while let Some(sequence) = self.0.key()?.filter(|sequence| *sequence <= transfer) {
            let is_now = sequence == transfer && self.0.peek(|row| row.posted_at == at)? == Some(true);
            if !is_now {
                // A later posting that moves nothing may have made it.
                return if sequence == transfer { Ok(()) } else { self.end() };
            }
            let Some(row) = self.0.next()? else { break };
            let held = replay.books.find_wallet(row.account_id, row.currency).map(|wallet| wallet.cash.micros());
            if held != Some(row.cash) {
                return Err(bad("cash_checkpoint", key(&row), format!("is {}, the wallet held {held:?}", row.cash)));
            }
        }
        Ok(())
    }

    /// None may be left.
    pub(super) fn end(&mut self) -> Result<(), Found> {
        match self.0.next()? {
            Some(row) => Err(bad("cash_checkpoint", key(&row), "nothing was posted then and there")),
            None => Ok(()),
        }
    }
}

fn key(row: &Noted<'_>) -> String {
    format!("{}/{}/{}", row.account_id, row.currency, row.sequence)
}
