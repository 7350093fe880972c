//! The signing key of a data folder.

use super::{Claims, Scope};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    jwk::{AlgorithmParameters, Jwk},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// A key pair that tokens are signed with.
pub struct Keys {
    signing: EncodingKey,
    public: PublicKey,
}

/// The half that checks signatures.
#[derive(Debug, Clone)]
pub struct PublicKey {
    /// First 16 hex digits of the SHA-256 of the key.
    pub kid: String,
    pub(crate) decoding: DecodingKey,
}

/// Why a key or token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key file cannot be read or written.
    #[error("the key file {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A key file is not an Ed25519 key.
    #[error("{} does not hold a key of this program", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers")]
    NoRandomness,
    /// The token cannot be signed.
    #[error("signing a token")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("kid", &self.public.kid).finish_non_exhaustive()
    }
}

/// Where keys are in a data folder.
const FOLDER: &str = "keys";
/// The file that signs.
const PRIVATE_HALF: &str = "token.pkcs8";

/// RFC 8410: what precedes the 32 secret bytes of an Ed25519 key in PKCS #8.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A token as it is written.
#[derive(Debug, Serialize)]
struct Written<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    tier: &'a str,
    role: &'a str,
    scope: String,
}

impl Keys {
    /// Whether there are keys in `data_dir`.
    #[must_use]
    pub fn are_in(data_dir: &Path) -> bool {
        data_dir.join(FOLDER).join(PRIVATE_HALF).exists()
    }

    /// The keys in `data_dir`, made and kept there if there are none. The files
    /// are readable by their owner only. Several processes may start at once.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load_or_create(data_dir: &Path) -> Result<Self, KeyError> {
        let folder = data_dir.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|source| KeyError::File { path: folder.clone(), source })?;
        let path = folder.join(PRIVATE_HALF);
        let pkcs8 = read_or_write(&path, || Ok([PKCS8_PREFIX.as_slice(), &random()?].concat()))?;
        let is_ed25519 = pkcs8.len() == PKCS8_PREFIX.len() + 32 && pkcs8.starts_with(&PKCS8_PREFIX);
        if !is_ed25519 {
            return Err(KeyError::Malformed { path });
        }
        let signing = EncodingKey::from_ed_der(&pkcs8);
        let public_bytes = public_half(&signing).ok_or(KeyError::Malformed { path })?;
        let kid = kid_of(&public_bytes);
        read_or_write(&folder.join(format!("{kid}.pub")), || Ok(public_bytes.clone()))?;
        Ok(Self { signing, public: PublicKey { kid, decoding: DecodingKey::from_ed_der(&public_bytes) } })
    }

    /// A signed token that is valid from now on.
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn issue(&self, claims: &Claims) -> Result<String, KeyError> {
        let now = u64::try_from(tragen_host::clock::now_micros() / 1_000_000).unwrap_or(0);
        let scopes: Vec<&str> = claims.scopes.iter().copied().map(Scope::as_str).collect();
        let written = Written {
            iss: &claims.issuer,
            aud: &claims.audience,
            sub: claims.account.as_str(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(claims.lifetime.as_secs()),
            tier: claims.tier.as_str(),
            role: claims.role.as_str(),
            scope: scopes.join(" "),
        };
        self.sign(&written)
    }

    /// The half that checks signatures.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.public.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(KeyError::Signing)
    }
}

