//! Balances for display: in the process, and behind it in Redis where routers
//! share them. Each says when it was read, so that a reader may refuse it for
//! its age. No decision about money is made on them.

use crate::{key::BalanceKey, local::LocalCache, server::Server};
use metrics::counter;
use redis::{RedisError, Script};
use std::sync::Arc;
use tragen_domain::{money::Money, time::Timestamp};

/// A balance as the ledger had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedBalance {
    /// Posted cash.
    pub cash: Money,
    /// Cash set aside as margin.
    pub margin: Money,
    /// The ledger's version of it.
    pub version: i64,
    /// Whether the account is frozen.
    pub is_frozen: bool,
    /// When the ledger surely had it; it may have changed since.
    pub read_at: Timestamp,
}

/// Balances of many accounts; clones share them.
#[derive(Debug, Clone)]
pub struct BalanceCache {
    local: LocalCache<BalanceKey, CachedBalance>,
    shared: Option<SharedBalances>,
}

/// Balances kept in Redis.
#[derive(Clone)]
pub struct SharedBalances {
    server: Server,
    read: Arc<Script>,
    keep: Arc<Script>,
}

const READ: &str = "return redis.call('GET', KEYS[1])";

/// A value begins with its version and when it was read; an older one does not
/// take the place of a newer one. ARGV is the time to live and a value for each key.
const KEEP: &str = r"
for i, key in ipairs(KEYS) do
  local version, read_at = string.match(ARGV[i + 1], '^(%-?%d+) (%-?%d+)')
  local old_version, old_read_at = string.match(redis.call('GET', key) or '', '^(%-?%d+) (%-?%d+)')
  version, read_at = tonumber(version), tonumber(read_at)
  old_version, old_read_at = tonumber(old_version), tonumber(old_read_at)
  if not old_version or version > old_version or (version == old_version and read_at >= old_read_at) then
    redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1])
  end
end
return 0
";

impl CachedBalance {
    fn is_newer_than(&self, other: &Self) -> bool {
        (self.version, self.read_at) > (other.version, other.read_at)
    }

    /// Whether it is at most `age_ms_max` milliseconds old at `now`.
    #[must_use]
    pub fn is_fresh(&self, age_ms_max: u32, now: Timestamp) -> bool {
        now.micros().saturating_sub(self.read_at.micros()) <= i64::from(age_ms_max) * 1_000
    }

    fn encoded(&self) -> String {
        let Self { cash, margin, version, is_frozen, read_at } = self;
        let state = if *is_frozen { "frozen" } else { "free" };
        format!("{version} {} {} {} {state}", read_at.micros(), cash.micros(), margin.micros())
    }

    fn decoded(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut number = || words.next()?.parse::<i64>().ok();
        let (version, read_at) = (number()?, Timestamp::from_micros(number()?));
        let (cash, margin) = (Money::from_micros(number()?), Money::from_micros(number()?));
        let is_frozen = match words.next()? {
            "frozen" => true,
            "free" => false,
            _ => return None,
        };
        Some(Self { cash, margin, version, is_frozen, read_at })
    }
}

impl std::fmt::Debug for SharedBalances {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedBalances").finish_non_exhaustive()
    }
}

impl SharedBalances {
    /// Balances at `url`, e.g. `redis://127.0.0.1:6379`. The connection is made
    /// when it is first needed, and again whenever it breaks.
    ///
    /// # Errors
    /// When `url` is not the address of a Redis server.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        let script = |text| Arc::new(Script::new(text));
        Ok(Self { server: Server::new(url)?, read: script(READ), keep: script(KEEP) })
    }

    async fn read(&self, key: &BalanceKey, now: Timestamp) -> Option<CachedBalance> {
        let mut question = self.read.prepare_invoke();
        question.key(key.to_string());
        let answer: Option<String> =
            self.server.run(&question, now, "balances are cached in the process for now").await?;
        let found = answer.as_deref().and_then(CachedBalance::decoded);
        let outcome = if found.is_some() { "hit" } else { "miss" };
        counter!("cache_lookups_total", "cache" => "shared_balances", "outcome" => outcome).increment(1);
        found
    }

    async fn keep(&self, balances: &[(BalanceKey, CachedBalance)], now: Timestamp) {
        let mut change = self.keep.prepare_invoke();
        change.arg(i64::try_from(BalanceKey::TIME_TO_LIVE.as_millis()).unwrap_or(i64::MAX));
        for (key, balance) in balances {
            change.key(key.to_string()).arg(balance.encoded());
        }
        let _: Option<i64> = self.server.run(&change, now, "balances are not shared for now").await;
    }
}

impl BalanceCache {
    /// At most `entries_max` balances in the process; shared with other processes if `shared` is given.
    #[must_use]
    pub fn new(entries_max: u64, shared: Option<SharedBalances>) -> Self {
        Self { local: LocalCache::new("balances", entries_max, BalanceKey::TIME_TO_LIVE), shared }
    }

    /// A balance that is at most `age_ms_max` milliseconds old at `now`.
    pub async fn get(&self, key: &BalanceKey, age_ms_max: u32, now: Timestamp) -> Option<CachedBalance> {
        if let Some(own) = self.local.get(key).filter(|balance| balance.is_fresh(age_ms_max, now)) {
            return Some(own);
        }
        let shared = self.shared.as_ref()?.read(key, now).await?;
        self.keep(key.clone(), shared);
        Some(shared).filter(|balance| balance.is_fresh(age_ms_max, now))
    }

