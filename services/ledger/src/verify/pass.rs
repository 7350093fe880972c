//! One pass over the books of a shard: its postings in their order, beside them
//! its trades, and at the end everything that follows from both.

use super::{
    Found, bad,
    books::Books,
    chain::Chain,
    checkpoint::{Checkpoint, Stand, TradesVerified, Verified},
    crossing::Crossing,
    holdings::{check_positions, check_wallets},
    markets,
    notes::Notes,
    read::{Snapshot, Stream},
    record::{Cash, Execution, FillTotals, MovedPosition, MovedWallet, Payout, Trade},
    replay::Replay,
    seals::Sums,
    sequence::{Added, Sequence},
    slots::{self, Kept},
    trades::{Kin, Part, Trades},
};
use crate::{
    config::ShardConfig,
    store::{
        rows::{ExecutionRow, SettlementRow, ShardRow, SlotRow, TradeRow},
        session::{Arg, Sql},
    },
};
use std::{collections::HashMap, path::Path};
use tokio::runtime::Handle;
use uuid::Uuid;

/// Postings between two looks at the trades, and at whether to go on.
const STEP: i64 = 256;
/// Trades looked up at once.
const LOOKUP_MAX: usize = 500;

const SLOT_ROWS: Sql = Sql::same("SELECT * FROM slot ORDER BY slot");
const TRADES: Sql = Sql::new(
    "SELECT * FROM trade WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT * FROM trade WHERE trade_id = ANY($1)",
);
const EXECUTIONS_OF: Sql = Sql::new(
    "SELECT * FROM execution WHERE reverses = '' AND trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT * FROM execution WHERE reverses = '' AND trade_id = ANY($1)",
);

/// What is handed from shard to shard.
pub(super) struct Tour<'a> {
    pub(super) handle: Handle,
    pub(super) checkpoint: Checkpoint,
    pub(super) crossing: Crossing,
    /// Where the checkpoint is kept, and after how many postings it is written.
    pub(super) state: Option<(&'a Path, i64)>,
    /// Hears how many more transfers are verified; an error ends the pass.
    pub(super) progress: &'a mut dyn FnMut(u16, u64) -> anyhow::Result<()>,
    pub(super) counts: Counts,
}

/// Rows compared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) transfers: u64,
    pub(super) executions: u64,
    pub(super) cash_movements: u64,
    pub(super) payouts: u64,
    pub(super) moved_wallets: u64,
    pub(super) batches: u64,
    pub(super) wallets: u64,
    pub(super) positions: u64,
    pub(super) trades: u64,
}

/// What one shard says that others must agree with.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    pub(super) shard: ShardRow,
    pub(super) slots: Vec<SlotRow>,
    pub(super) settlements: Vec<SettlementRow>,
    /// The slots with which everything copied from other shards was compared before.
    pub(super) copied_with: Vec<u8>,
}

/// The rows of postings, each table in the order of its postings.
struct Postings {
    executions: Stream<Execution<'static>>,
    cash: Stream<Cash<'static>>,
    payouts: Stream<Payout<'static>>,
    wallets: Stream<MovedWallet<'static>>,
    positions: Stream<MovedPosition<'static>>,
    notes: Notes,
}

