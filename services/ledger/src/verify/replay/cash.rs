//! Cash outside of trading, booked again: every kind of it, and what is denied.

use super::{Replay, bad};
use crate::{
    batch::{
        cash::transfer_of,
        posting::{cash_correction_id, execution_correction_id},
    },
    intake::arrival_id,
    store::{
        rows::CashRow,
        session::{Arg, Sql},
    },
    verify::{
        Found,
        books::Name,
        chain::Posted,
        crossing::{Details, Mark, Side},
        read::Snapshot,
        record::Cash,
    },
};
use tragen_contracts::{trade_id, v1::CashKind};
use tragen_domain::{
    id::IdError,
    ledger::{
        CashPosting, LedgerAccount, LedgerError, Transfer, Wallet, post_adjustment, post_deposit, post_received,
        post_reversal, post_sent, post_unfreezing, post_withdrawal,
    },
    money::Money,
};
use uuid::Uuid;

const MOVEMENT: Sql = Sql::same("SELECT * FROM cash_movement WHERE trade_id = $1");

/// What a row does to its wallet.
struct Moved {
    wallet: Wallet,
    transfer: Option<Transfer>,
}

impl Replay<'_> {
    /// Books cash outside of trading.
    pub(in crate::verify) fn cash(&mut self, row: &Cash<'_>, snapshot: &mut Snapshot) -> Result<(), Found> {
        let wrong = |problem: String| bad("cash_movement", row.trade_id, problem);
        let kind = CashKind::try_from(row.kind).unwrap_or_default();
        let takes_back_a_fill = kind == CashKind::Correction && !is_denied(row, kind) && !is_about_cash(row);
        if !takes_back_a_fill {
            self.nothing_open()?;
        }
        let sequence = self.advance(("cash_movement", &row.trade_id), row.posted_at)?;
        self.told(("cash_movement", &row.trade_id), row.fact_sequence)?;
        self.counted.cash_movements += 1;
        if let Some(problem) = problem_of(row, kind) {
            return Err(wrong(problem));
        }
        let id = |error: IdError| wrong(error.to_string());
        let account = self.books.accounts.name(row.account_id).map_err(id)?;
        let currency = self.books.currencies.name(row.currency).map_err(id)?;
        let before = self.books.wallet(account, currency);
        let moved = if is_denied(row, kind) {
            Moved { wallet: before, transfer: None }
        } else if takes_back_a_fill {
            self.take_reversal(row, (account, currency))?;
            Moved { wallet: before, transfer: None }
        } else {
            self.booked(row, kind, (account, currency), snapshot)?
        };
        let after = Wallet {
            cash: Money::from_micros(row.cash_after),
            margin: Money::from_micros(row.margin_after),
            version: row.version_after,
            is_frozen: row.is_frozen_after,
        };
        if after != moved.wallet {
            return Err(wrong(format!("it says {after:?} afterwards, should be {:?}", moved.wallet)));
        }
        let posted = Posted { account_id: row.account_id, sequence, at: row.posted_at, reference_id: row.trade_id };
        self.chain.take(moved.transfer.as_slice(), posted)?;
        if moved.wallet != before {
            self.books.wallets.insert((account, currency), moved.wallet);
        }
        if !is_denied(row, kind) && matches!(kind, CashKind::Sent | CashKind::Received) {
            self.cross(row, kind, moved.transfer.as_ref(), sequence);
        }
        Ok(())
    }

    /// What the rules say about a row that is not denied.
    fn booked(
        &mut self,
        row: &Cash<'_>,
        kind: CashKind,
        (account, currency): (Name, Name),
        snapshot: &mut Snapshot,
    ) -> Result<Moved, Found> {
        let wrong = |problem: String| bad("cash_movement", row.trade_id, problem);
        let wallet = self.books.wallet(account, currency);
        let amount = Money::from_micros(row.amount);
        let given = Money::from_micros(row.amount.saturating_neg());
        let route = self.route(row, kind)?;
        let (account, currency) = (self.books.account(account), self.books.currency(currency));
        let posting: Result<CashPosting, LedgerError> = match kind {
            CashKind::Deposit => post_deposit(account, currency, wallet, amount),
            CashKind::Withdrawal => post_withdrawal(account, currency, wallet, given),
            CashKind::Sent => post_sent(account, route, currency, wallet, given),
            CashKind::Received => post_received(account, route, currency, wallet, amount),
            CashKind::Adjustment => post_adjustment(account, currency, wallet, amount),
            CashKind::Unfreezing => {
                let wallet = post_unfreezing(wallet).map_err(|error| wrong(error.to_string()))?;
                return Ok(Moved { wallet, transfer: None });
            }
            CashKind::Correction => {
                let original = original_of(row, snapshot)?;
                let of = original.filter(|of| {
                    let is_earlier = of.posting_sequence < row.posting_sequence;
                    is_earlier
                        && of.account_id == row.account_id
                        && of.currency == row.currency
                        && of.amount == given.micros()
                });
                let of = of.ok_or_else(|| wrong(format!("there is no such movement {} to reverse", row.reverses)))?;
                transfer_of(&of, account, currency).and_then(|of| post_reversal(account, currency, wallet, &of))
            }
            CashKind::Unspecified => return Err(wrong(format!("{} is no kind of it", row.kind))),
        };
        let posting = posting.map_err(|error| wrong(error.to_string()))?;
        Ok(Moved { wallet: posting.wallet, transfer: Some(posting.transfer) })
    }

    /// From which shard to which the money of the row goes; the same shard for all that goes to no other account.
    fn route(&mut self, row: &Cash<'_>, kind: CashKind) -> Result<(u16, u16), Found> {
        if !matches!(kind, CashKind::Sent | CashKind::Received) {
            return Ok((self.number, self.number));
        }
        let unknown = || bad("cash_movement", row.trade_id, format!("there is no shard {}", row.counterparty_shard));
        let peer = u16::try_from(row.counterparty_shard).map_err(|_| unknown())?;
        if kind == CashKind::Sent {
            return Ok((self.number, peer));
        }
        // The sender's shard knew where the account was kept then; it may have moved since.
        let between = self.chain.next_debit()?.unwrap_or_default();
        let to = between.strip_prefix(&format!("between/{peer}-")).and_then(|rest| rest.split('/').next());
        Ok((peer, to.and_then(|to| to.parse().ok()).unwrap_or(self.number)))
    }

    /// The posting before this one took the fill back that this row is about.
    fn take_reversal(&mut self, row: &Cash<'_>, (account, currency): (Name, Name)) -> Result<(), Found> {
        let is_same = self.reversal.take().is_some_and(|open| {
            open.reverses == row.reverses
                && (open.account, open.currency, open.cash_change) == (account, currency, row.amount)
        });
        let problem = || bad("cash_movement", row.trade_id, format!("it did not take back {}", row.reverses));
        if is_same { Ok(()) } else { Err(problem()) }
    }

    /// Remembers what is sent or received until the other side is seen.
    fn cross(&mut self, row: &Cash<'_>, kind: CashKind, transfer: Option<&Transfer>, sequence: i64) {
        let shard = self.number;
        let peer = u16::try_from(row.counterparty_shard).unwrap_or_default();
        let side = |(from, to), account: Option<&LedgerAccount>| Side {
            shard,
            posting: sequence,
            from,
            to,
            between: account.map(ToString::to_string).unwrap_or_default(),
            amount: row.amount.saturating_abs(),
            table: "cash_movement",
            key: row.trade_id.to_string(),
        };
        if kind == CashKind::Sent {
            self.crossing.give(sent_mark(row), || side((shard, peer), transfer.map(|transfer| &transfer.credit)));
        } else {
            self.crossing.receive(received_mark(row), || side((peer, shard), transfer.map(|transfer| &transfer.debit)));
        }
    }
}

