//! What a move books: for each wallet a posting on both sides, equal but for
//! their direction, with the positions in its currency.

use crate::{
    batch::{
        chain,
        posting::{Reference, count, transfer_rows},
    },
    store::{
        moving::Holdings,
        rows::{BatchRow, MovedPositionRow, MovedWalletRow, PositionRow, ShardRow, TransferRow, WalletRow},
    },
};
use std::collections::BTreeMap;
use tragen_domain::{
    id::{AccountId, Currency, IdError},
    ledger::{LedgerError, MoveDirection, post_moved},
};
use uuid::Uuid;

/// Why what an account holds cannot be moved; the books are not what they should be then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMovable {
    /// A stored name is none.
    #[error("a stored name is not valid")]
    Name(#[from] IdError),
    /// A stored wallet cannot be.
    #[error("a stored wallet cannot be moved")]
    Wallet(#[from] LedgerError),
    /// A position without the wallet it was paid from.
    #[error("account {account_id} holds {instrument_id} but has no wallet in {currency}")]
    NoWallet {
        /// The account.
        account_id: String,
        /// What it holds.
        instrument_id: String,
        /// The position's currency.
        currency: String,
    },
}

/// Which half of which move is booked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Half {
    /// The slot.
    pub(super) slot: u16,
    /// The shard that books.
    pub(super) own: u16,
    /// The other one.
    pub(super) peer: u16,
    /// Whether `own` is where it arrives.
    pub(super) direction: MoveDirection,
    /// When, microseconds since the epoch.
    pub(super) at: i64,
}

/// The rows of one half.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) wallets: Vec<MovedWalletRow>,
    pub(super) positions: Vec<MovedPositionRow>,
    pub(super) transfers: Vec<TransferRow>,
    /// `None` if every wallet was empty.
    pub(super) batch: Option<BatchRow>,
}

/// The transfers of a wallet that left the shard `own` or came to it, numbered
/// from `first`. Both shards give them the same reference.
pub(crate) fn transfers_of(row: &MovedWalletRow, own: u16, first: i64) -> Result<Vec<TransferRow>, NotMovable> {
    let peer = u16::try_from(row.peer_shard).unwrap_or(u16::MAX);
    let (direction, route) = match row.is_inbound {
        true => (MoveDirection::In, (peer, own)),
        false => (MoveDirection::Out, (own, peer)),
    };
    let (account, currency) = (AccountId::new(&row.account_id)?, Currency::new(&row.currency)?);
    let transfers = post_moved(&account, &currency, wallet_of(row).wallet(), route, direction)?;
    let reference = Reference {
        account_id: &row.account_id,
        reference_id: move_id(row.slot, route, (&row.account_id, &row.currency), row.version),
        posting_sequence: row.posting_sequence,
        posted_at: row.posted_at,
    };
    Ok(transfer_rows(transfers, first, reference))
}

