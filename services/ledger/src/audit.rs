//! The head of each shard's hash chain, signed and told to the world once a
//! minute. Whoever keeps these heads can prove later that the history up to each
//! of them was not rewritten: the chain can be computed anew, a signature that
//! somebody else holds cannot be changed.

mod key;

pub(crate) use key::SigningKey;

use crate::{
    answer::Owned,
    config::Config,
    metrics as names,
    store::{
        Books,
        rows::{ShardRow, hex_text},
        session::Sql,
    },
};
use anyhow::Context as _;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use metrics::counter;
use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tracing::{info, warn};
use tragen_bus::{Bus, PublishOptions, Stream, Subject};
use tragen_contracts::v1;
use tragen_host::{Context, clock::now_micros};

/// What every signature begins with, so that it can be taken for nothing else.
const PURPOSE: &[u8] = b"tragen-chain-head-v1";
const SHARD: Sql = Sql::same("SELECT * FROM shard");
/// How long one attempt to publish a head may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The head of a shard's chain, and who has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedHead {
    /// The shard.
    pub(crate) shard: u16,
    /// Its last batch.
    pub(crate) batch_sequence: i64,
    /// Its last transfer.
    pub(crate) transfer_sequence: i64,
    /// SHA-256 over all batches so far.
    pub(crate) head_hash: [u8; 32],
    /// Microseconds since the epoch.
    pub(crate) signed_at_micros: i64,
    /// Ed25519.
    pub(crate) signature: [u8; 64],
    /// Whose.
    pub(crate) public_key: [u8; 32],
}

/// A signature is not that of its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its signature is not valid")]
pub(crate) struct BadSignature;

impl SignedHead {
    /// What is signed: the purpose, then every field but the last two, numbers big-endian.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = PURPOSE.to_vec();
        bytes.extend_from_slice(&u32::from(self.shard).to_be_bytes());
        bytes.extend_from_slice(&self.batch_sequence.to_be_bytes());
        bytes.extend_from_slice(&self.transfer_sequence.to_be_bytes());
        bytes.extend_from_slice(&self.head_hash);
        bytes.extend_from_slice(&self.signed_at_micros.to_be_bytes());
        bytes
    }

    /// Whether the signature is that of the key it names.
    pub(crate) fn check(&self) -> Result<(), BadSignature> {
        let key = UnparsedPublicKey::new(&ED25519, self.public_key);
        key.verify(&self.bytes(), &self.signature).map_err(|_| BadSignature)
    }

    /// As it travels on the bus.
    fn message(&self) -> v1::ChainHead {
        v1::ChainHead {
            shard: self.shard.into(),
            batch_sequence: self.batch_sequence,
            transfer_sequence: self.transfer_sequence,
            head_hash: self.head_hash.to_vec().into(),
            signed_at_micros: self.signed_at_micros,
            signature: self.signature.to_vec().into(),
            public_key: self.public_key.to_vec().into(),
        }
    }

    /// As one line of JSON.
    fn line(&self) -> String {
        let line = serde_json::json!({
            "shard": self.shard,
            "batch_sequence": self.batch_sequence,
            "transfer_sequence": self.transfer_sequence,
            "head_hash": hex_text(&self.head_hash),
            "signed_at_micros": self.signed_at_micros,
            "signature": hex_text(&self.signature),
            "public_key": hex_text(&self.public_key),
        });
        format!("{line}\n")
    }

    /// Out of one line of JSON.
    fn parse(line: &str) -> anyhow::Result<Self> {
        let line: serde_json::Value = serde_json::from_str(line).context("it is no JSON")?;
        let number =
            |name: &str| line.get(name).and_then(serde_json::Value::as_i64).context(format!("{name} is missing"));
        let hex = |name: &str| {
            let text = line.get(name).and_then(serde_json::Value::as_str);
            text.and_then(bytes_of_hex).context(format!("{name} is missing or no hexadecimal number"))
        };
        let length = |name: &'static str| move |_| anyhow::anyhow!("{name} has another length");
        Ok(Self {
            shard: u16::try_from(number("shard")?)?,
            batch_sequence: number("batch_sequence")?,
            transfer_sequence: number("transfer_sequence")?,
            head_hash: hex("head_hash")?.try_into().map_err(length("head_hash"))?,
            signed_at_micros: number("signed_at_micros")?,
            signature: hex("signature")?.try_into().map_err(length("signature"))?,
            public_key: hex("public_key")?.try_into().map_err(length("public_key"))?,
        })
    }
}

/// The bytes that hex digits stand for.
pub(crate) fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = pairs.map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    if digits.len().is_multiple_of(2) && digits.is_ascii() { bytes.collect() } else { None }
}

