-- The same books as in ../sqlite; fillfactor leaves room for HOT updates.
--
-- The books. What happened is only ever added to (trade, execution,
-- cash_movement, transfer, batch); what follows from it is kept beside it
-- (wallet, position) and can be recomputed. Amounts are 1e-6, times are
-- microseconds since the epoch, hashes are SHA-256.

-- One row: the fence, the gapless sequences and the head of the hash chain.
CREATE TABLE shard (
    shard_id bigint PRIMARY KEY,
    epoch bigint NOT NULL,
    posting_sequence bigint NOT NULL,
    transfer_sequence bigint NOT NULL,
    trade_sequence bigint NOT NULL,
    fact_sequence bigint NOT NULL,
    published_fact_sequence bigint NOT NULL,
    batch_sequence bigint NOT NULL,
    head_hash bytea NOT NULL
) WITH (fillfactor = 70);
INSERT INTO shard VALUES (0, 0, 0, 0, 0, 0, 0, 0, decode(repeat('00', 32), 'hex'));

CREATE TABLE wallet (
    account_id text NOT NULL,
    currency text NOT NULL,
    cash bigint NOT NULL CHECK (cash >= 0),
    margin bigint NOT NULL CHECK (margin >= 0),
    version bigint NOT NULL,
    is_frozen boolean NOT NULL,
    PRIMARY KEY (account_id, currency)
) WITH (fillfactor = 70);

CREATE TABLE position (
    account_id text NOT NULL,
    instrument_id text NOT NULL,
    currency text NOT NULL,
    quantity bigint NOT NULL,
    entry_notional bigint NOT NULL CHECK (entry_notional >= 0),
    margin bigint NOT NULL CHECK (margin >= 0),
    realized_pnl bigint NOT NULL,
    fees bigint NOT NULL,
    account_version bigint NOT NULL,
    PRIMARY KEY (account_id, instrument_id)
) WITH (fillfactor = 70);

CREATE TABLE trade (
    trade_id text PRIMARY KEY,
    sequence bigint NOT NULL UNIQUE,
    fact_sequence bigint NOT NULL UNIQUE,
    account_id text NOT NULL,
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
    instrument_id text NOT NULL,
    side integer NOT NULL,
    quantity bigint NOT NULL,
    limit_price bigint NOT NULL,
    filled_quantity bigint NOT NULL,
    average_price bigint NOT NULL,
    fee bigint NOT NULL,
    cash_change bigint NOT NULL,
    currency text NOT NULL,
    account_version bigint NOT NULL,
    agent text NOT NULL,
    agent_id text NOT NULL,
    rationale text NOT NULL,
    traceparent text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX trade_of_account ON trade (account_id, sequence);

CREATE TABLE execution (
    execution_id text PRIMARY KEY,
    posting_sequence bigint NOT NULL UNIQUE,
    trade_id text NOT NULL,
    account_id text NOT NULL,
    instrument_id text NOT NULL,
    venue text NOT NULL,
    side integer NOT NULL,
    price bigint NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    fee bigint NOT NULL CHECK (fee >= 0),
    cash_change bigint NOT NULL,
    style integer NOT NULL,
    currency text NOT NULL,
    initial_margin_ppm bigint NOT NULL,
    executed_at bigint NOT NULL,
    posted_at bigint NOT NULL
);
CREATE INDEX execution_of_trade ON execution (trade_id);

-- Deposits and withdrawals, with the wallet after them so that a repeat gets the same answer.
CREATE TABLE cash_movement (
    trade_id text PRIMARY KEY,
    posting_sequence bigint NOT NULL UNIQUE,
    fact_sequence bigint NOT NULL UNIQUE,
    account_id text NOT NULL,
    request_id text NOT NULL,
    payload_hash bytea NOT NULL,
    requested bigint NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    denial_code integer NOT NULL,
    denial_message text NOT NULL,
    denial_limit bigint NOT NULL,
    denial_observed bigint NOT NULL,
    cash_after bigint NOT NULL,
    margin_after bigint NOT NULL,
    version_after bigint NOT NULL,
    is_frozen_after boolean NOT NULL,
    traceparent text NOT NULL,
    posted_at bigint NOT NULL
);

CREATE TABLE transfer (
    sequence bigint PRIMARY KEY,
    posting_sequence bigint NOT NULL,
    kind integer NOT NULL,
    debit_account text NOT NULL,
    credit_account text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    account_id text NOT NULL,
    reference_id text NOT NULL,
    posted_at bigint NOT NULL
);
CREATE INDEX transfer_of_account ON transfer (account_id, sequence);

-- hash = SHA-256(previous_hash, then the canonical bytes of its transfers).
CREATE TABLE batch (
    sequence bigint PRIMARY KEY,
    first_transfer bigint NOT NULL,
    last_transfer bigint NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    posted_at bigint NOT NULL
);

-- Reports that could not be booked: kept whole, for a person to look at.
CREATE TABLE rejected_report (
    report_id text PRIMARY KEY,
    trade_id text NOT NULL,
    account_id text NOT NULL,
    venue text NOT NULL,
    reason text NOT NULL,
    payload bytea NOT NULL,
    rejected_at bigint NOT NULL
);

-- History is added to, never changed.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is history', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER execution_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON execution
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER cash_movement_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON cash_movement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfer_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER batch_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON batch
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