impl Tour<'_> {
    /// Verifies the shard `number` from where its checkpoint stands.
    pub(super) fn pass(&mut self, number: u16, place: &ShardConfig) -> Result<Statement, Found> {
        let mut begun = self.checkpoint.verified(number)?;
        let mut snapshot = Snapshot::open(&self.handle, number, &place.url)?;
        let shard = snapshot.shard.clone();
        let slots: Vec<SlotRow> = snapshot.rows(SLOT_ROWS, &[])?;
        let mut postings = Postings::after(&begun, &mut snapshot)?;
        let mut trades = trades_after(&begun.trades, &mut snapshot)?;
        let chain = self.chain(&begun, &mut snapshot)?;
        let facts = Sequence::new(begun.trades.fact, shard.fact_sequence);
        let totals = Trades::new(begun.trades.sequence, shard.trade_sequence);
        let mut crossing = std::mem::take(&mut self.crossing);
        let books = (std::mem::take(&mut begun.books), begun.last);
        let mut replay = Replay::new(number, books, chain, (totals, facts, Kept::new(&slots)), &mut crossing)?;
        replay.seals = Sums::new(begun.seals, begun.trades == TradesVerified::default());
        earlier_fills(&begun, &mut snapshot, &mut replay)?;
        self.postings((&begun, &shard), (&mut postings, &mut trades), &mut snapshot, &mut replay)?;
        postings.end(&mut replay)?;
        while next_trade(&mut trades, &mut replay)? {}
        let statement = self.conclude((number, &begun), &mut snapshot, replay, slots)?;
        self.crossing = crossing;
        Ok(statement)
    }

    fn chain(&mut self, begun: &Verified, snapshot: &mut Snapshot) -> Result<Chain, Found> {
        let (head, shard) = (&begun.head, &snapshot.shard);
        if shard.posting_sequence < begun.last.0 || shard.batch_sequence < head.batch {
            let problem = format!("posting {} and batch {} were there once", begun.last.0, head.batch);
            return Err(bad("shard", shard.shard_id, problem));
        }
        if head.batch > 0 {
            let mut last = snapshot.scan::<super::record::Batch<'_>>(&format!("WHERE sequence = {}", head.batch))?;
            let is_same = last.next()?.is_some_and(|row| row.hash == head.hash && row.last_transfer == head.transfer);
            if !is_same {
                return Err(bad("batch", head.batch, "is not what it was when it was verified"));
            }
        }
        let transfers = snapshot.scan(&format!("WHERE sequence > {} ORDER BY sequence", head.transfer))?;
        let batches = snapshot.scan(&format!("WHERE sequence > {} ORDER BY sequence", head.batch))?;
        let between = std::mem::take(&mut self.crossing.between);
        Ok(Chain::new(head.clone(), (transfers, batches), between))
    }

    /// Books every posting again; trades are read alongside, so that they meet their fills.
    fn postings(
        &mut self,
        (begun, shard): (&Verified, &ShardRow),
        (postings, trades): (&mut Postings, &mut Stream<Trade<'static>>),
        snapshot: &mut Snapshot,
        replay: &mut Replay<'_>,
    ) -> Result<(), Found> {
        let (first, last) = (begun.last.0, shard.posting_sequence);
        let trades_expected = i128::from(shard.trade_sequence - begun.trades.sequence);
        let mut written_at = first;
        while replay.last.0 < last {
            let step_ends = (replay.last.0 + STEP).min(last);
            let before = replay.chain.transfer();
            while replay.last.0 < step_ends {
                postings.next(replay, snapshot)?;
                // A run is taken up again where a batch ends, wherever that is in a step.
                let is_due = self.state.is_some_and(|(_, every)| replay.last.0 - written_at >= every);
                if is_due && replay.whole().is_some() {
                    break;
                }
            }
            let moved = u64::try_from(replay.chain.transfer() - before).unwrap_or(0);
            self.counts.transfers += moved;
            (self.progress)(replay.number, moved)?;
            let due = trades_expected * i128::from(replay.last.0 - first) / i128::from(last - first);
            while i128::from(replay.trades.counted) < due && next_trade(trades, replay)? {}
            if let Some((path, every)) = self.state
                && replay.last.0 - written_at >= every
                && let Some(head) = replay.whole()
            {
                written_at = replay.last.0;
                let fact = begun.fact.max(replay.facts.most());
                let stand = Stand {
                    last: replay.last,
                    head,
                    books: &replay.books,
                    fact,
                    trades: begun.trades,
                    copied_with: &begun.copied_with,
                    seals: replay.seals.verified(),
                };
                self.checkpoint.keep(replay.number, &stand);
                self.checkpoint.write(path, replay.crossing.open().into_iter(), &replay.chain.between)?;
            }
        }
        Ok(())
    }

    /// Everything that follows from the postings, against what is stored.
    fn conclude(
        &mut self,
        (number, begun): (u16, &Verified),
        snapshot: &mut Snapshot,
        mut replay: Replay<'_>,
        slots: Vec<SlotRow>,
    ) -> Result<Statement, Found> {
        let shard = snapshot.shard.clone();
        let head = replay.chain.end()?.clone();
        replay.crossing.between = std::mem::take(&mut replay.chain.between);
        let has_guests = slots.iter().any(|slot| slot.came_from >= 0 || slot.state != SlotRow::HERE);
        from_elsewhere(snapshot, &mut replay)?;
        if begun.trades != TradesVerified::default() {
            look_up(snapshot, &mut replay)?;
        }
        let fact = begun.fact.max(replay.facts.most());
        let updated_at = begun.trades.updated_at.max(replay.trades.updated_at);
        let told = (fact, updated_at.max(replay.last.1));
        check_shard_row(number, &shard, (replay.last, &head), (told, has_guests))?;
        self.counts.wallets += check_wallets(snapshot, &replay.books)?;
        self.counts.positions += check_positions(snapshot, &replay.books)?;
        self.counts.executions += replay.counted.executions;
        self.counts.cash_movements += replay.counted.cash_movements;
        self.counts.payouts += replay.counted.payouts;
        self.counts.moved_wallets += replay.counted.moved_wallets;
        self.counts.batches += u64::try_from(head.batch - begun.head.batch).unwrap_or(0);
        self.counts.trades += replay.trades.counted;
        let Replay { books, trades, decided, last, seals, .. } = replay;
        trades.end(|account, currency| books.wallet(account, currency).version)?;
        let settlements = markets::check(snapshot, &books, (&decided, has_guests))?;
        let seals = seals.end(number, &shard, &settlements)?;
        slots::check(number, &shard, &slots, &books)?;
        let trades = TradesVerified {
            posting: shard.posting_sequence,
            fact: shard.fact_sequence,
            sequence: shard.trade_sequence,
            updated_at,
        };
        let copied_with = begun.copied_with.as_slice();
        self.checkpoint.keep(number, &Stand { last, head: &head, books: &books, fact, trades, copied_with, seals });
        Ok(Statement { shard, slots, settlements, copied_with: copied_with.to_vec() })
    }
}