/// What is sent, as its sender tells it.
pub(in crate::verify) fn sent_mark(row: &Cash<'_>) -> Mark {
    mark(arrival_id(row.trade_id), row.account_id, row.counterparty_account_id, row)
}

fn received_mark(row: &Cash<'_>) -> Mark {
    mark(row.trade_id, row.counterparty_account_id, row.account_id, row)
}

fn mark(arrival: Uuid, from: &str, to: &str, row: &Cash<'_>) -> Mark {
    Details::default().uuid(arrival).text(from).text(to).text(row.currency).int(row.amount.saturating_abs()).mark()
}

/// Whether the row says why nothing happened. A denial without a code asked for something and moved nothing.
fn is_denied(row: &Cash<'_>, kind: CashKind) -> bool {
    row.denial_code != 0 || row.amount == 0 && row.requested != 0 && kind != CashKind::Unfreezing
}

/// Whether a correction takes back a movement of cash rather than a fill.
fn is_about_cash(row: &Cash<'_>) -> bool {
    Uuid::try_parse(row.reverses).is_ok_and(|reference| row.trade_id == cash_correction_id(&reference))
}

fn original_of(row: &Cash<'_>, snapshot: &mut Snapshot) -> Result<Option<CashRow>, Found> {
    let Ok(reference) = Uuid::try_parse(row.reverses) else { return Ok(None) };
    Ok(snapshot.rows(MOVEMENT, &[Arg::Uuid(reference)])?.pop())
}

