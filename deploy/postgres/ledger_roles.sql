-- Who may do what with the books. Run it as a superuser once the ledger has made its tables, and again after each new
-- shard and each migration; it can be run any number of times:
--
--     psql -d tragen -f deploy/postgres/ledger_roles.sql
--
-- It makes four roles without a login; give them to logins of your own (GRANT tragen_ledger TO ledger_1):
--
--   tragen_ledger_owner    owns the tables: makes and migrates them. No process that serves runs as it.
--   tragen_ledger          runs the ledger: adds to history, never changes it; keeps what follows from it.
--   tragen_ledger_mover    moves slots between shards (tragen ledger move-slot).
--   tragen_ledger_reader   reads: reports, reconciliation, tragen ledger verify.
--
-- Triggers refuse a change of history to everybody (SQLSTATE 42501); only the owner could take them off, so only a
-- migration does. These rights refuse it a second time, to everybody but the owner.

DO $$
DECLARE
    role text;
    shard text;
    object record;
BEGIN
    FOREACH role IN ARRAY ARRAY['tragen_ledger_owner', 'tragen_ledger', 'tragen_ledger_mover', 'tragen_ledger_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
    -- A mover also writes as the ledger does.
    GRANT tragen_ledger TO tragen_ledger_mover;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO tragen_ledger_owner', current_database());

    FOR shard IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^shard_[0-9]+$' LOOP
        EXECUTE format('ALTER SCHEMA %I OWNER TO tragen_ledger_owner', shard);
        FOR object IN SELECT tablename AS name FROM pg_tables WHERE schemaname = shard LOOP
            EXECUTE format('ALTER TABLE %I.%I OWNER TO tragen_ledger_owner', shard, object.name);
        END LOOP;
        FOR object IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = shard::regnamespace LOOP
            EXECUTE format('ALTER FUNCTION %s OWNER TO tragen_ledger_owner', object.name);
        END LOOP;

        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC, tragen_ledger, tragen_ledger_mover, tragen_ledger_reader', shard);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC, tragen_ledger, tragen_ledger_mover, tragen_ledger_reader',
            shard);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO tragen_ledger, tragen_ledger_reader', shard);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO tragen_ledger, tragen_ledger_reader', shard);

        -- History is added to. Settlements and reports set aside are history too.
        EXECUTE format('GRANT INSERT ON %1$I.execution, %1$I.cash_movement, %1$I.settlement, %1$I.payout, %1$I.moved_wallet,
            %1$I.moved_position, %1$I.transfer, %1$I.cash_checkpoint, %1$I.batch, %1$I.rejected_report, %1$I.slot
            TO tragen_ledger', shard);
        -- What follows from it is kept, and who serves what.
        EXECUTE format('GRANT INSERT, UPDATE ON %1$I.shard, %1$I.wallet, %1$I.position, %1$I.trade, %1$I.lease, %1$I.process
            TO tragen_ledger', shard);
        -- A slot goes and takes its wallets and positions along.
        EXECUTE format('GRANT UPDATE ON %1$I.slot TO tragen_ledger_mover', shard);
        EXECUTE format('GRANT DELETE ON %1$I.wallet, %1$I.position TO tragen_ledger_mover', shard);
    END LOOP;
END
$$;
