//! The file of exported books: a line that says what it is, a header, blocks of
//! rows, and a SHA-256 of all that at its end. Numbers are big-endian.
//!
//! ```text
//! "tragen books 1\n"                          the version of the format
//! u32 length, JSON                            the header
//! u32 length, u8 table, u32 rows, the rows    a block; one table after the other
//! u32 0                                       no more blocks
//! 32 bytes                                    SHA-256 of everything before
//! ```
//!
//! A row is its columns in their order: a 64-bit number is a byte that says
//! whether it is there, and 8 bytes; a 32-bit number 4 bytes; a truth value one
//! byte; an id 16 bytes; a text, and bytes, their length in 4 bytes and themselves.

use crate::store::table::{Mistyped, Row, Sink, Source};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use uuid::Uuid;

/// What every file begins with: the number is the version of the format.
const MAGIC: &[u8] = b"tragen books 1\n";
/// A block is closed when it has this many bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// No block, and no header, is longer: a longer one is not read.
const BLOCK_BYTES_MAX: u32 = 64 << 20;

/// What is in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The shard whose books these are.
    pub(super) shard: u16,
    /// By which version they were exported.
    pub(super) made_by: String,
    /// One for each table, in the order of the blocks.
    pub(super) tables: Vec<TableHeader>,
}

/// What is in a file of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableHeader {
    pub(super) name: String,
    /// As the rows have them, separated by commas.
    pub(super) columns: String,
    pub(super) rows: u64,
}

/// Writes a file.
#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    digest: Sha256,
    block: Bytes,
    rows: u32,
}

impl<W: AsyncWrite + Unpin + Send> Writer<W> {
    /// Begins a file.
    pub(super) async fn begin(out: W, header: &Header) -> anyhow::Result<Self> {
        let mut writer = Self { out, digest: Sha256::new(), block: Bytes::default(), rows: 0 };
        let header = serde_json::to_vec(header)?;
        writer.put(MAGIC).await?;
        writer.put(&u32::try_from(header.len())?.to_be_bytes()).await?;
        writer.put(&header).await?;
        Ok(writer)
    }

    /// Adds a row of `table`.
    pub(super) async fn row<R: Row>(&mut self, table: u8, row: &R) -> anyhow::Result<()> {
        row.put(&mut self.block);
        self.rows += 1;
        if self.block.0.len() >= BLOCK_BYTES { self.close(table).await } else { Ok(()) }
    }

    /// Ends a block of `table`, if one has begun.
    pub(super) async fn close(&mut self, table: u8) -> anyhow::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block.0);
        let length = u32::try_from(block.len() + 5)?;
        let mut head = length.to_be_bytes().to_vec();
        head.push(table);
        head.extend_from_slice(&self.rows.to_be_bytes());
        self.put(&head).await?;
        self.put(&block).await?;
        self.rows = 0;
        Ok(())
    }

    /// Ends the file; returns what it was written to.
    pub(super) async fn end(mut self) -> anyhow::Result<W> {
        self.put(&0_u32.to_be_bytes()).await?;
        let digest = self.digest.finalize();
        self.out.write_all(&digest).await?;
        self.out.flush().await?;
        Ok(self.out)
    }

    async fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.digest.update(bytes);
        self.out.write_all(bytes).await.context("writing the file")
    }
}

/// Reads a file.
#[derive(Debug)]
pub(super) struct Reader<R> {
    input: R,
    digest: Sha256,
}

/// Rows of one table.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) table: u8,
    rows: u32,
    bytes: Vec<u8>,
}

impl<R: AsyncRead + Unpin + Send> Reader<R> {
    /// Reads the beginning of a file.
    pub(super) async fn begin(input: R) -> anyhow::Result<(Self, Header)> {
        let mut reader = Self { input, digest: Sha256::new() };
        let magic = reader.take(MAGIC.len()).await.context("this is no file of exported books")?;
        anyhow::ensure!(magic == MAGIC, "this is no file of exported books that this version can read");
        let length = reader.length().await?;
        let header = reader.take(length).await?;
        let header = serde_json::from_slice(&header).context("reading what is in the file")?;
        Ok((reader, header))
    }

    /// The next block; `None` when that was the last one, and the file is whole.
    pub(super) async fn block(&mut self) -> anyhow::Result<Option<Block>> {
        let length = self.length().await?;
        if length == 0 {
            let expected = std::mem::take(&mut self.digest).finalize();
            let mut rest = Vec::new();
            self.input.read_to_end(&mut rest).await.context("reading the file")?;
            anyhow::ensure!(
                rest == expected.as_slice(),
                "the file is damaged: its checksum is not that of its content"
            );
            return Ok(None);
        }
        let bytes = self.take(length).await?;
        let (Some((table, rest)), true) = (bytes.split_first(), bytes.len() >= 5) else {
            anyhow::bail!("the file is damaged: a block is too short")
        };
        let (rows, rest) = rest.split_at(4);
        Ok(Some(Block { table: *table, rows: u32::from_be_bytes(rows.try_into()?), bytes: rest.to_vec() }))
    }