impl Postings {
    fn after(begun: &Verified, snapshot: &mut Snapshot) -> anyhow::Result<Self> {
        let which = format!("WHERE posting_sequence > {} ORDER BY posting_sequence", begun.last.0);
        Ok(Self {
            executions: snapshot.scan(&which)?,
            cash: snapshot.scan(&which)?,
            payouts: snapshot.scan(&which)?,
            wallets: snapshot.scan(&which)?,
            positions: snapshot.scan(&format!("{which}, account_id, instrument_id"))?,
            notes: Notes::after(begun.head.transfer, begun.last.1, snapshot)?,
        })
    }

    /// Books the posting that comes next again.
    fn next(&mut self, replay: &mut Replay<'_>, snapshot: &mut Snapshot) -> Result<(), Found> {
        let next = Some(replay.last.0 + 1);
        if self.executions.key()? == next {
            if let Some((row, covered)) = self.executions.next_sealed()? {
                replay.seals.posted(("execution", &row.execution_id), row.seal, covered)?;
                replay.execution(&row, snapshot)?;
            }
        } else if self.cash.key()? == next {
            if let Some((row, covered)) = self.cash.next_sealed()? {
                replay.seals.posted(("cash_movement", &row.trade_id), row.seal, covered)?;
                replay.cash(&row, snapshot)?;
            }
        } else if self.payouts.key()? == next {
            if let Some((row, covered)) = self.payouts.next_sealed()? {
                replay.seals.posted(("payout", &row.posting_sequence), row.seal, covered)?;
                replay.payout(&row)?;
            }
        } else if self.wallets.key()? == next {
            let positions = &mut self.positions;
            self.wallets.next()?.map(|row| replay.moved_wallet(&row, positions)).transpose()?;
        } else {
            self.nothing_left(replay.last.0, "its posting is that of another row")?;
            let posting = format!("posting {}", replay.last.0 + 1);
            return Err(bad("execution", posting, "the row is missing, or that of cash, a payout or a moved wallet"));
        }
        self.notes.check(replay)
    }

    /// Nothing may be left.
    fn end(&mut self, replay: &mut Replay<'_>) -> Result<(), Found> {
        replay.nothing_open()?;
        self.nothing_left(i64::MAX, "is beyond the shard's last posting")?;
        self.notes.end()
    }

    /// No table may have a row up to the posting `last` that nobody has taken.
    fn nothing_left(&mut self, last: i64, problem: &str) -> Result<(), Found> {
        let is_left = |key: Option<i64>| key.is_some_and(|key| key <= last);
        if is_left(self.executions.key()?)
            && let Some(row) = self.executions.next()?
        {
            return Err(bad("execution", row.execution_id, problem));
        }
        if is_left(self.cash.key()?)
            && let Some(row) = self.cash.next()?
        {
            return Err(bad("cash_movement", row.trade_id, problem));
        }
        if let Some(key) = self.payouts.key()?.filter(|key| *key <= last) {
            return Err(bad("payout", key, problem));
        }
        if let Some(key) = self.wallets.key()?.filter(|key| *key <= last) {
            return Err(bad("moved_wallet", key, problem));
        }
        if is_left(self.positions.key()?)
            && let Some(row) = self.positions.next()?
        {
            let key = format!("{}/{}/{}", row.posting_sequence, row.account_id, row.instrument_id);
            return Err(bad("moved_position", key, "no wallet moved with it"));
        }
        Ok(())
    }
}

