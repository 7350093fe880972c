-- The books of one shard, in the schema `shard_<n>` that the connection's search_path names: the same
-- tables as in ../sqlite.
--
-- What happened is only ever added to (execution, cash_movement, payout, moved_*, transfer, batch); what
-- follows from it is kept beside it (wallet, position, trade) and can be recomputed. Amounts are 1e-6,
-- times are microseconds since the epoch, hashes are SHA-256. Keys are compared byte by byte (COLLATE "C").
-- No foreign keys: each would lock the referenced row with every insert; `tragen ledger verify` looks instead.

-- One row: the fence (epoch), the gapless sequences and the head of the hash chain. It is updated
-- once in every batch, so it also makes writers queue up; whoever took over has raised the epoch.
CREATE TABLE shard (
    shard_id bigint NOT NULL,
    epoch bigint NOT NULL,
    posting_sequence bigint NOT NULL,
    transfer_sequence bigint NOT NULL,
    trade_sequence bigint NOT NULL,
    fact_sequence bigint NOT NULL,
    batch_sequence bigint NOT NULL,
    head_hash bytea NOT NULL,
    posted_at bigint NOT NULL,
    shards_at_creation bigint NOT NULL,
    PRIMARY KEY (shard_id)
) WITH (fillfactor = 70);

-- One row: which process serves the shard, and until when by the clock of the database. The lease
-- only chooses; what keeps a paused owner out is the epoch above.
CREATE TABLE lease (
    shard_id bigint NOT NULL,
    owner text NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (shard_id)
) WITH (fillfactor = 70);

-- Which processes are there to serve shards, and until when: they share the shards evenly.
CREATE TABLE process (
    process text NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (process)
) WITH (fillfactor = 70);

-- Which of the 256 slots this shard keeps; absent: never kept here. state 1 kept here, 2 leaving for
-- peer_shard, 3 gone to peer_shard. came_from: where it was before, -1 if it began here.
CREATE TABLE slot (
    slot bigint NOT NULL,
    state bigint NOT NULL,
    peer_shard bigint NOT NULL,
    came_from bigint NOT NULL,
    changed_at bigint NOT NULL,
    PRIMARY KEY (slot)
);

-- What an account holds in one currency. The CHECKs are the second line behind the guard. No index
-- on what changes, and room in the pages: PostgreSQL updates in place (HOT).
CREATE TABLE wallet (
    account_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    cash bigint NOT NULL CHECK (cash >= 0),
    margin bigint NOT NULL CHECK (margin >= 0),
    version bigint NOT NULL,
    is_frozen boolean NOT NULL,
    PRIMARY KEY (account_id, currency)
) WITH (fillfactor = 70);

-- What an account holds of one instrument. The index finds the holders when a market is decided.
CREATE TABLE position (
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    style integer NOT NULL,
    quantity bigint NOT NULL,
    entry_notional bigint NOT NULL CHECK (entry_notional >= 0),
    margin bigint NOT NULL CHECK (margin >= 0),
    realized_pnl bigint NOT NULL,
    fees bigint NOT NULL,
    account_version bigint NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) WITH (fillfactor = 70);
CREATE INDEX position_of_instrument ON position (instrument_id, account_id);

-- One row per trade, with its answer: what a repeated request is told. It changes while the trade
-- works. The index on fact_sequence finds what must be told again after the bus lost it.
CREATE TABLE trade (
    trade_id uuid NOT NULL,
    sequence bigint NOT NULL,
    fact_sequence bigint NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    request_id text NOT NULL,
    tier integer NOT NULL,
    payload_hash bytea NOT NULL,
    status integer NOT NULL,
    denial_code integer NOT NULL,
    denial_message text NOT NULL,
    denial_limit bigint NOT NULL,
    denial_observed bigint NOT NULL,
    rejection text NOT NULL,
    order_id text NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    side integer NOT NULL,
    quantity bigint NOT NULL,
    limit_price bigint NOT NULL,
    filled_quantity bigint NOT NULL,
    average_price bigint NOT NULL,
    fee bigint NOT NULL,
    cash_change bigint NOT NULL,
    currency text COLLATE "C" NOT NULL,
    account_version bigint NOT NULL,
    agent text NOT NULL,
    agent_id text NOT NULL,
    rationale text NOT NULL,
    traceparent text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (trade_id)
);
CREATE INDEX trade_of_account ON trade (account_id, sequence);
CREATE INDEX trade_fact ON trade (fact_sequence);

-- Every fill once: its id is the idempotency key. posting_sequence is NULL for rows that came with
-- a slot: they were posted by another shard. reverses names the execution that this one takes back.
CREATE TABLE execution (
    execution_id text COLLATE "C" NOT NULL,
    posting_sequence bigint UNIQUE,
    trade_id uuid NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    venue text COLLATE "C" NOT NULL,
    side integer NOT NULL,
    price bigint NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    fee bigint NOT NULL CHECK (fee >= 0),
    cash_change bigint NOT NULL,
    style integer NOT NULL,
    currency text COLLATE "C" NOT NULL,
    initial_margin_ppm bigint NOT NULL,
    reverses text COLLATE "C" NOT NULL,
    executed_at bigint NOT NULL,
    posted_at bigint NOT NULL,
    PRIMARY KEY (execution_id)
);
CREATE INDEX execution_of_trade ON execution (trade_id);