    /// Keeps `balance` in the process unless a newer one is there.
    pub fn keep(&self, key: BalanceKey, balance: CachedBalance) {
        self.local.insert_if(key, balance, |own| balance.is_newer_than(own));
    }

    /// Keeps `balances` where other processes find them, unless newer ones are there.
    pub async fn share(&self, balances: &[(BalanceKey, CachedBalance)], now: Timestamp) {
        if let Some(shared) = &self.shared {
            shared.keep(balances, now).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::valkey::Valkey;
    use tragen_domain::id::{AccountId, Currency};

    fn key(account: &str) -> BalanceKey {
        let (account, currency) = (AccountId::new(account).expect("an id"), Currency::new("USD").expect("a currency"));
        BalanceKey { account, currency }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000)
    }

    fn balance(version: i64, read_at: Timestamp) -> CachedBalance {
        let cash = Money::from_micros(version * 1_000_000);
        CachedBalance { cash, margin: Money::from_micros(-1), version, is_frozen: version % 2 == 1, read_at }
    }

    #[test]
    fn balances_survive_being_written() {
        for version in [0, 1, i64::MAX / 1_000_000] {
            let balance = balance(version, at(0));
            assert_eq!(CachedBalance::decoded(&balance.encoded()), Some(balance));
        }
        for bad in ["", "1", "1 2 3 4", "1 2 3 4 maybe", "x 2 3 4 free"] {
            assert_eq!(CachedBalance::decoded(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_newer_version_wins_and_an_old_answer_is_not_used() {
        let cache = BalanceCache::new(10, None);
        assert_eq!(cache.get(&key("alice"), 30_000, at(0)).await, None);
        cache.keep(key("alice"), balance(2, at(0)));
        cache.keep(key("alice"), balance(1, at(500)));
        assert_eq!(cache.get(&key("alice"), 1_000, at(1_000)).await, Some(balance(2, at(0))));
        assert_eq!(cache.get(&key("alice"), 999, at(1_000)).await, None);
        cache.keep(key("alice"), balance(2, at(500)));
        assert_eq!(cache.get(&key("alice"), 999, at(1_000)).await, Some(balance(2, at(500))));
        cache.keep(key("alice"), balance(3, at(100)));
        assert_eq!(cache.get(&key("alice"), 900, at(1_000)).await, Some(balance(3, at(100))));
        assert_eq!(cache.get(&key("bob"), 30_000, at(0)).await, None);
    }

    #[tokio::test]
    async fn processes_share_balances_in_valkey_and_an_older_one_does_not_replace_a_newer() {
        let valkey = Valkey::start().await;
        let shared = || SharedBalances::new(&valkey.url()).expect("a URL of a socket");
        let (one, two) = (BalanceCache::new(10, Some(shared())), BalanceCache::new(10, Some(shared())));
        one.share(&[(key("alice"), balance(2, at(0))), (key("bob"), balance(7, at(0)))], at(0)).await;
        two.share(&[(key("alice"), balance(1, at(9))), (key("bob"), balance(8, at(0)))], at(0)).await;
        assert_eq!(two.get(&key("alice"), 1_000, at(1_000)).await, Some(balance(2, at(0))));
        assert_eq!(one.get(&key("bob"), 1_000, at(1_000)).await, Some(balance(8, at(0))));
        assert_eq!(one.get(&key("carol"), 1_000, at(1_000)).await, None);
        assert_eq!(one.get(&key("alice"), 1_000, at(1_001)).await, None, "too old wherever it is");
        let lives_ms = shared().server.lives_ms(key("alice")).await;
        assert!((1..=30_000).contains(&lives_ms), "{lives_ms}");
    }

    #[tokio::test]
    async fn valkey_may_go_and_come_back_empty() {
        let mut valkey = Valkey::start().await;
        let shared = SharedBalances::new(&valkey.url()).expect("a URL of a socket");
        let cache = BalanceCache::new(10, Some(shared));
        let told = [(key("alice"), balance(2, at(0)))];
        cache.share(&told, at(0)).await;
        valkey.stop();
        assert_eq!(cache.get(&key("alice"), 1_000, at(0)).await, None, "no answer is no balance");
        cache.keep(key("alice"), balance(2, at(0)));
        assert_eq!(cache.get(&key("alice"), 1_000, at(0)).await, Some(balance(2, at(0))), "the process has its own");
        cache.share(&told, at(0)).await;
        valkey.start_again().await;
        // The connection heals with one of the next questions; each failed one pauses for a second.
        let mut healed = None;
        for second in 1..=20 {
            let other = BalanceCache::new(10, cache.shared.clone());
            let now = at(second * 1_001);
            assert_eq!(other.get(&key("bob"), 30_000, now).await, None, "it came back empty");
            other.share(&told, now).await;
            healed = other.get(&key("alice"), 30_000, now).await;
            if healed.is_some() {
                break;
            }
        }
        assert_eq!(healed, Some(balance(2, at(0))));
    }
}