/// The trades that are new or have changed since; all of them the first time. Trades that came with a slot
/// and were not told here have no fact.
fn trades_after(verified: &TradesVerified, snapshot: &mut Snapshot) -> anyhow::Result<Stream<Trade<'static>>> {
    if *verified == TradesVerified::default() {
        return snapshot.scan("");
    }
    snapshot.scan(&format!("WHERE fact_sequence > {} OR fact_sequence = 0", verified.fact))
}

/// What another shard has posted, and came with a slot: fills count for their trades.
fn from_elsewhere(snapshot: &mut Snapshot, replay: &mut Replay<'_>) -> Result<(), Found> {
    let mut executions = snapshot.scan::<Execution<'_>>("WHERE posting_sequence IS NULL")?;
    while let Some((row, covered)) = executions.next_sealed()? {
        replay.seals.copied(("execution", &row.execution_id), row.seal, covered)?;
        if row.reverses.is_empty() {
            replay.fill_from_elsewhere(&totals_in(&row))?;
        }
    }
    let mut cash = snapshot.scan::<Cash<'_>>("WHERE posting_sequence IS NULL")?;
    while let Some((row, covered)) = cash.next_sealed()? {
        replay.seals.copied(("cash_movement", &row.trade_id), row.seal, covered)?;
    }
    Ok(())
}

const fn totals_in<'a>(row: &Execution<'a>) -> FillTotals<'a> {
    FillTotals {
        trade_id: row.trade_id,
        account_id: row.account_id,
        instrument_id: row.instrument_id,
        side: row.side,
        price: row.price,
        quantity: row.quantity,
        fee: row.fee,
        cash_change: row.cash_change,
        currency: row.currency,
        posted_at: row.posted_at,
    }
}

/// Fills whose postings were verified before, but not yet their trades.
fn earlier_fills(begun: &Verified, snapshot: &mut Snapshot, replay: &mut Replay<'_>) -> Result<(), Found> {
    let (from, to) = (begun.trades.posting, begun.last.0);
    if from == to {
        return Ok(());
    }
    let which = format!("WHERE posting_sequence > {from} AND posting_sequence <= {to} AND reverses = ''");
    let mut rows = snapshot.scan::<FillTotals<'_>>(&which)?;
    while let Some(row) = rows.next()? {
        replay.fill_from_elsewhere(&row)?;
    }
    Ok(())
}

/// Takes the next trade; false when there is none.
fn next_trade(trades: &mut Stream<Trade<'static>>, replay: &mut Replay<'_>) -> Result<bool, Found> {
    let Some((row, covered)) = trades.next_sealed()? else { return Ok(false) };
    let problem = match row.fact_sequence {
        0 => None,
        fact => match replay.facts.add(fact) {
            Added::New => None,
            Added::Twice => Some(format!("its fact {fact} is that of another row")),
            Added::Outside => Some(format!("there is no fact {fact}")),
        },
    };
    if let Some(problem) = problem {
        return Err(bad("trade", row.trade_id, problem));
    }
    if let Some(problem) = replay.seals.trade(&row, covered) {
        replay.trades.note(row.sequence, row.trade_id, problem.to_owned());
    }
    if replay.kept.has(row.account_id) {
        let (kin, version) = kin_of(&row, &mut replay.books)?;
        replay.trades.row(&row, kin, version);
    } else {
        replay.trades.row_of_elsewhere(&row);
    }
    Ok(true)
}

/// The names of a trade, and its wallet's version so far. One that has fills may be here before them; one
/// that has none need not leave a name.
fn kin_of(row: &Trade<'_>, books: &mut Books) -> Result<(Option<Kin>, i64), Found> {
    let wrong = |error: tragen_domain::id::IdError| bad("trade", row.trade_id, error.to_string());
    let names = if row.filled_quantity == 0 {
        let known = books.accounts.find(row.account_id).zip(books.currencies.find(row.currency));
        known.map(|(account, currency)| (account, books.instruments.find(row.instrument_id).unwrap_or(0), currency))
    } else {
        let account = books.accounts.name(row.account_id).map_err(wrong)?;
        let instrument = books.instruments.name(row.instrument_id).map_err(wrong)?;
        Some((account, instrument, books.currencies.name(row.currency).map_err(wrong)?))
    };
    let kin = names.map(|(account, instrument, currency)| Kin { account, instrument, currency, side: row.side });
    Ok((kin, kin.map_or(0, |kin| books.wallet(kin.account, kin.currency).version)))
}