-- Cash outside of trading, with the wallet after it so that a repeat gets the same answer.
-- kind: CashKind on the wire. reverses: the reference that a correction takes back.
CREATE TABLE cash_movement (
    trade_id uuid NOT NULL,
    posting_sequence bigint UNIQUE,
    fact_sequence bigint NOT NULL,
    kind integer NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    request_id text NOT NULL,
    payload_hash bytea NOT NULL,
    requested bigint NOT NULL,
    amount bigint NOT NULL,
    currency text COLLATE "C" NOT NULL,
    counterparty_account_id text COLLATE "C" NOT NULL,
    counterparty_shard bigint NOT NULL,
    reverses text NOT NULL,
    reason text NOT NULL,
    proposed_by text NOT NULL,
    confirmed_by text NOT NULL,
    denial_code integer NOT NULL,
    denial_message text NOT NULL,
    denial_limit bigint NOT NULL,
    denial_observed bigint NOT NULL,
    cash_after bigint NOT NULL,
    margin_after bigint NOT NULL,
    version_after bigint NOT NULL,
    is_frozen_after boolean NOT NULL,
    traceparent text NOT NULL,
    posted_at bigint NOT NULL,
    PRIMARY KEY (trade_id)
);
CREATE INDEX cash_movement_fact ON cash_movement (fact_sequence);

-- Markets decided, once each. The positions in them are paid out in batches of their own.
CREATE TABLE settlement (
    instrument_id text COLLATE "C" NOT NULL,
    booking_id uuid NOT NULL,
    venue text COLLATE "C" NOT NULL,
    value bigint NOT NULL,
    is_void boolean NOT NULL,
    reason text NOT NULL,
    proposed_by text NOT NULL,
    confirmed_by text NOT NULL,
    decided_at bigint NOT NULL,
    PRIMARY KEY (instrument_id)
);

-- What a decided market paid for one position.
CREATE TABLE payout (
    posting_sequence bigint NOT NULL,
    fact_sequence bigint NOT NULL,
    booking_id uuid NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    venue text COLLATE "C" NOT NULL,
    value bigint NOT NULL,
    is_void boolean NOT NULL,
    style integer NOT NULL,
    currency text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL,
    cash_change bigint NOT NULL,
    realized_pnl bigint NOT NULL,
    traceparent text NOT NULL,
    posted_at bigint NOT NULL,
    PRIMARY KEY (posting_sequence)
);
CREATE INDEX payout_fact ON payout (fact_sequence);

-- A wallet that left with its slot (is_inbound false) or came with it: a posting like any other.
CREATE TABLE moved_wallet (
    posting_sequence bigint NOT NULL,
    is_inbound boolean NOT NULL,
    slot bigint NOT NULL,
    peer_shard bigint NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    cash bigint NOT NULL,
    margin bigint NOT NULL,
    version bigint NOT NULL,
    is_frozen boolean NOT NULL,
    posted_at bigint NOT NULL,
    PRIMARY KEY (posting_sequence)
);

-- A position that left or came with its slot, beside the wallet of the same posting.
CREATE TABLE moved_position (
    posting_sequence bigint NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    style integer NOT NULL,
    quantity bigint NOT NULL,
    entry_notional bigint NOT NULL,
    margin bigint NOT NULL,
    realized_pnl bigint NOT NULL,
    fees bigint NOT NULL,
    account_version bigint NOT NULL,
    PRIMARY KEY (posting_sequence, account_id, instrument_id)
);

-- Money that moved: one row with both sides, so that it cannot lose one. account_id: whose posting
-- it belongs to; reference_id: the trade, booking or cash movement behind it.
CREATE TABLE transfer (
    sequence bigint NOT NULL,
    posting_sequence bigint NOT NULL,
    kind integer NOT NULL,
    debit_account text COLLATE "C" NOT NULL,
    credit_account text COLLATE "C" NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    account_id text COLLATE "C" NOT NULL,
    reference_id uuid NOT NULL,
    posted_at bigint NOT NULL,
    PRIMARY KEY (sequence)
);
-- An account's history by time; within a shard, sequences ascend with it.
CREATE INDEX transfer_of_account ON transfer (account_id, posted_at, sequence);

-- A wallet's cash after its transfers up to a sequence, noted at every 256th of its versions: where a
-- statement begins to add up.
CREATE TABLE cash_checkpoint (
    account_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    posted_at bigint NOT NULL,
    sequence bigint NOT NULL,
    cash bigint NOT NULL,
    PRIMARY KEY (account_id, currency, posted_at, sequence)
);

-- The hash chain: hash = SHA-256(previous_hash, then the canonical bytes of its transfers).
CREATE TABLE batch (
    sequence bigint NOT NULL,
    first_transfer bigint NOT NULL,
    last_transfer bigint NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    posted_at bigint NOT NULL,
    PRIMARY KEY (sequence)
);

-- Reports that could not be booked: kept whole, for a person to look at.
CREATE TABLE rejected_report (
    report_id text NOT NULL,
    trade_id text NOT NULL,
    account_id text NOT NULL,
    venue text NOT NULL,
    reason text NOT NULL,
    payload bytea NOT NULL,
    rejected_at bigint NOT NULL,
    PRIMARY KEY (report_id)
);

-- History is added to, never changed. A slot that leaves takes nothing away either: its rows are copied.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is history', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER execution_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON execution
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER cash_movement_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON cash_movement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payout_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON payout
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER moved_wallet_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON moved_wallet
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER moved_position_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON moved_position
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfer_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER cash_checkpoint_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON cash_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER batch_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON batch
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
