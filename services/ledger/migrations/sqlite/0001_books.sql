-- The books. What happened is only ever added to (trade, execution,
-- cash_movement, transfer, batch); what follows from it is kept beside it
-- (wallet, position) and can be recomputed. Amounts are 1e-6, times are
-- microseconds since the epoch, hashes are SHA-256.

-- One row: the fence, the gapless sequences and the head of the hash chain.
CREATE TABLE shard (
    shard_id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    posting_sequence INTEGER NOT NULL,
    transfer_sequence INTEGER NOT NULL,
    trade_sequence INTEGER NOT NULL,
    fact_sequence INTEGER NOT NULL,
    published_fact_sequence INTEGER NOT NULL,
    batch_sequence INTEGER NOT NULL,
    head_hash BLOB NOT NULL
) STRICT;
INSERT INTO shard VALUES (0, 0, 0, 0, 0, 0, 0, 0, zeroblob(32));

CREATE TABLE wallet (
    account_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    cash INTEGER NOT NULL CHECK (cash >= 0),
    margin INTEGER NOT NULL CHECK (margin >= 0),
    version INTEGER NOT NULL,
    is_frozen INTEGER NOT NULL,
    PRIMARY KEY (account_id, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE position (
    account_id TEXT NOT NULL,
    instrument_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    entry_notional INTEGER NOT NULL CHECK (entry_notional >= 0),
    margin INTEGER NOT NULL CHECK (margin >= 0),
    realized_pnl INTEGER NOT NULL,
    fees INTEGER NOT NULL,
    account_version INTEGER NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE trade (
    trade_id TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL UNIQUE,
    fact_sequence INTEGER NOT NULL UNIQUE,
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
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX trade_of_account ON trade (account_id, sequence);

CREATE TABLE execution (
    execution_id TEXT PRIMARY KEY,
    posting_sequence INTEGER NOT NULL UNIQUE,
    trade_id TEXT NOT NULL,
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
    executed_at INTEGER NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX execution_of_trade ON execution (trade_id);

-- Deposits and withdrawals, with the wallet after them so that a repeat gets the same answer.
CREATE TABLE cash_movement (
    trade_id TEXT PRIMARY KEY,
    posting_sequence INTEGER NOT NULL UNIQUE,
    fact_sequence INTEGER NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    payload_hash BLOB NOT NULL,
    requested INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    denial_code INTEGER NOT NULL,
    denial_message TEXT NOT NULL,
    denial_limit INTEGER NOT NULL,
    denial_observed INTEGER NOT NULL,
    cash_after INTEGER NOT NULL,
    margin_after INTEGER NOT NULL,
    version_after INTEGER NOT NULL,
    is_frozen_after INTEGER NOT NULL,
    traceparent TEXT NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT;

CREATE TABLE transfer (
    sequence INTEGER PRIMARY KEY,
    posting_sequence INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    debit_account TEXT NOT NULL,
    credit_account TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    account_id TEXT NOT NULL,
    reference_id TEXT NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX transfer_of_account ON transfer (account_id, sequence);

-- hash = SHA-256(previous_hash, then the canonical bytes of its transfers).
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
    report_id TEXT PRIMARY KEY,
    trade_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    venue TEXT NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL,
    rejected_at INTEGER NOT NULL
) STRICT;

-- History is added to, never changed.
CREATE TRIGGER execution_is_history BEFORE UPDATE ON execution BEGIN SELECT RAISE(ABORT, 'execution is history'); END;
CREATE TRIGGER execution_stays BEFORE DELETE ON execution BEGIN SELECT RAISE(ABORT, 'execution is history'); END;
CREATE TRIGGER cash_movement_is_history BEFORE UPDATE ON cash_movement BEGIN SELECT RAISE(ABORT, 'cash_movement is history'); END;
CREATE TRIGGER cash_movement_stays BEFORE DELETE ON cash_movement BEGIN SELECT RAISE(ABORT, 'cash_movement is history'); END;
CREATE TRIGGER transfer_is_history BEFORE UPDATE ON transfer BEGIN SELECT RAISE(ABORT, 'transfer is history'); END;
CREATE TRIGGER transfer_stays BEFORE DELETE ON transfer BEGIN SELECT RAISE(ABORT, 'transfer is history'); END;
CREATE TRIGGER batch_is_history BEFORE UPDATE ON batch BEGIN SELECT RAISE(ABORT, 'batch is history'); END;
CREATE TRIGGER batch_stays BEFORE DELETE ON batch BEGIN SELECT RAISE(ABORT, 'batch is history'); END;