/// Trades that changed, of which some fills were verified long ago: all of each is compared anew.
fn look_up(snapshot: &mut Snapshot, replay: &mut Replay<'_>) -> Result<(), Found> {
    for ids in replay.trades.waiting().chunks(LOOKUP_MAX) {
        let rows: Vec<TradeRow> = snapshot.rows(TRADES, &[Arg::Uuids(ids)])?;
        let rows: HashMap<Uuid, TradeRow> = rows.into_iter().map(|row| (row.trade_id, row)).collect();
        let mut parts: HashMap<Uuid, Vec<Part>> = HashMap::new();
        for row in snapshot.rows::<ExecutionRow>(EXECUTIONS_OF, &[Arg::Uuids(ids)])? {
            let (trade_id, part) = replay.part_of(&totals_of(&row), 0)?;
            parts.entry(trade_id).or_default().push(part);
        }
        for id in ids {
            let row = rows.get(id).map(trade_of);
            let known = match &row {
                Some(row) => {
                    let (kin, version) = kin_of(row, &mut replay.books)?;
                    Some((row, kin, version))
                }
                None => None,
            };
            replay.trades.again(*id, known, parts.get(id).map_or(&[], Vec::as_slice));
        }
    }
    Ok(())
}

fn totals_of(row: &ExecutionRow) -> FillTotals<'_> {
    FillTotals {
        trade_id: row.trade_id,
        account_id: &row.account_id,
        instrument_id: &row.instrument_id,
        side: row.side,
        price: row.price,
        quantity: row.quantity,
        fee: row.fee,
        cash_change: row.cash_change,
        currency: &row.currency,
        posted_at: row.posted_at,
    }
}

fn trade_of(row: &TradeRow) -> Trade<'_> {
    Trade {
        sequence: row.sequence,
        fact_sequence: row.fact_sequence,
        seal: &row.seal,
        trade_id: row.trade_id,
        account_id: &row.account_id,
        request_id: &row.request_id,
        tier: row.tier,
        payload_hash: &row.payload_hash,
        status: row.status,
        denial_code: row.denial_code,
        denial_message: row.denial_message.as_bytes(),
        denial_limit: row.denial_limit,
        denial_observed: row.denial_observed,
        rejection: row.rejection.as_bytes(),
        order_id: &row.order_id,
        instrument_id: &row.instrument_id,
        side: row.side,
        quantity: row.quantity,
        limit_price: row.limit_price,
        filled_quantity: row.filled_quantity,
        average_price: row.average_price,
        fee: row.fee,
        cash_change: row.cash_change,
        currency: &row.currency,
        account_version: row.account_version,
        agent: row.agent.as_bytes(),
        agent_id: row.agent_id.as_bytes(),
        rationale: row.rationale.as_bytes(),
        traceparent: row.traceparent.as_bytes(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// The shard row must point at the last of everything. Rows that are copied while a slot comes have the times
/// of another shard, and may stand where a row was that was told here last.
fn check_shard_row(
    number: u16,
    shard: &ShardRow,
    (last, head): ((i64, i64), &super::chain::Head),
    ((fact, changed_at), has_guests): ((i64, i64), bool),
) -> Result<(), Found> {
    let is_last = |stored: i64, seen: i64| if has_guests { stored >= seen } else { stored == seen };
    let problem = if shard.shard_id != i64::from(number) {
        format!("it is that of shard {}", shard.shard_id)
    } else if shard.posting_sequence != last.0 {
        format!("its last posting is {}, should be {}", shard.posting_sequence, last.0)
    } else if shard.head_hash != head.hash
        || shard.transfer_sequence != head.transfer
        || shard.batch_sequence != head.batch
    {
        "it does not point at the last transfer, batch and hash".to_owned()
    } else if !is_last(shard.fact_sequence, fact) {
        format!("its last fact is {}, should be {fact}", shard.fact_sequence)
    } else if shard.posted_at < last.1 || !has_guests && shard.posted_at != changed_at {
        format!("its last change was at {}, should be {changed_at}", shard.posted_at)
    } else if !(1..=256).contains(&shard.shards_at_creation) || shard.epoch < 1 {
        "its epoch or number of shards is none".to_owned()
    } else {
        return Ok(());
    };
    Err(bad("shard", number, problem))
}