/// What is wrong with a row by itself.
fn problem_of(row: &Cash<'_>, kind: CashKind) -> Option<String> {
    if !is_id_of(row, kind) {
        return Some("its id is not that of what was asked for".to_owned());
    }
    let denied = is_denied(row, kind);
    if denied && row.amount != 0 {
        return Some("it is denied but moves money".to_owned());
    }
    if !denied && row.amount != row.requested {
        return Some(format!("it moves {}, not the {} asked for", row.amount, row.requested));
    }
    let says_why =
        row.denial_code != 0 || !row.denial_message.is_empty() || row.denial_limit != 0 || row.denial_observed != 0;
    if !denied && says_why {
        return Some("it is not denied but says why".to_owned());
    }
    let is_by_hand = matches!(kind, CashKind::Adjustment | CashKind::Correction | CashKind::Unfreezing);
    let (first, second) = (row.proposed_by, row.confirmed_by);
    let is_signed = !second.is_empty() && first != second;
    let is_unsigned = first.is_empty() && second.is_empty() && row.reason.is_empty();
    if if is_by_hand { !is_signed } else { !is_unsigned } {
        return Some("who asked for it and why does not go with its kind".to_owned());
    }
    let has_peer = matches!(kind, CashKind::Sent | CashKind::Received);
    if has_peer == row.counterparty_account_id.is_empty() || has_peer != (row.counterparty_shard >= 0) {
        return Some("its counterparty does not go with its kind".to_owned());
    }
    let is_out = matches!(kind, CashKind::Withdrawal | CashKind::Sent) && row.requested >= 0;
    let is_in = matches!(kind, CashKind::Deposit | CashKind::Received) && row.requested <= 0;
    if is_out || is_in || kind == CashKind::Unfreezing && row.requested != 0 {
        return Some(format!("{} does not go with its kind", row.requested));
    }
    let is_correction = kind == CashKind::Correction;
    (is_correction == row.reverses.is_empty()).then(|| "what it reverses does not go with its kind".to_owned())
}

/// Whether the row's id follows from what was asked for.
fn is_id_of(row: &Cash<'_>, kind: CashKind) -> bool {
    let asked = || trade_id(row.account_id, row.request_id);
    let named = |account_id: &str, kind: &str| trade_id(account_id, &format!("{kind}/{}", row.request_id));
    match kind {
        CashKind::Deposit => row.trade_id == named(row.account_id, "deposit"),
        CashKind::Withdrawal => row.trade_id == named(row.account_id, "withdrawal") || row.trade_id == asked(),
        CashKind::Sent => row.trade_id == named(row.account_id, "send") || row.trade_id == asked(),
        CashKind::Received => {
            let sender = row.counterparty_account_id;
            [named(sender, "send"), trade_id(sender, row.request_id)].map(arrival_id).contains(&row.trade_id)
        }
        // What happened once has the name of what it takes back.
        CashKind::Correction if !is_denied(row, kind) => {
            is_about_cash(row) || row.trade_id == execution_correction_id(row.reverses)
        }
        // A booking is asked for by its own name.
        CashKind::Adjustment | CashKind::Unfreezing | CashKind::Correction => {
            Uuid::try_parse(row.request_id) == Ok(row.trade_id) || row.trade_id == asked()
        }
        CashKind::Unspecified => false,
    }
}
