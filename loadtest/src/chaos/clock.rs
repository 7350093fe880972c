//! Wall clocks that are wrong: each service reads from a file how far it shall find its own off. Only builds with debug
//! assertions do; whether this one does, a token tells: there is a time in it.

use super::{
    fault::{Jump, Part},
    process::argument,
};
use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// The variable that names the file.
const VARIABLE: &str = "TRAGEN_CLOCK_FILE";
const HOUR_MICROS: i64 = 3_600_000_000;
/// What the clock of the question is ahead, so that no life of a token can be mistaken for it.
const YEARS_SECS: u64 = 10 * 365 * 86_400;

/// The clocks of all services.
#[derive(Debug, Clone, Default)]
pub(super) struct Clocks {
    folder: PathBuf,
    are_read: bool,
}

#[derive(Debug, Deserialize)]
struct Claims {
    exp: u64,
}

impl Clocks {
    /// Those of services that `program` starts with their data in `folder`: asked for a token.
    pub(super) fn of(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let own = Self { folder: folder.join("clocks"), are_read: false };
        fs::create_dir_all(&own.folder).with_context(|| format!("making {}", own.folder.display()))?;
        let data = folder.join("data");
        fs::create_dir_all(&data).with_context(|| format!("making {}", data.display()))?;
        let question = own.folder.join("question");
        fs::write(&question, (YEARS_SECS * 1_000_000).to_string()).context("setting a clock")?;
        let made = Command::new(program)
            .args(["token", "--account", "chaos", "--data-dir"])
            .arg(&data)
            .env(VARIABLE, &question)
            .output()
            .with_context(|| format!("running {}", program.display()))?;
        anyhow::ensure!(made.status.success(), "tragen token: {}", String::from_utf8_lossy(&made.stderr));
        let expires = expiry(&String::from_utf8_lossy(&made.stdout)).context("reading a token")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
        Ok(Self { are_read: expires > now + YEARS_SECS / 2, ..own })
    }

    /// Whether a service finds its clock off when it is told so.
    pub(super) const fn can_jump(&self) -> bool {
        self.are_read
    }

    /// The variable that a service is started with.
    pub(super) fn variable(&self, part: Part) -> (String, String) {
        (VARIABLE.to_owned(), argument(&self.folder.join(part.name())))
    }

    /// From now on the clock of `part` is off; `None`: it is right.
    pub(super) fn set(&self, part: Part, jump: Option<Jump>) -> anyhow::Result<()> {
        let micros = match jump {
            Some(Jump::Ahead) => HOUR_MICROS,
            Some(Jump::Back) => -HOUR_MICROS,
            None => 0,
        };
        let (path, fresh) = (self.folder.join(part.name()), self.folder.join("fresh"));
        // Read at any moment: never half of it.
        let set = fs::write(&fresh, micros.to_string()).and_then(|()| fs::rename(&fresh, &path));
        set.with_context(|| format!("setting the clock of {}", part.name()))
    }
}

/// When a token ends, seconds since the epoch.
fn expiry(token: &str) -> anyhow::Result<u64> {
    let claims = token.trim().split('.').nth(1).context("it has no claims")?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    Ok(claims.exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_finds_its_own_clock_off_and_right_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let clocks = Clocks { folder: folder.path().to_owned(), are_read: true };
        let told = |part: Part| fs::read_to_string(clocks.variable(part).1).ok();
        for (jump, expected) in [(Some(Jump::Ahead), "3600000000"), (Some(Jump::Back), "-3600000000"), (None, "0")] {
            clocks.set(Part::Ledger, jump).expect("set");
            assert_eq!(told(Part::Ledger).as_deref(), Some(expected));
        }
        assert_eq!(told(Part::RiskGuard), None, "it was not told");
    }

    #[test]
    fn a_token_tells_when_it_ends() {
        let claims = URL_SAFE_NO_PAD.encode(br#"{"sub":"chaos","exp":1700000000}"#);
        assert_eq!(expiry(&format!("e30.{claims}.c2ln\n")).expect("read"), 1_700_000_000);
        assert!(expiry("nonsense").is_err());
    }
}
