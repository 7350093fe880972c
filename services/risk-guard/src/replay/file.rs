//! A journal in a file: a mark of 8 bytes, then for each message its sequence (8 bytes, little
//! endian), its length (4) and its bytes as they stand on the bus.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

const MARK: &[u8; 8] = b"TRAGENGJ";
/// The longest message the bus takes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Writes messages into a file.
#[derive(Debug)]
pub struct JournalWriter(BufWriter<File>);

/// Reads messages from a file.
#[derive(Debug)]
pub struct JournalReader(BufReader<File>);

impl JournalWriter {
    /// Begins a file; one that is there is replaced.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(MARK)?;
        Ok(Self(file))
    }

    /// Adds a message.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn write(&mut self, sequence: u64, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        self.0.write_all(&sequence.to_le_bytes())?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(payload)
    }

    /// Ends the file; it survives a power cut then.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync_all()
    }
}

impl JournalReader {
    /// Opens a file.
    ///
    /// # Errors
    /// [`io::Error`], also when it is no journal.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut mark = [0; MARK.len()];
        file.read_exact(&mut mark)?;
        if mark == *MARK { Ok(Self(file)) } else { Err(io::Error::other("it is no journal")) }
    }

    /// The next message with its sequence; `None` at the end.
    ///
    /// # Errors
    /// [`io::Error`], also when the file ends in the middle of a message.
    pub fn read(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut sequence = [0; 8];
        if self.0.read(&mut sequence[..1])? == 0 {
            return Ok(None);
        }
        self.0.read_exact(&mut sequence[1..])?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
        if length > MESSAGE_BYTES_MAX {
            return Err(io::Error::other("a message is longer than the bus takes"));
        }
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload)?;
        Ok(Some((u64::from_le_bytes(sequence), payload)))
    }
}
