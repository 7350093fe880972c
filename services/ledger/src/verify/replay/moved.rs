//! Wallets that left with their slot, or came with it: a wallet that leaves
//! takes its positions along and is gone; one that comes is what it was there.

use super::{Replay, bad};
use crate::{
    move_slot::posting::move_id,
    verify::{
        Found,
        books::{Held, Name},
        chain::Posted,
        crossing::{Details, MOVED_WALLET, Mark, Side},
        read::Stream,
        record::{MovedPosition, MovedWallet},
    },
};
use tragen_domain::{
    id::IdError,
    ledger::{LedgerAccount, MoveDirection, Wallet, post_moved},
    money::{Money, Quantity},
    position::Position,
};

impl Replay<'_> {
    /// Books a wallet that left or came, with the positions beside it.
    pub(in crate::verify) fn moved_wallet(
        &mut self,
        row: &MovedWallet<'_>,
        positions: &mut Stream<MovedPosition<'static>>,
    ) -> Result<(), Found> {
        let wrong = |problem: String| bad("moved_wallet", row.posting_sequence, problem);
        self.nothing_open()?;
        let sequence = self.advance(("moved_wallet", &row.posting_sequence), row.posted_at)?;
        self.counted.moved_wallets += 1;
        let id = |error: IdError| wrong(error.to_string());
        let account = self.books.accounts.name(row.account_id).map_err(id)?;
        let currency = self.books.currencies.name(row.currency).map_err(id)?;
        if i64::from(crate::slot::slot_of(row.account_id)) != row.slot {
            return Err(wrong(format!("the account is not in slot {}", row.slot)));
        }
        let unknown = |_| wrong(format!("there is no shard {}", row.peer_shard));
        let peer = u16::try_from(row.peer_shard).map_err(unknown)?;
        let wallet = Wallet {
            cash: Money::from_micros(row.cash),
            margin: Money::from_micros(row.margin),
            version: row.version,
            is_frozen: row.is_frozen,
        };
        let known = self.books.wallets.get(&(account, currency)).copied();
        let (route, direction) = if row.is_inbound {
            ((peer, self.number), MoveDirection::In)
        } else {
            ((self.number, peer), MoveDirection::Out)
        };
        match direction {
            MoveDirection::Out if known != Some(wallet) => {
                return Err(wrong(format!("it took {wallet:?} away, the wallet was {known:?}")));
            }
            MoveDirection::In if known.is_some() => return Err(wrong("the wallet was here already".to_owned())),
            MoveDirection::Out => {
                self.books.wallets.remove(&(account, currency));
            }
            MoveDirection::In => {
                self.books.wallets.insert((account, currency), wallet);
            }
        }
        let (account_id, currency_id) = (self.books.account(account), self.books.currency(currency));
        let transfers = post_moved(account_id, currency_id, wallet, route, direction);
        let transfers = transfers.map_err(|error| wrong(error.to_string()))?;
        let between = LedgerAccount::Between { from: route.0, to: route.1, currency: currency_id.clone() };
        let reference_id = move_id(row.slot, route, (row.account_id, row.currency), row.version);
        let posted = Posted { account_id: row.account_id, sequence, at: row.posted_at, reference_id };
        self.chain.take(&transfers, posted)?;
        let mut details = wallet_details(row, route);
        while positions.key()? == Some(sequence) {
            let Some(position) = positions.next()? else { break };
            self.moved_position(&position, (account, currency), direction)?;
            details = with_position(details, &position);
        }
        let side = || Side {
            shard: self.number,
            posting: sequence,
            from: route.0,
            to: route.1,
            between: between.to_string(),
            amount: row.cash.saturating_add(row.margin),
            table: MOVED_WALLET,
            key: sequence.to_string(),
        };
        match direction {
            MoveDirection::Out => self.crossing.give(details.mark(), side),
            MoveDirection::In => self.crossing.receive(details.mark(), side),
        }
        Ok(())
    }

    fn moved_position(
        &mut self,
        row: &MovedPosition<'_>,
        (account, wallet_currency): (Name, Name),
        direction: MoveDirection,
    ) -> Result<(), Found> {
        let key = || format!("{}/{}/{}", row.posting_sequence, row.account_id, row.instrument_id);
        let wrong = |problem: String| bad("moved_position", key(), problem);
        let id = |error: IdError| wrong(error.to_string());
        let instrument = self.books.instruments.name(row.instrument_id).map_err(id)?;
        let currency = self.books.currencies.name(row.currency).map_err(id)?;
        if self.books.accounts.find(row.account_id) != Some(account) || currency != wallet_currency {
            return Err(wrong("it is not of the wallet that moved".to_owned()));
        }
        let held = Held {
            currency,
            style: row.style,
            position: Position {
                quantity: Quantity::from_micros(row.quantity),
                entry_notional: Money::from_micros(row.entry_notional),
                margin: Money::from_micros(row.margin),
                realized_pnl: Money::from_micros(row.realized_pnl),
                fees: Money::from_micros(row.fees),
            },
            account_version: row.account_version,
        };
        let known = match direction {
            MoveDirection::Out => self.books.positions.remove(&(account, instrument)),
            MoveDirection::In => self.books.positions.insert((account, instrument), held),
        };
        match direction {
            MoveDirection::Out if known != Some(held) => {
                Err(wrong(format!("it took {held:?} away, the position was {known:?}")))
            }
            MoveDirection::In if known.is_some() => Err(wrong("the position was here already".to_owned())),
            MoveDirection::Out | MoveDirection::In => Ok(()),
        }
    }
}

fn wallet_details(row: &MovedWallet<'_>, route: (u16, u16)) -> Details {
    let details = Details::default().int(row.slot).int(route.0.into()).int(route.1.into());
    let details = details.text(row.account_id).text(row.currency).int(row.cash).int(row.margin);
    details.int(row.version).int(row.is_frozen.into())
}

fn with_position(details: Details, row: &MovedPosition<'_>) -> Details {
    let details = details.text(row.instrument_id).text(row.currency).int(row.style.into());
    let details = details.int(row.quantity).int(row.entry_notional).int(row.margin);
    details.int(row.realized_pnl).int(row.fees).int(row.account_version)
}

/// The marks of what left the shard `number` or came to it, with the rows of both tables.
pub(in crate::verify) fn moved_marks(
    number: u16,
    wallets: &mut Stream<MovedWallet<'static>>,
    positions: &mut Stream<MovedPosition<'static>>,
) -> Result<Vec<Mark>, Found> {
    let mut marks = Vec::new();
    while let Some(row) = wallets.next()? {
        let peer = u16::try_from(row.peer_shard).unwrap_or_default();
        let mut details = wallet_details(&row, if row.is_inbound { (peer, number) } else { (number, peer) });
        while positions.key()? == Some(row.posting_sequence) {
            let Some(position) = positions.next()? else { break };
            details = with_position(details, &position);
        }
        marks.push(details.mark());
    }
    Ok(marks)
}