impl PublicKey {
    /// Every public key in `data_dir` (`keys/<kid>.pub`, 32 bytes each). If there
    /// is none, a pair is made: a router that shall not be able to issue tokens
    /// is given the public half beforehand.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load_or_create(data_dir: &Path) -> Result<Vec<Self>, KeyError> {
        let known = Self::load(&data_dir.join("keys"))?;
        if known.is_empty() { Ok(vec![Keys::load_or_create(data_dir)?.public]) } else { Ok(known) }
    }

    fn load(folder: &Path) -> Result<Vec<Self>, KeyError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| KeyError::File { path, source }
        };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(folder)(error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed(folder))?.path();
            if path.extension().is_none_or(|extension| extension != "pub") {
                continue;
            }
            let bytes = fs::read(&path).map_err(failed(&path))?;
            let kid = kid_of(&bytes);
            // A key under another name is not the one that was put there.
            if bytes.len() != 32 || path.file_stem().is_none_or(|stem| stem != kid.as_str()) {
                return Err(KeyError::Malformed { path });
            }
            keys.push(Self { kid, decoding: DecodingKey::from_ed_der(&bytes) });
        }
        Ok(keys)
    }
}

/// What page tokens are signed with, made and kept in `data_dir`.
///
/// # Errors
/// [`KeyError`].
pub(crate) fn page_secret(data_dir: &Path) -> Result<[u8; 32], KeyError> {
    let folder = data_dir.join("keys");
    fs::create_dir_all(&folder).map_err(|source| KeyError::File { path: folder.clone(), source })?;
    let path = folder.join("page.secret");
    let secret = read_or_write(&path, || Ok(random()?.to_vec()))?;
    <[u8; 32]>::try_from(secret).map_err(|_| KeyError::Malformed { path })
}

fn public_half(signing: &EncodingKey) -> Option<Vec<u8>> {
    let jwk = Jwk::from_encoding_key(signing, Algorithm::EdDSA).ok()?;
    let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else { return None };
    URL_SAFE_NO_PAD.decode(pair.x).ok().filter(|x| x.len() == 32)
}

fn kid_of(public_key: &[u8]) -> String {
    Sha256::digest(public_key)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    Ok(bytes)
}

/// The file's bytes; if there is no such file, it is made with `new`. The file
/// appears whole or not at all: whoever is first wins, the others read its bytes.
fn read_or_write(path: &Path, new: impl FnOnce() -> Result<Vec<u8>, KeyError>) -> Result<Vec<u8>, KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => return Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let bytes = new()?;
    let draft = path.with_extension(format!("{}.draft", uuid::Uuid::new_v4().simple()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_same_folder_gives_the_same_private_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Keys::load_or_create(folder.path()).expect("keys");
        let second = Keys::load_or_create(folder.path()).expect("keys");
        assert_eq!(first.public().kid, second.public().kid);
        assert_eq!(first.public().kid.len(), 16);
        assert_eq!(page_secret(folder.path()).expect("a secret"), page_secret(folder.path()).expect("a secret"));
        let files: Vec<_> = fs::read_dir(folder.path().join("keys")).expect("a folder").collect();
        assert_eq!(files.len(), 3);
        for file in files {
            let mode = file.expect("a file").metadata().expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn public_keys_are_enough_and_several_may_hold() {
        let [issuer, router] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let keys = Keys::load_or_create(issuer.path()).expect("keys");
        let name = format!("keys/{}.pub", keys.public().kid);
        fs::create_dir(router.path().join("keys")).expect("a folder");
        fs::copy(issuer.path().join(&name), router.path().join(&name)).expect("copied");
        let known = PublicKey::load_or_create(router.path()).expect("keys");
        assert_eq!(known.iter().map(|key| &key.kid).collect::<Vec<_>>(), [&keys.public().kid]);
        assert!(!router.path().join("keys/token.pkcs8").exists());
        Keys::load_or_create(router.path()).expect("a pair of its own");
        assert_eq!(PublicKey::load_or_create(router.path()).expect("keys").len(), 2);
        fs::rename(router.path().join(&name), router.path().join("keys/other.pub")).expect("renamed");
        assert!(matches!(PublicKey::load_or_create(router.path()), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("keys")).expect("a folder");
        fs::write(folder.path().join("keys/token.pkcs8"), b"secret").expect("a file");
        assert!(matches!(Keys::load_or_create(folder.path()), Err(KeyError::Malformed { .. })));
    }
}
