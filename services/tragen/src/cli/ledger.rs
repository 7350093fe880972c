//! `tragen ledger`: the books, looked at and looked after without the services.

mod backup;
mod books;
mod slots;
mod transport;
mod verify;

use crate::{Verdict, output::Format};
use clap::Subcommand;

/// What to do with the books.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Recomputes balances, positions, trades and the hash chain from the transfers.
    #[command(
        after_help = "Examples:\n  tragen ledger verify --data-dir data\n  tragen ledger verify --store postgres://tragen:secret@127.0.0.1/tragen\n  tragen ledger verify --config tragen.toml --state verify.state\n  tragen ledger verify --data-dir data --heads data/ledger-heads.jsonl\n\nExit code 1 and the first bad row if something is not equal."
    )]
    Verify(verify::VerifyArgs),
    /// Which shard keeps which slot, and how much is in each.
    #[command(after_help = "Example:\n  tragen ledger slots --config tragen.toml --shard 0")]
    Slots(slots::SlotsArgs),
    /// Moves a slot with all its accounts to another shard while ledgers run.
    #[command(
        after_help = "Examples:\n  tragen ledger move-slot --config tragen.toml --slot 17 --to 2\n  tragen ledger move-slot --config tragen.toml --account alice --to 2\n\nAfter a crash the same command goes on. A slot that has left but not arrived is taken back by moving it to where it leaves."
    )]
    MoveSlot(slots::MoveSlotArgs),
    /// Writes the books of a shard to a file, as they are at one moment.
    #[command(after_help = "Example:\n  tragen ledger export --data-dir data --out books.tragen")]
    Export(transport::ExportArgs),
    /// Puts exported books into an empty store, all or none.
    #[command(
        after_help = "Example:\n  tragen ledger import --store postgres://tragen:secret@127.0.0.1/tragen --in books.tragen"
    )]
    Import(transport::ImportArgs),
    /// Copies the books of a shard while a ledger writes to them, and looks whether the copy is sound.
    #[command(
        after_help = "Example:\n  tragen ledger backup --data-dir data --out /backup/ledger-2026-03-01.db\n\nSQLite is copied page by page. PostgreSQL needs pg_dump and pg_restore on the PATH or in TRAGEN_POSTGRES_BIN."
    )]
    Backup(backup::BackupArgs),
    /// Puts a copy back where there are no books, with an epoch above all that were given out.
    #[command(
        after_help = "Example:\n  tragen ledger restore --data-dir data --from /backup/ledger-2026-03-01.db --nats-url nats://127.0.0.1:4222\n\nWith --nats-url the bus delivers the executions of the last days once more: what they changed after the copy is booked again."
    )]
    Restore(backup::RestoreArgs),
}

impl LedgerCommand {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        match self {
            Self::Verify(args) => args.run(format).await,
            Self::Slots(args) => args.run(format).await,
            Self::MoveSlot(args) => args.run(format).await,
            Self::Export(args) => args.run(format).await,
            Self::Import(args) => args.run(format).await,
            Self::Backup(args) => args.run(format).await,
            Self::Restore(args) => args.run(format).await,
        }
    }
}
