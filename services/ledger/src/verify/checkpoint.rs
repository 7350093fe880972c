//! How far a verification has come, in a file: a later one goes on from there.
//! The file is versioned, carries its own checksum, and is replaced as a whole.

use super::{
    books::{Books, Held},
    chain::Head,
    crossing::{MOVED_WALLET, Mark, OnItsWay, Side},
};
use crate::store::seal::HASH_BYTES;
use anyhow::Context as _;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};
use tragen_domain::{
    ledger::Wallet,
    money::{Money, Quantity},
    position::Position,
};

/// What a file begins with; the last byte is the version of what follows.
const MAGIC: &[u8; 8] = b"tragenv\x01";
const CHECKSUM_BYTES: usize = 32;

/// What was verified so far.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    /// By shard, as it is written: only the shard at work needs its books unpacked.
    shards: BTreeMap<u16, Vec<u8>>,
    /// What was on its way between accounts and shards.
    pub(super) open: HashMap<Mark, OnItsWay>,
    /// What accounts between shards have received, 1e-6 of their currency.
    pub(super) between: BTreeMap<String, i128>,
}

/// What was verified of a shard.
#[derive(Debug, Default)]
pub(super) struct Verified {
    /// The last posting and its time.
    pub(super) last: (i64, i64),
    /// The chain up to there.
    pub(super) head: Head,
    /// The books up to there.
    pub(super) books: Books,
    /// The newest fact of the rows read.
    pub(super) fact: i64,
    /// Up to where trades were verified too.
    pub(super) trades: TradesVerified,
    /// What was copied from other shards was compared when the slots were these.
    pub(super) copied_with: Vec<u8>,
    /// The seals of all postings up to there, added up; `None` if a version without seals has verified them.
    pub(super) seals: Option<[u8; HASH_BYTES]>,
}

/// Where the verification of a shard stands.
#[derive(Debug)]
pub(super) struct Stand<'a> {
    pub(super) last: (i64, i64),
    pub(super) head: &'a Head,
    pub(super) books: &'a Books,
    pub(super) fact: i64,
    pub(super) trades: TradesVerified,
    pub(super) copied_with: &'a [u8],
    pub(super) seals: Option<[u8; HASH_BYTES]>,
}

/// Up to where trades were compared with their executions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TradesVerified {
    /// The last posting.
    pub(super) posting: i64,
    /// The last fact.
    pub(super) fact: i64,
    /// The last trade.
    pub(super) sequence: i64,
    /// The newest change of a trade.
    pub(super) updated_at: i64,
}

