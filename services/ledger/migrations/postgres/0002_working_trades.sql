-- Trades whose order still works: few, and asked for when the gate has lost its journal. 2 is
-- TRADE_STATUS_WORKING. Trades that end at once, nearly all, never enter it.
CREATE INDEX trade_working ON trade (trade_id) WHERE status = 2;