    async fn length(&mut self) -> anyhow::Result<usize> {
        let length = self.take(4).await?;
        let length = u32::from_be_bytes(length.as_slice().try_into()?);
        anyhow::ensure!(length <= BLOCK_BYTES_MAX, "the file is damaged: a block of {length} bytes");
        Ok(usize::try_from(length)?)
    }

    async fn take(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).await.context("the file ends too early")?;
        self.digest.update(&bytes);
        Ok(bytes)
    }
}

impl Block {
    /// Its rows.
    pub(super) fn rows<R: Row>(&self) -> anyhow::Result<Vec<R>> {
        let mut rest = Rest(&self.bytes);
        let rows = (0..self.rows).map(|_| R::take(&mut rest)).collect::<Result<Vec<R>, _>>();
        let rows = rows.with_context(|| format!("the file is damaged: rows of {}", R::TABLE))?;
        anyhow::ensure!(rest.0.is_empty(), "the file is damaged: more than rows of {}", R::TABLE);
        Ok(rows)
    }
}

/// Rows as bytes.
#[derive(Debug, Default)]
struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn int(&mut self, value: Option<i64>) {
        self.0.push(u8::from(value.is_some()));
        self.0.extend_from_slice(&value.unwrap_or_default().to_be_bytes());
    }
    fn small(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }
    fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }
    fn bytes(&mut self, value: &[u8]) {
        // No column comes near this length: a longer one would not have come through the bus.
        self.0.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(value);
    }
    fn uuid(&mut self, value: &Uuid) {
        self.0.extend_from_slice(value.as_bytes());
    }
}

/// What is not read yet of rows.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn next(&mut self, length: usize) -> Result<&'a [u8], Mistyped> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Mistyped)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Mistyped> {
        self.next(N)?.try_into().map_err(|_| Mistyped)
    }

    fn flag(&mut self) -> Result<bool, Mistyped> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Mistyped),
        }
    }
}

impl Source for Rest<'_> {
    fn int(&mut self) -> Result<Option<i64>, Mistyped> {
        let is_there = self.flag()?;
        let number = i64::from_be_bytes(self.array()?);
        Ok(is_there.then_some(number))
    }
    fn small(&mut self) -> Result<i32, Mistyped> {
        Ok(i32::from_be_bytes(self.array()?))
    }
    fn bool(&mut self) -> Result<bool, Mistyped> {
        self.flag()
    }
    fn text(&mut self) -> Result<&str, Mistyped> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Mistyped)
    }
    fn bytes(&mut self) -> Result<&[u8], Mistyped> {
        let length = u32::from_be_bytes(self.array()?);
        self.next(usize::try_from(length).map_err(|_| Mistyped)?)
    }
    fn uuid(&mut self) -> Result<Uuid, Mistyped> {
        Ok(Uuid::from_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::{CashRow, ExecutionRow};

    fn rows() -> (Vec<ExecutionRow>, Vec<CashRow>) {
        let execution = |number: i64| ExecutionRow {
            execution_id: format!("ä-{number}"),
            posting_sequence: (number % 2 == 0).then_some(number),
            trade_id: Uuid::from_u128(7),
            side: -2,
            price: i64::MIN,
            quantity: i64::MAX,
            ..ExecutionRow::default()
        };
        let cash = CashRow { payload_hash: vec![0, 255], is_frozen_after: true, ..CashRow::default() };
        ((0..9_000).map(execution).collect(), vec![cash])
    }

    async fn file() -> Vec<u8> {
        let header = Header { shard: 3, made_by: "x".to_owned(), tables: vec![TableHeader::default()] };
        let mut writer = Writer::begin(Vec::new(), &header).await.expect("begun");
        let (executions, cash) = rows();
        for row in &executions {
            writer.row(5, row).await.expect("written");
        }
        writer.close(5).await.expect("closed");
        writer.row(6, &cash[0]).await.expect("written");
        writer.close(6).await.expect("closed");
        writer.end().await.expect("ended")
    }

    /// What is read; an error is its text.
    async fn read(bytes: &[u8]) -> Result<(Vec<ExecutionRow>, Vec<CashRow>), String> {
        let (mut executions, mut cash) = (Vec::new(), Vec::new());
        let (mut reader, header) = Reader::begin(bytes).await.map_err(|error| format!("{error:#}"))?;
        assert_eq!(header.shard, 3);
        while let Some(block) = reader.block().await.map_err(|error| format!("{error:#}"))? {
            match block.table {
                5 => executions.extend(block.rows().map_err(|error| format!("{error:#}"))?),
                _ => cash.extend(block.rows().map_err(|error| format!("{error:#}"))?),
            }
        }
        Ok((executions, cash))
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let bytes = file().await;
        assert!(bytes.len() > BLOCK_BYTES, "more than one block");
        assert_eq!(read(&bytes).await, Ok(rows()));
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused() {
        let bytes = file().await;
        for place in [0, 14, 16, 20, bytes.len() / 2, bytes.len() - 40, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(read(&damaged).await.is_err(), "byte {place}");
        }
        for length in [0, 10, 17, 1_000, bytes.len() - 33, bytes.len() - 1] {
            assert!(read(&bytes[..length]).await.is_err(), "cut at {length}");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(read(&longer).await.is_err_and(|error| error.contains("checksum")));
    }
}