/// A checkpoint as it is written.
#[derive(Clone, PartialEq, prost::Message)]
struct Written {
    #[prost(message, repeated, tag = "1")]
    shards: Vec<WrittenShard>,
    #[prost(message, repeated, tag = "2")]
    open: Vec<WrittenOpen>,
    #[prost(btree_map = "string, bytes", tag = "3")]
    between: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WrittenShard {
    #[prost(uint32, tag = "1")]
    shard: u32,
    #[prost(int64, tag = "2")]
    posting: i64,
    #[prost(int64, tag = "3")]
    posted_at: i64,
    #[prost(int64, tag = "4")]
    transfer: i64,
    #[prost(int64, tag = "5")]
    batch: i64,
    #[prost(bytes = "vec", tag = "6")]
    hash: Vec<u8>,
    #[prost(int64, tag = "7")]
    fact: i64,
    #[prost(int64, tag = "8")]
    trades_posting: i64,
    #[prost(int64, tag = "9")]
    trades_fact: i64,
    #[prost(int64, tag = "10")]
    trades_sequence: i64,
    #[prost(int64, tag = "11")]
    trades_updated_at: i64,
    #[prost(bytes = "vec", tag = "12")]
    copied_with: Vec<u8>,
    #[prost(message, repeated, tag = "13")]
    wallets: Vec<WrittenWallet>,
    #[prost(message, repeated, tag = "14")]
    positions: Vec<WrittenPosition>,
    #[prost(bytes = "vec", optional, tag = "15")]
    seals: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WrittenWallet {
    #[prost(string, tag = "1")]
    account_id: String,
    #[prost(string, tag = "2")]
    currency: String,
    #[prost(int64, tag = "3")]
    cash: i64,
    #[prost(int64, tag = "4")]
    margin: i64,
    #[prost(int64, tag = "5")]
    version: i64,
    #[prost(bool, tag = "6")]
    is_frozen: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WrittenPosition {
    #[prost(string, tag = "1")]
    account_id: String,
    #[prost(string, tag = "2")]
    instrument_id: String,
    #[prost(string, tag = "3")]
    currency: String,
    #[prost(int32, tag = "4")]
    style: i32,
    #[prost(int64, tag = "5")]
    quantity: i64,
    #[prost(int64, tag = "6")]
    entry_notional: i64,
    #[prost(int64, tag = "7")]
    margin: i64,
    #[prost(int64, tag = "8")]
    realized_pnl: i64,
    #[prost(int64, tag = "9")]
    fees: i64,
    #[prost(int64, tag = "10")]
    account_version: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WrittenOpen {
    #[prost(bytes = "vec", tag = "1")]
    mark: Vec<u8>,
    #[prost(int64, tag = "2")]
    given: i64,
    #[prost(uint32, tag = "3")]
    shard: u32,
    #[prost(int64, tag = "4")]
    posting: i64,
    #[prost(uint32, tag = "5")]
    from: u32,
    #[prost(string, tag = "6")]
    between: String,
    #[prost(int64, tag = "7")]
    amount: i64,
    #[prost(bool, tag = "8")]
    is_slot: bool,
    #[prost(string, tag = "9")]
    key: String,
    #[prost(uint32, tag = "10")]
    to: u32,
}

impl Checkpoint {
    /// The one in the file at `path`; an empty one if there is none.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let unusable =
            || format!("{} is damaged, or of another version; delete it to verify from the beginning", path.display());
        let body = bytes.strip_prefix(MAGIC).with_context(unusable)?;
        let (checksum, body) = body.split_at_checked(CHECKSUM_BYTES).with_context(unusable)?;
        anyhow::ensure!(Sha256::digest(body).as_slice() == checksum, unusable());
        Self::decode(body).with_context(unusable)
    }

    fn decode(body: &[u8]) -> anyhow::Result<Self> {
        let written = Written::decode(body)?;
        let mut checkpoint = Self::default();
        for shard in written.shards {
            let number = u16::try_from(shard.shard)?;
            checkpoint.shards.insert(number, Written { shards: vec![shard], ..Written::default() }.encode_to_vec());
        }
        for open in written.open {
            let mark = Mark(open.mark.as_slice().try_into()?);
            let side = Side {
                shard: u16::try_from(open.shard)?,
                posting: open.posting,
                from: u16::try_from(open.from)?,
                to: u16::try_from(open.to)?,
                between: open.between,
                amount: open.amount,
                table: if open.is_slot { MOVED_WALLET } else { "cash_movement" },
                key: open.key,
            };
            checkpoint.open.insert(mark, OnItsWay { given: open.given, side });
        }
        for (name, amount) in written.between {
            checkpoint.between.insert(name, i128::from_be_bytes(amount.as_slice().try_into()?));
        }
        Ok(checkpoint)
    }

    /// What was verified of `shard`; nothing if it was never seen.
    pub(super) fn verified(&self, shard: u16) -> anyhow::Result<Verified> {
        let first = || Verified { seals: Some([0; HASH_BYTES]), ..Verified::default() };
        let Some(bytes) = self.shards.get(&shard) else { return Ok(first()) };
        Written::decode(bytes.as_slice())?.shards.pop().map_or_else(|| Ok(first()), verified)
    }

    /// Keeps what was verified of `shard` by now.
    pub(super) fn keep(&mut self, shard: u16, stand: &Stand<'_>) {
        let (trades, head) = (stand.trades, stand.head);
        let shards = vec![WrittenShard {
            shard: shard.into(),
            posting: stand.last.0,
            posted_at: stand.last.1,
            transfer: head.transfer,
            batch: head.batch,
            hash: head.hash.clone(),
            fact: stand.fact,
            trades_posting: trades.posting,
            trades_fact: trades.fact,
            trades_sequence: trades.sequence,
            trades_updated_at: trades.updated_at,
            copied_with: stand.copied_with.to_vec(),
            wallets: wallets(stand.books),
            positions: positions(stand.books),
            seals: stand.seals.map(|seals| seals.to_vec()),
        }];
        self.shards.insert(shard, Written { shards, ..Written::default() }.encode_to_vec());
    }

    /// Notes with which slots everything copied to `shard` was compared.
    pub(super) fn copied(&mut self, shard: u16, with: &[u8]) -> anyhow::Result<()> {
        let Some(bytes) = self.shards.get_mut(&shard) else { return Ok(()) };
        let mut written = Written::decode(bytes.as_slice())?;
        written.shards.iter_mut().for_each(|shard| shard.copied_with = with.to_vec());
        *bytes = written.encode_to_vec();
        Ok(())
    }

    /// Replaces the file at `path`: after a crash there is either the old one or this one.
    pub(super) fn write<'a>(
        &self,
        path: &Path,
        open: impl Iterator<Item = (&'a Mark, &'a OnItsWay)>,
        between: &BTreeMap<String, i128>,
    ) -> anyhow::Result<()> {
        let open = open.map(|(mark, open)| WrittenOpen {
            mark: mark.0.to_vec(),
            given: open.given,
            shard: open.side.shard.into(),
            posting: open.side.posting,
            from: open.side.from.into(),
            to: open.side.to.into(),
            between: open.side.between.clone(),
            amount: open.side.amount,
            is_slot: open.side.table == MOVED_WALLET,
            key: open.side.key.clone(),
        });
        let between = between.iter().map(|(name, amount)| (name.clone(), amount.to_be_bytes().to_vec())).collect();
        // Messages written one after the other are one message with the lists of all.
        let mut body = Written { shards: Vec::new(), open: open.collect(), between }.encode_to_vec();
        self.shards.values().for_each(|shard| body.extend_from_slice(shard));
        replace(path, &body).with_context(|| format!("writing {}", path.display()))
    }
}

fn replace(path: &Path, body: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = Path::new(&name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(fresh)?;
    file.write_all(MAGIC)?;
    file.write_all(&Sha256::digest(body))?;
    file.write_all(body)?;
    file.sync_all()?;
    fs::rename(fresh, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn wallets(books: &Books) -> Vec<WrittenWallet> {
    let wallets = books.wallets.iter().map(|((account, currency), wallet)| WrittenWallet {
        account_id: books.accounts.text(*account).to_owned(),
        currency: books.currencies.text(*currency).to_owned(),
        cash: wallet.cash.micros(),
        margin: wallet.margin.micros(),
        version: wallet.version,
        is_frozen: wallet.is_frozen,
    });
    wallets.collect()
}

fn positions(books: &Books) -> Vec<WrittenPosition> {
    let positions = books.positions.iter().map(|((account, instrument), held)| WrittenPosition {
        account_id: books.accounts.text(*account).to_owned(),
        instrument_id: books.instruments.text(*instrument).to_owned(),
        currency: books.currencies.text(held.currency).to_owned(),
        style: held.style,
        quantity: held.position.quantity.micros(),
        entry_notional: held.position.entry_notional.micros(),
        margin: held.position.margin.micros(),
        realized_pnl: held.position.realized_pnl.micros(),
        fees: held.position.fees.micros(),
        account_version: held.account_version,
    });
    positions.collect()
}

fn verified(shard: WrittenShard) -> anyhow::Result<Verified> {
    let mut books = Books::default();
    for row in shard.wallets {
        let name = (books.accounts.name(&row.account_id)?, books.currencies.name(&row.currency)?);
        let wallet = Wallet {
            cash: Money::from_micros(row.cash),
            margin: Money::from_micros(row.margin),
            version: row.version,
            is_frozen: row.is_frozen,
        };
        books.wallets.insert(name, wallet);
    }
    for row in shard.positions {
        let name = (books.accounts.name(&row.account_id)?, books.instruments.name(&row.instrument_id)?);
        let held = Held {
            currency: books.currencies.name(&row.currency)?,
            style: row.style,
            position: Position {
                quantity: Quantity::from_micros(row.quantity),
                entry_notional: Money::from_micros(row.entry_notional),
                margin: Money::from_micros(row.margin),
                realized_pnl: Money::from_micros(row.realized_pnl),
                fees: Money::from_micros(row.fees),
            },
            account_version: row.account_version,
        };
        books.positions.insert(name, held);
    }
    Ok(Verified {
        last: (shard.posting, shard.posted_at),
        head: Head { transfer: shard.transfer, batch: shard.batch, hash: shard.hash },
        books,
        fact: shard.fact,
        trades: TradesVerified {
            posting: shard.trades_posting,
            fact: shard.trades_fact,
            sequence: shard.trades_sequence,
            updated_at: shard.trades_updated_at,
        },
        copied_with: shard.copied_with,
        seals: shard.seals.map(|seals| seals.as_slice().try_into()).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_damage_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let mut books = Books::default();
        let name = (books.accounts.name("alice").expect("an id"), books.currencies.name("USD").expect("an id"));
        let wallet = Wallet { cash: Money::from_micros(5), margin: Money::ZERO, version: 3, is_frozen: true };
        books.wallets.insert(name, wallet);
        let trades = TradesVerified { posting: 1, fact: 2, sequence: 3, updated_at: 4 };
        let head = Head { transfer: 5, batch: 2, hash: vec![7; 32] };
        let mut checkpoint = Checkpoint::default();
        let seals = Some([6; HASH_BYTES]);
        let stand = Stand { last: (9, 10), head: &head, books: &books, fact: 8, trades, copied_with: b"slots", seals };
        checkpoint.keep(3, &stand);
        let side = Side {
            shard: 3,
            posting: 9,
            from: 1,
            to: 3,
            between: "between/1-3/USD".to_owned(),
            amount: 6,
            table: MOVED_WALLET,
            key: "k".to_owned(),
        };
        let open = [(Mark([1; 16]), OnItsWay { given: -1, side })];
        let between = BTreeMap::from([("between/1-3/USD".to_owned(), -6)]);
        checkpoint.write(&path, open.iter().map(|(mark, open)| (mark, open)), &between).expect("written");

        let read = Checkpoint::read(&path).expect("readable");
        let shard = read.verified(3).expect("a shard");
        assert_eq!((shard.last, shard.fact, shard.trades, shard.copied_with), ((9, 10), 8, trades, b"slots".to_vec()));
        assert_eq!(shard.seals, seals);
        assert_eq!((shard.head, shard.books.find_wallet("alice", "USD")), (head, Some(&wallet)));
        assert_eq!((read.open, read.between), (HashMap::from(open), between));
        assert_eq!(read_empty(folder.path()), (0, 0));

        let mut bytes = fs::read(&path).expect("bytes");
        *bytes.last_mut().expect("bytes") ^= 1;
        fs::write(&path, bytes).expect("written");
        let refused = Checkpoint::read(&path).expect_err("damaged").to_string();
        assert!(refused.contains("damaged"), "{refused}");
    }

    fn read_empty(folder: &Path) -> (i64, usize) {
        let none = Checkpoint::read(&folder.join("none")).expect("nothing was verified");
        (none.verified(0).expect("nothing").last.0, none.open.len())
    }
}