/// Every line of a file of heads with its number, parsed or why not.
pub(crate) fn read_heads(path: &Path) -> anyhow::Result<Vec<(usize, anyhow::Result<SignedHead>)>> {
    let text = fs::read_to_string(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    Ok(lines.map(|(place, line)| (place + 1, SignedHead::parse(line))).collect())
}

/// Starts signing the heads of the shards that this process owns, if there is a key to sign with.
///
/// # Errors
/// When the key cannot be read or made.
pub(crate) fn start(
    context: &Context,
    bus: &Bus,
    books: &Arc<[Books]>,
    owned: &Owned,
    config: &Arc<Config>,
) -> anyhow::Result<()> {
    if config.signing_key_file.as_os_str().is_empty() {
        return Ok(());
    }
    let key = SigningKey::open(&config.signing_key_file, config.creates_signing_key)?;
    info!("heads of the hash chain are signed by {}", hex_text(&key.public_key()));
    let auditor = Auditor {
        bus: bus.clone(),
        books: Arc::clone(books),
        owned: owned.clone(),
        config: Arc::clone(config),
        key,
        told: HashMap::new(),
        filed: HashMap::new(),
    };
    context.spawn("ledger-audit", auditor.run(context.clone()));
    Ok(())
}

/// Signs heads.
struct Auditor {
    bus: Bus,
    books: Arc<[Books]>,
    owned: Owned,
    config: Arc<Config>,
    key: SigningKey,
    /// By shard, the last batch whose head is on the bus.
    told: HashMap<u16, i64>,
    /// By shard, the last batch whose head is in the file.
    filed: HashMap<u16, i64>,
}

impl Auditor {
    async fn run(mut self, context: Context) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(self.config.heads_every_ms));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = context.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                _ = tick.tick() => {}
            }
            for shard in self.owned.shards() {
                if let Err(error) = self.sign(shard).await {
                    // The next minute's head says more than this one.
                    warn!("the head of shard {shard} is not signed: {error:#}");
                }
            }
        }
    }

    /// Signs the head of `shard` if it is a new one.
    async fn sign(&mut self, shard: u16) -> anyhow::Result<()> {
        let Some(books) = self.books.iter().find(|books| books.shard == shard) else { return Ok(()) };
        let row: Option<ShardRow> = books.primary.one(SHARD, &[]).await?;
        let Some(row) = row else { return Ok(()) };
        let batch = row.batch_sequence;
        let is_new = |known: &HashMap<u16, i64>| known.get(&shard).is_none_or(|known| *known < batch);
        if batch == 0 || !is_new(&self.told) && (self.config.heads_file.as_os_str().is_empty() || !is_new(&self.filed))
        {
            return Ok(());
        }
        let mut head = SignedHead {
            shard,
            batch_sequence: batch,
            transfer_sequence: row.transfer_sequence,
            head_hash: row.head_hash.try_into().map_err(|_| anyhow::anyhow!("the head has another length"))?,
            signed_at_micros: now_micros(),
            signature: [0; 64],
            public_key: self.key.public_key(),
        };
        head.signature = self.key.sign(&head.bytes())?;
        if !self.config.heads_file.as_os_str().is_empty() && is_new(&self.filed) {
            let (path, line) = (self.config.heads_file.clone(), head.line());
            tokio::task::spawn_blocking(move || append(&path, &line)).await??;
            self.filed.insert(shard, batch);
        }
        if is_new(&self.told) {
            let options =
                PublishOptions { message_id: format!("head-{shard}-{batch}").into(), ..PublishOptions::default() };
            let subject = Subject::ChainHead(shard);
            if let Err(error) = self.bus.publish(&subject, &head.message(), &options, PATIENCE).await {
                // A store that was wiped has no streams either.
                let _ = self.bus.apply_stream(Stream::Audit).await;
                return Err(error).context("publishing it");
            }
            self.told.insert(shard, batch);
            counter!(names::HEADS).increment(1);
        }
        Ok(())
    }
}

fn append(path: &Path, line: &str) -> anyhow::Result<()> {
    let named = || format!("writing {}", path.display());
    let mut file = OpenOptions::new().append(true).create(true).open(path).with_context(named)?;
    file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).with_context(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(key: &SigningKey) -> SignedHead {
        let mut head = SignedHead {
            shard: 3,
            batch_sequence: 7,
            transfer_sequence: 9,
            head_hash: [5; 32],
            signed_at_micros: 11,
            signature: [0; 64],
            public_key: key.public_key(),
        };
        head.signature = key.sign(&head.bytes()).expect("signed");
        head
    }

    #[test]
    fn a_head_is_known_by_its_signature() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = SigningKey::open(&folder.path().join("keys/ledger.pkcs8"), true).expect("a key");
        let head = signed(&key);
        assert_eq!(head.check(), Ok(()));
        assert_eq!(SignedHead::parse(&head.line()).expect("a head"), head);
        for changed in [
            SignedHead { shard: 4, ..head.clone() },
            SignedHead { batch_sequence: 8, ..head.clone() },
            SignedHead { transfer_sequence: 8, ..head.clone() },
            SignedHead { head_hash: [6; 32], ..head.clone() },
            SignedHead { signed_at_micros: 12, ..head.clone() },
            SignedHead { signature: [1; 64], ..head.clone() },
            SignedHead { public_key: [1; 32], ..head },
        ] {
            assert_eq!(changed.check(), Err(BadSignature), "{changed:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_head_says_why() {
        for (line, reason) in [
            ("", "JSON"),
            ("{}", "shard"),
            (r#"{"shard":1,"batch_sequence":1,"transfer_sequence":1,"head_hash":"0g"}"#, "head_hash"),
            (
                r#"{"shard":1,"batch_sequence":1,"transfer_sequence":1,"head_hash":"00"}"#,
                "head_hash has another length",
            ),
        ] {
            let refused = SignedHead::parse(line).expect_err("refused");
            assert!(format!("{refused:#}").contains(reason), "{line}: {refused:#}");
        }
    }
}
