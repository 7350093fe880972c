//! The limit in the process, in a real Valkey, and in between.

use super::*;
use crate::{key::Budget, valkey::Valkey};
use tragen_domain::id::AccountId;

fn key(account: &str) -> RateKey {
    RateKey { budget: Budget::Place, account: AccountId::new(account).expect("an id") }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

async fn passed(limiter: &RateLimiter, account: &str, limit: u32, times: usize, now: Timestamp) -> usize {
    let mut passed = 0;
    for _ in 0..times {
        passed += usize::from(limiter.take(key(account), limit, now).await.is_allowed);
    }
    passed
}

#[tokio::test]
async fn accounts_and_budgets_are_limited_apart() {
    let limiter = RateLimiter::new(100, None);
    assert_eq!(passed(&limiter, "alice", 3, 5, at(100)).await, 3);
    assert_eq!(passed(&limiter, "bob", 3, 5, at(100)).await, 3);
    let cancel = RateKey { budget: Budget::Cancel, ..key("alice") };
    assert!(limiter.take(cancel, 1, at(100)).await.is_allowed);
    assert_eq!(passed(&limiter, "alice", 3, 5, at(159)).await, 0);
    assert_eq!(passed(&limiter, "alice", 3, 5, at(160)).await, 3);
}

#[tokio::test]
async fn two_processes_share_one_limit_in_valkey() {
    let valkey = Valkey::start().await;
    let limiters =
        [(); 2].map(|()| RateLimiter::new(100, Some(SharedLimits::new(&valkey.url()).expect("a URL of a socket"))));
    let now = at(1);
    let first = passed(&limiters[0], "alice", 10, 6, now).await;
    let second = passed(&limiters[1], "alice", 10, 6, now).await;
    assert_eq!((first, second), (6, 4));
    let refused = limiters[0].take(key("alice"), 10, now).await;
    assert!(!refused.is_allowed && refused.remaining == 0);
    assert!((1..=60_000_000).contains(&refused.retry_after_micros), "{refused:?}");
    assert_eq!(passed(&limiters[1], "bob", 1, 2, now).await, 1);

    let lives_ms = limiters[0].shared.as_ref().expect("shared").server.lives_ms(key("alice")).await;
    assert!((1..=61_000).contains(&lives_ms), "{lives_ms}");
}

#[tokio::test]
async fn without_valkey_the_process_limits_on_its_own() {
    let mut valkey = Valkey::start().await;
    let limiter = RateLimiter::new(100, Some(SharedLimits::new(&valkey.url()).expect("a URL of a socket")));
    assert_eq!(passed(&limiter, "alice", 3, 1, at(0)).await, 1);
    valkey.stop();
    assert_eq!(passed(&limiter, "alice", 3, 9, at(10)).await, 3, "limited, never unlimited");
    assert_eq!(passed(&limiter, "alice", 3, 9, at(30)).await, 0);
}