/// What the transfers of both halves of a wallet's move refer to.
pub(crate) fn move_id(slot: i64, (from, to): (u16, u16), (account_id, currency): (&str, &str), version: i64) -> Uuid {
    let name = format!("moved/{slot}/{from}-{to}/{account_id}/{currency}/{version}");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// The wallet as it was moved.
pub(crate) fn wallet_of(row: &MovedWalletRow) -> WalletRow {
    WalletRow {
        account_id: row.account_id.clone(),
        currency: row.currency.clone(),
        cash: row.cash,
        margin: row.margin,
        version: row.version,
        is_frozen: row.is_frozen,
    }
}

/// Books one half of a move after everything in `shard`, which follows.
pub(super) fn post(holdings: &Holdings, shard: &mut ShardRow, half: Half) -> Result<Moved, NotMovable> {
    let mut positions: BTreeMap<(&str, &str), Vec<&PositionRow>> = BTreeMap::new();
    for row in &holdings.positions {
        positions.entry((&row.account_id, &row.currency)).or_default().push(row);
    }
    let mut moved = Moved::default();
    for row in &holdings.wallets {
        shard.posting_sequence += 1;
        let wallet = moved_wallet(row, shard.posting_sequence, half);
        let transfers = transfers_of(&wallet, half.own, shard.transfer_sequence + 1)?;
        shard.transfer_sequence += count(transfers.len());
        moved.transfers.extend(transfers);
        let own = positions.remove(&(row.account_id.as_str(), row.currency.as_str()));
        moved.positions.extend(own.into_iter().flatten().map(|row| moved_position(row, wallet.posting_sequence)));
        moved.wallets.push(wallet);
    }
    if let Some(row) = positions.into_values().flatten().next() {
        return Err(NotMovable::NoWallet {
            account_id: row.account_id.clone(),
            instrument_id: row.instrument_id.clone(),
            currency: row.currency.clone(),
        });
    }
    moved.batch = link(shard, &moved.transfers, half.at);
    if !moved.wallets.is_empty() {
        shard.posted_at = half.at;
    }
    Ok(moved)
}

fn moved_wallet(row: &WalletRow, posting_sequence: i64, half: Half) -> MovedWalletRow {
    MovedWalletRow {
        posting_sequence,
        is_inbound: half.direction == MoveDirection::In,
        slot: half.slot.into(),
        peer_shard: half.peer.into(),
        account_id: row.account_id.clone(),
        currency: row.currency.clone(),
        cash: row.cash,
        margin: row.margin,
        version: row.version,
        is_frozen: row.is_frozen,
        posted_at: half.at,
    }
}

fn moved_position(row: &PositionRow, posting_sequence: i64) -> MovedPositionRow {
    MovedPositionRow {
        posting_sequence,
        account_id: row.account_id.clone(),
        instrument_id: row.instrument_id.clone(),
        currency: row.currency.clone(),
        style: row.style,
        quantity: row.quantity,
        entry_notional: row.entry_notional,
        margin: row.margin,
        realized_pnl: row.realized_pnl,
        fees: row.fees,
        account_version: row.account_version,
    }
}

/// The next link of the hash chain.
fn link(shard: &mut ShardRow, transfers: &[TransferRow], posted_at: i64) -> Option<BatchRow> {
    let (first, last) = (transfers.first()?, transfers.last()?);
    let hash = chain(&shard.head_hash, transfers);
    shard.batch_sequence += 1;
    Some(BatchRow {
        sequence: shard.batch_sequence,
        first_transfer: first.sequence,
        last_transfer: last.sequence,
        previous_hash: std::mem::replace(&mut shard.head_hash, hash.clone()),
        hash,
        posted_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holdings() -> Holdings {
        let wallet = |account_id: &str, cash, margin| WalletRow {
            account_id: account_id.to_owned(),
            currency: "USD".to_owned(),
            cash,
            margin,
            version: 7,
            is_frozen: false,
        };
        let position = PositionRow {
            account_id: "alice".to_owned(),
            instrument_id: "BTCUSD".to_owned(),
            currency: "USD".to_owned(),
            quantity: 3,
            ..PositionRow::default()
        };
        Holdings { wallets: vec![wallet("alice", 10, 5), wallet("bob", 0, 0)], positions: vec![position] }
    }

    fn position_of(row: &MovedPositionRow) -> PositionRow {
        PositionRow {
            account_id: row.account_id.clone(),
            instrument_id: row.instrument_id.clone(),
            currency: row.currency.clone(),
            style: row.style,
            quantity: row.quantity,
            entry_notional: row.entry_notional,
            margin: row.margin,
            realized_pnl: row.realized_pnl,
            fees: row.fees,
            account_version: row.account_version,
        }
    }

    fn half(own: u16, peer: u16, direction: MoveDirection) -> Half {
        Half { slot: 9, own, peer, direction, at: 50 }
    }

    #[test]
    fn both_halves_are_equal_but_for_their_direction() {
        let (mut source, mut target) = (ShardRow { posting_sequence: 4, ..ShardRow::default() }, ShardRow::default());
        let out = post(&holdings(), &mut source, half(0, 3, MoveDirection::Out)).expect("booked");
        let into = post(&holdings(), &mut target, half(3, 0, MoveDirection::In)).expect("booked");
        assert_eq!((source.posting_sequence, target.posting_sequence, target.posted_at), (6, 2, 50));
        assert_eq!((source.transfer_sequence, target.batch_sequence), (2, 1));
        let sides = |moved: &Moved| -> Vec<_> {
            let side = |row: &TransferRow| (row.debit_account.clone(), row.credit_account.clone(), row.amount);
            moved.transfers.iter().map(side).collect()
        };
        let turned = |(debit, credit, amount)| (credit, debit, amount);
        assert_eq!(sides(&out), sides(&into).into_iter().map(turned).collect::<Vec<_>>());
        assert_eq!(sides(&out)[0], ("wallet/alice/USD".to_owned(), "between/0-3/USD".to_owned(), 10));
        let references = |moved: &Moved| moved.transfers.iter().map(|row| row.reference_id).collect::<Vec<_>>();
        assert_eq!(references(&out), references(&into));
        assert_eq!(into.wallets.iter().map(wallet_of).collect::<Vec<_>>(), holdings().wallets);
        assert_eq!(into.positions.iter().map(position_of).collect::<Vec<_>>(), holdings().positions);
        assert_eq!(out.batch.map(|batch| batch.hash), Some(source.head_hash));
    }

    #[test]
    fn a_position_without_a_wallet_stays_where_it_is() {
        let mut held = holdings();
        held.wallets.remove(0);
        let refused = post(&held, &mut ShardRow::default(), half(0, 1, MoveDirection::Out));
        assert!(matches!(refused, Err(NotMovable::NoWallet { instrument_id, .. }) if instrument_id == "BTCUSD"));
    }
}
