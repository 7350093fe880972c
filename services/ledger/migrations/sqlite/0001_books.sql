-- The books of one shard, in one file. What happened is only ever added to (execution, cash_movement,
-- payout, moved_*, transfer, batch); what follows from it is kept beside it (wallet, position, trade)
-- and can be recomputed. Amounts are 1e-6, times are microseconds since the epoch, hashes are SHA-256,
-- ids are 16 bytes. STRICT: SQLite checks the types; WITHOUT ROWID: the row lies in its primary key.

-- One row: the fence (epoch), the gapless sequences and the head of the hash chain. It is updated
-- once in every batch, so it also makes writers queue up; whoever took over has raised the epoch.
CREATE TABLE shard (
    shard_id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    posting_sequence INTEGER NOT NULL,
    transfer_sequence INTEGER NOT NULL,
    trade_sequence INTEGER NOT NULL,
    fact_sequence INTEGER NOT NULL,
    batch_sequence INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    posted_at INTEGER NOT NULL,
    shards_at_creation INTEGER NOT NULL
) STRICT;

-- One row: which process serves the shard, and until when by the clock of the database. The lease
-- only chooses; what keeps a paused owner out is the epoch above.
CREATE TABLE lease (
    shard_id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- Which processes are there to serve shards, and until when: they share the shards evenly.
CREATE TABLE process (
    process TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (process)
) STRICT;

-- Which of the 256 slots this shard keeps; absent: never kept here. state 1 kept here, 2 leaving for
-- peer_shard, 3 gone to peer_shard. came_from: where it was before, -1 if it began here.
CREATE TABLE slot (
    slot INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    peer_shard INTEGER NOT NULL,
    came_from INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- What an account holds in one currency. The CHECKs are the second line behind the guard. No index
-- on what changes, and room in the pages: PostgreSQL updates in place (HOT).
CREATE TABLE wallet (
    account_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    cash INTEGER NOT NULL CHECK (cash >= 0),
    margin INTEGER NOT NULL CHECK (margin >= 0),
    version INTEGER NOT NULL,
    is_frozen INTEGER NOT NULL,
    PRIMARY KEY (account_id, currency)
) STRICT, WITHOUT ROWID;

-- What an account holds of one instrument. The index finds the holders when a market is decided.
CREATE TABLE position (
    account_id TEXT NOT NULL,
    instrument_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    style INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    entry_notional INTEGER NOT NULL CHECK (entry_notional >= 0),
    margin INTEGER NOT NULL CHECK (margin >= 0),
    realized_pnl INTEGER NOT NULL,
    fees INTEGER NOT NULL,
    account_version INTEGER NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX position_of_instrument ON position (instrument_id, account_id);

-- One row per trade, with its answer: what a repeated request is told. It changes while the trade
-- works. The index on fact_sequence finds what must be told again after the bus lost it.
CREATE TABLE trade (
    trade_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    fact_sequence INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    tier INTEGER NOT NULL,
    payload_hash BLOB NOT NULL,
    status INTEGER NOT NULL,
    denial_code INTEGER NOT NULL,
    denial_message TEXT NOT NULL,
    denial_limit INTEGER NOT NULL,
    denial_observed INTEGER NOT NULL,
    rejection TEXT NOT NULL,
    order_id TEXT NOT NULL,
    instrument_id TEXT NOT NULL,
    side INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    limit_price INTEGER NOT NULL,
    filled_quantity INTEGER NOT NULL,
    average_price INTEGER NOT NULL,
    fee INTEGER NOT NULL,
    cash_change INTEGER NOT NULL,
    currency TEXT NOT NULL,
    account_version INTEGER NOT NULL,
    agent TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    rationale TEXT NOT NULL,
    traceparent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (trade_id)
) STRICT;
CREATE INDEX trade_of_account ON trade (account_id, sequence);
CREATE INDEX trade_fact ON trade (fact_sequence);

-- Every fill once: its id is the idempotency key. posting_sequence is NULL for rows that came with
-- a slot: they were posted by another shard. reverses names the execution that this one takes back.
CREATE TABLE execution (
    execution_id TEXT NOT NULL,
    posting_sequence INTEGER UNIQUE,
    trade_id BLOB NOT NULL,
    account_id TEXT NOT NULL,
    instrument_id TEXT NOT NULL,
    venue TEXT NOT NULL,
    side INTEGER NOT NULL,
    price INTEGER NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    fee INTEGER NOT NULL CHECK (fee >= 0),
    cash_change INTEGER NOT NULL,
    style INTEGER NOT NULL,
    currency TEXT NOT NULL,
    initial_margin_ppm INTEGER NOT NULL,
    reverses TEXT NOT NULL,
    executed_at INTEGER NOT NULL,
    posted_at INTEGER NOT NULL,
    PRIMARY KEY (execution_id)
) STRICT;
CREATE INDEX execution_of_trade ON execution (trade_id);

-- Cash outside of trading, with the wallet after it so that a repeat gets the same answer.
-- kind: CashKind on the wire. reverses: the reference that a correction takes back.
CREATE TABLE cash_movement (
    trade_id BLOB NOT NULL,
    posting_sequence INTEGER UNIQUE,
    fact_sequence INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    payload_hash BLOB NOT NULL,
    requested INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    counterparty_account_id TEXT NOT NULL,
    counterparty_shard INTEGER NOT NULL,
    reverses TEXT NOT NULL,
    reason TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    confirmed_by TEXT NOT NULL,
    denial_code INTEGER NOT NULL,
    denial_message TEXT NOT NULL,
    denial_limit INTEGER NOT NULL,
    denial_observed INTEGER NOT NULL,
    cash_after INTEGER NOT NULL,
    margin_after INTEGER NOT NULL,
    version_after INTEGER NOT NULL,
    is_frozen_after INTEGER NOT NULL,
    traceparent TEXT NOT NULL,
    posted_at INTEGER NOT NULL,
    PRIMARY KEY (trade_id)
) STRICT;
CREATE INDEX cash_movement_fact ON cash_movement (fact_sequence);

-- Markets decided, once each. The positions in them are paid out in batches of their own.
CREATE TABLE settlement (
    instrument_id TEXT NOT NULL,
    booking_id BLOB NOT NULL,
    venue TEXT NOT NULL,
    value INTEGER NOT NULL,
    is_void INTEGER NOT NULL,
    reason TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    confirmed_by TEXT NOT NULL,
    decided_at INTEGER NOT NULL,
    PRIMARY KEY (instrument_id)
) STRICT, WITHOUT ROWID;

-- What a decided market paid for one position.
CREATE TABLE payout (
    posting_sequence INTEGER PRIMARY KEY,
    fact_sequence INTEGER NOT NULL,
    booking_id BLOB NOT NULL,
    account_id TEXT NOT NULL,
    instrument_id TEXT NOT NULL,
    venue TEXT NOT NULL,
    value INTEGER NOT NULL,
    is_void INTEGER NOT NULL,
    style INTEGER NOT NULL,
    currency TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    cash_change INTEGER NOT NULL,
    realized_pnl INTEGER NOT NULL,
    traceparent TEXT NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX payout_fact ON payout (fact_sequence);

-- A wallet that left with its slot (is_inbound false) or came with it: a posting like any other.
CREATE TABLE moved_wallet (
    posting_sequence INTEGER PRIMARY KEY,
    is_inbound INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    peer_shard INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    cash INTEGER NOT NULL,
    margin INTEGER NOT NULL,
    version INTEGER NOT NULL,
    is_frozen INTEGER NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT;

-- A position that left or came with its slot, beside the wallet of the same posting.
CREATE TABLE moved_position (
    posting_sequence INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    instrument_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    style INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    entry_notional INTEGER NOT NULL,
    margin INTEGER NOT NULL,
    realized_pnl INTEGER NOT NULL,
    fees INTEGER NOT NULL,
    account_version INTEGER NOT NULL,
    PRIMARY KEY (posting_sequence, account_id, instrument_id)
) STRICT, WITHOUT ROWID;

-- Money that moved: one row with both sides, so that it cannot lose one. account_id: whose posting
-- it belongs to; reference_id: the trade, booking or cash movement behind it.
CREATE TABLE transfer (
    sequence INTEGER PRIMARY KEY,
    posting_sequence INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    debit_account TEXT NOT NULL,
    credit_account TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    account_id TEXT NOT NULL,
    reference_id BLOB NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT;
-- An account's history by time; within a shard, sequences ascend with it. The sequence is the rowid, so
-- the index has it anyway.
CREATE INDEX transfer_of_account ON transfer (account_id, posted_at);

-- A wallet's cash after its transfers up to a sequence, noted at every 256th of its versions: where a
-- statement begins to add up.
CREATE TABLE cash_checkpoint (
    account_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    posted_at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    cash INTEGER NOT NULL,
    PRIMARY KEY (account_id, currency, posted_at, sequence)
) STRICT, WITHOUT ROWID;

-- The hash chain: hash = SHA-256(previous_hash, then the canonical bytes of its transfers).
CREATE TABLE batch (
    sequence INTEGER PRIMARY KEY,
    first_transfer INTEGER NOT NULL,
    last_transfer INTEGER NOT NULL,
    previous_hash BLOB NOT NULL,
    hash BLOB NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT;

-- Reports that could not be booked: kept whole, for a person to look at.
CREATE TABLE rejected_report (
    report_id TEXT NOT NULL,
    trade_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    venue TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL,
    rejected_at INTEGER NOT NULL,
    PRIMARY KEY (report_id)
) STRICT;

-- History is added to, never changed. A slot that leaves takes nothing away either: its rows are copied.
CREATE TRIGGER execution_is_history BEFORE UPDATE ON execution BEGIN SELECT RAISE(ABORT, 'execution is history'); END;
CREATE TRIGGER execution_stays BEFORE DELETE ON execution BEGIN SELECT RAISE(ABORT, 'execution is history'); END;
CREATE TRIGGER cash_movement_is_history BEFORE UPDATE ON cash_movement BEGIN SELECT RAISE(ABORT, 'cash_movement is history'); END;
CREATE TRIGGER cash_movement_stays BEFORE DELETE ON cash_movement BEGIN SELECT RAISE(ABORT, 'cash_movement is history'); END;
CREATE TRIGGER payout_is_history BEFORE UPDATE ON payout BEGIN SELECT RAISE(ABORT, 'payout is history'); END;
CREATE TRIGGER payout_stays BEFORE DELETE ON payout BEGIN SELECT RAISE(ABORT, 'payout is history'); END;
CREATE TRIGGER moved_wallet_is_history BEFORE UPDATE ON moved_wallet BEGIN SELECT RAISE(ABORT, 'moved_wallet is history'); END;
CREATE TRIGGER moved_wallet_stays BEFORE DELETE ON moved_wallet BEGIN SELECT RAISE(ABORT, 'moved_wallet is history'); END;
CREATE TRIGGER moved_position_is_history BEFORE UPDATE ON moved_position BEGIN SELECT RAISE(ABORT, 'moved_position is history'); END;
CREATE TRIGGER moved_position_stays BEFORE DELETE ON moved_position BEGIN SELECT RAISE(ABORT, 'moved_position is history'); END;
CREATE TRIGGER transfer_is_history BEFORE UPDATE ON transfer BEGIN SELECT RAISE(ABORT, 'transfer is history'); END;
CREATE TRIGGER transfer_stays BEFORE DELETE ON transfer BEGIN SELECT RAISE(ABORT, 'transfer is history'); END;
CREATE TRIGGER cash_checkpoint_is_history BEFORE UPDATE ON cash_checkpoint BEGIN SELECT RAISE(ABORT, 'cash_checkpoint is history'); END;
CREATE TRIGGER cash_checkpoint_stays BEFORE DELETE ON cash_checkpoint BEGIN SELECT RAISE(ABORT, 'cash_checkpoint is history'); END;
CREATE TRIGGER batch_is_history BEFORE UPDATE ON batch BEGIN SELECT RAISE(ABORT, 'batch is history'); END;
CREATE TRIGGER batch_stays BEFORE DELETE ON batch BEGIN SELECT RAISE(ABORT, 'batch is history'); END;
