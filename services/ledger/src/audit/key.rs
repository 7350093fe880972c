//! The key that heads are signed with: a file that only its owner can read.

use anyhow::Context as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Length of a key without anything around it, bytes.
const SEED_BYTES: usize = 32;

/// A key to sign with.
pub(crate) struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key in the file at `path`: PKCS #8, or its 32 bytes. With `creates` a missing one is made; beside
    /// it lies the public half then, in hex digits. Several processes may start at once.
    pub(crate) fn open(path: &Path, creates: bool) -> anyhow::Result<Self> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && creates => {
                create(path).with_context(|| format!("making the key {}", path.display()))?
            }
            read => read.with_context(|| format!("reading the key {}", path.display()))?,
        };
        let pair = if bytes.len() == SEED_BYTES {
            Ed25519KeyPair::from_seed_unchecked(&bytes)
        } else {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes)
        };
        let pair = pair.map_err(|_| anyhow::anyhow!("{} does not hold an Ed25519 key", path.display()))?;
        Ok(Self(pair))
    }

    /// The half that checks signatures.
    pub(crate) fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        key
    }

    /// The signature of `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> anyhow::Result<[u8; 64]> {
        let signature = self.0.try_sign(message).map_err(|_| anyhow::anyhow!("the key cannot sign"))?;
        signature.as_ref().try_into().context("a signature has 64 bytes")
    }
}

/// Makes a key, unless another process was faster; the one in the file in the end.
fn create(path: &Path) -> anyhow::Result<Vec<u8>> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let pair = Ed25519KeyPair::generate().map_err(|_| anyhow::anyhow!("the machine gives no random numbers"))?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| anyhow::anyhow!("the key cannot be written"))?;
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(pkcs8.as_ref())?;
    file.sync_all()?;
    // A link is made whole or not at all, and never over a key that is there.
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    match linked {
        Ok(()) => {
            let public = crate::store::rows::hex_text(pair.public_key().as_ref());
            fs::write(path.with_extension("pub"), format!("{public}\n"))?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fs::read(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_is_nobody_elses() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys/ledger.pkcs8");
        assert!(SigningKey::open(&path, false).is_err());
        let made = SigningKey::open(&path, true).expect("a key").public_key();
        assert_eq!(SigningKey::open(&path, true).expect("the same key").public_key(), made);
        assert_eq!(SigningKey::open(&path, false).expect("the same key").public_key(), made);
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = fs::read_to_string(path.with_extension("pub")).expect("the public half");
        assert_eq!(crate::audit::bytes_of_hex(public.trim()).expect("hex digits"), made);

        fs::write(&path, [7; 32]).expect("a seed");
        assert_ne!(SigningKey::open(&path, false).expect("a seed is a key").public_key(), made);
        fs::write(&path, [7; 31]).expect("no seed");
        assert!(SigningKey::open(&path, true).is_err());
    }
}
