-- SHA-256 over a row's columns, cut to 16 bytes, and all of them added up in the shard's row: see
-- ../../src/store/seal.rs. Nothing in it: the row was written by a version that knew no seals, which leaves out
-- the column and goes on.
ALTER TABLE shard ADD COLUMN seals BLOB NOT NULL DEFAULT x'';
ALTER TABLE trade ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE execution ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE cash_movement ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE settlement ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE payout ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
