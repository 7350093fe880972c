//! `tragen ledger verify`: recomputes what the books say.

use super::books::{BooksArgs, ShardsArgs, bar};
use crate::{
    Verdict,
    output::{Format, print},
};
use clap::Args;
use std::path::PathBuf;
use tragen_ledger::{ShardConfig, VerifyOptions, VerifyReport};

/// Which books to recompute, and against what.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Without --config: the books of one shard.
    #[command(flatten)]
    books: BooksArgs,
    /// With --config: all shards, which are compared with each other too.
    #[command(flatten)]
    shards: ShardsArgs,
    /// Where to keep how far it has come: it goes on from there the next time, also after it was interrupted.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Signed heads, one in each line, as the ledger wrote them: each must still be part of the chain.
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// Who must have signed them, 64 hex digits; without it, whoever each head says.
    #[arg(long, value_name = "KEY", requires = "heads", value_parser = public_key)]
    public_key: Option<[u8; 32]>,
}

impl VerifyArgs {
    pub(super) async fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let shards = if self.shards.is_given() {
            self.shards.load()?.shards()
        } else {
            vec![ShardConfig { url: self.books.existing()?, replica_urls: Vec::new() }]
        };
        let options = VerifyOptions {
            state_file: self.state,
            checkpoint_postings: 0,
            heads_file: self.heads,
            public_key: self.public_key,
        };
        let progress = bar("transfers")?;
        let report = tragen_ledger::verify_shards(&shards, options, |at| {
            progress.set_length(at.transfers_total);
            progress.set_position(at.transfers);
        });
        let report = report.await;
        progress.finish_and_clear();
        let report = report?;
        show(format, &report)?;
        Ok(if report.first_bad_row.is_none() { Verdict::Good } else { Verdict::Bad })
    }
}

fn public_key(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "must be 64 hex digits".to_owned();
    let pair = |place: usize| u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok();
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let bytes: Option<Vec<u8>> = (0..32).map(pair).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
}

fn show(format: Format, report: &VerifyReport) -> anyhow::Result<()> {
    let bad = report.first_bad_row.as_ref();
    let counts = [
        ("shards", report.shards),
        ("transfers", report.transfers),
        ("executions", report.executions),
        ("cash_movements", report.cash_movements),
        ("payouts", report.payouts),
        ("moved_wallets", report.moved_wallets),
        ("batches", report.batches),
        ("wallets", report.wallets),
        ("positions", report.positions),
        ("trades", report.trades),
        ("signed_heads", report.signed_heads),
    ];
    let in_flight: Vec<_> = report.in_flight.iter().collect();
    let mut message = serde_json::json!({
        "is_equal": bad.is_none(),
        "head_hash": report.head_hash,
        "in_flight": in_flight.iter().map(|way| serde_json::json!({
            "shard": way.shard, "table": way.table, "key": way.key, "between": way.between,
            "amount_micros": way.amount_micros,
        })).collect::<Vec<_>>(),
        "first_bad_row": bad.map(|row| serde_json::json!({
            "shard": row.shard, "table": row.table, "key": row.key, "problem": row.problem,
        })),
    });
    let mut fields = Vec::new();
    for (name, count) in counts {
        message[name] = count.into();
        fields.push((name.replace('_', " "), count.to_string()));
    }
    fields.push(("in flight between shards".to_owned(), in_flight.len().to_string()));
    fields.push(("head hash".to_owned(), report.head_hash.clone()));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    format.record(&message, &fields)?;
    match (format, bad) {
        (Format::Json | Format::Csv, _) => Ok(()),
        (Format::Table, None) => print("\nEverything is equal to what the transfers make it."),
        (Format::Table, Some(row)) => {
            print(&format!("\nFirst bad row: shard {} {} {}: {}", row.shard, row.table, row.key, row.problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_64_hex_digits() {
        assert_eq!(public_key(&"0f".repeat(32)), Ok([15; 32]));
        for wrong in ["", "0f", &"0g".repeat(32), &"+f".repeat(32), &"ä".repeat(32)] {
            assert!(public_key(wrong).is_err(), "{wrong}");
        }
    }
}
