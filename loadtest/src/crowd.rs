//! Who acts: the accounts, their tiers, how active each is, and their tokens.
//!
//! A million tokens in a file are 450 MB, all made before the first request and
//! all expired an hour later. So the load test can be handed the signing key
//! instead (`--signing-key`): it signs a token when an account first acts, and
//! again before it ends. Whoever has the key may act for everybody, so it is for
//! private test systems; a file of tokens remains for everything else.

mod issuer;

pub use issuer::{Issuer, Role};

use crate::{dice::Dice, target::Account};
use serde::Serialize;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// How urgently an account is served. 1 % are premium, 9 % standard, 90 % free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Served first.
    Premium,
    /// In between.
    Standard,
    /// Served last, but never starved.
    Free,
    /// Tokens from a file do not say it.
    Unknown,
}

impl Tier {
    /// The tier of the account with this number: of every hundred the first is premium, nine are standard.
    #[must_use]
    pub const fn of(number: usize) -> Self {
        match number % 100 {
            0 => Self::Premium,
            1..=9 => Self::Standard,
            10.. => Self::Free,
        }
    }

    /// As written in tokens and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Premium => "premium",
            Self::Standard => "standard",
            Self::Free => "free",
            Self::Unknown => "unknown",
        }
    }
}

/// Who takes the next turn.
#[derive(Debug, Clone)]
enum Activity {
    /// One after another.
    InTurn,
    /// By chance: entry n is the sum of the activity of accounts 0 to n.
    Zipf(Arc<[f64]>),
}

/// Where tokens come from.
#[derive(Debug)]
enum Tokens {
    Listed(Vec<Account>),
    Issued { issuer: Issuer, prefix: String, tier: Option<Tier>, kept: Mutex<HashMap<usize, (Account, Instant)>> },
}

/// The accounts that act.
#[derive(Debug)]
pub struct Crowd {
    tokens: Tokens,
    count: usize,
    activity: Activity,
    seed: u64,
}

/// One turn: who acts, and chance for what he does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The number of the account.
    pub(crate) account: usize,
    /// Any number, the same for the same turn.
    pub(crate) chance: u64,
    /// How often each account has had its turn before, if they take turns.
    pub(crate) round: u64,
}

impl Crowd {
    /// `accounts` with their tokens, one after another.
    #[must_use]
    pub fn listed(accounts: Vec<Account>) -> Self {
        let count = accounts.len();
        Self { tokens: Tokens::Listed(accounts), count, activity: Activity::InTurn, seed: 0 }
    }

    /// `count` accounts named `prefix` and a number from 0, whose tokens `issuer` signs; tiers as in [`Tier::of`].
    #[must_use]
    pub fn issued(issuer: Issuer, prefix: &str, count: usize) -> Self {
        let tokens = Tokens::Issued { issuer, prefix: prefix.to_owned(), tier: None, kept: Mutex::default() };
        Self { tokens, count, activity: Activity::InTurn, seed: 0 }
    }

    /// The same accounts, all of one tier; accounts whose tokens are listed have theirs already.
    #[must_use]
    pub fn with_tier(mut self, all: Tier) -> Self {
        match &mut self.tokens {
            Tokens::Listed(_) => {}
            Tokens::Issued { tier, .. } => *tier = Some(all),
        }
        self
    }

    /// The same accounts, chosen by chance: the activity of account n is 1 / (n + 1)^`exponent`.
    /// An exponent of 1 is Zipf's law, 0 makes all alike.
    #[must_use]
    pub fn with_zipf(self, exponent: f64, seed: u64) -> Self {
        let mut sum = 0.0;
        let ranks = (1..=u32::try_from(self.count).unwrap_or(u32::MAX)).map(f64::from);
        let sums = ranks.map(|rank| {
            sum += rank.powf(-exponent);
            sum
        });
        Self { activity: Activity::Zipf(sums.collect()), seed, ..self }
    }

    /// How many accounts there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The account with this number and a token that is valid for a while.
    ///
    /// # Errors
    /// When a token cannot be signed.
    pub(crate) fn account(&self, number: usize) -> anyhow::Result<Account> {
        let (issuer, prefix, kept) = match &self.tokens {
            Tokens::Listed(accounts) => return Ok(accounts[number].clone()),
            Tokens::Issued { issuer, prefix, kept, .. } => (issuer, prefix, kept),
        };
        let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((account, until)) = lock().get(&number)
            && *until > Instant::now()
        {
            return Ok(account.clone());
        }
        let name = format!("{prefix}{number}");
        let token = issuer.issue(&name, self.tier(number), Role::Trader)?;
        let account = Account::new(&name, &token)?;
        lock().insert(number, (account.clone(), Instant::now() + Issuer::RENEW_AFTER));
        Ok(account)
    }

    /// The number of the account with this name.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        match &self.tokens {
            Tokens::Listed(accounts) => accounts.iter().position(|account| account.name == name),
            Tokens::Issued { prefix, .. } => name.strip_prefix(prefix)?.parse().ok(),
        }
    }

    /// The tier of the account with this number.
    pub(crate) const fn tier(&self, number: usize) -> Tier {
        match self.tokens {
            Tokens::Listed(_) => Tier::Unknown,
            Tokens::Issued { tier: Some(tier), .. } => tier,
            Tokens::Issued { tier: None, .. } => Tier::of(number),
        }
    }

    /// Whose turn is the one with this number, and what chance goes with it.
    pub(crate) fn turn(&self, number: u64) -> Turn {
        let dice = Dice::new(self.seed, "turns");
        let chance = dice.at(number);
        let count = u64::try_from(self.count).unwrap_or(u64::MAX).max(1);
        match &self.activity {
            Activity::InTurn => {
                Turn { account: usize::try_from(number % count).unwrap_or(0), chance, round: number / count }
            }
            Activity::Zipf(sums) => {
                // 32 bits of another number: the chance of the turn must not depend on who acts.
                let share = u32::try_from(Dice::new(self.seed, "accounts").at(number) >> 32).unwrap_or(0);
                let point = f64::from(share) / (f64::from(u32::MAX) + 1.0) * sums.last().copied().unwrap_or(0.0);
                let account = sums.partition_point(|sum| *sum <= point).min(self.count.saturating_sub(1));
                Turn { account, chance, round: chance >> 32 }
            }
        }
    }

    /// The accounts that act in the turns `from` to `to`; all of them if `to` is `None`.
    pub(crate) fn active(&self, from: u64, to: Option<u64>) -> Vec<usize> {
        match to {
            None => (0..self.count).collect(),
            Some(to) => {
                let accounts: BTreeSet<usize> = (from..to).map(|number| self.turn(number).account).collect();
                accounts.into_iter().collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(count: usize) -> Crowd {
        let account = |n: usize| Account::new(&format!("a{n}"), "t").expect("a token");
        Crowd::listed((0..count).map(account).collect())
    }

    #[test]
    fn of_a_hundred_one_is_premium_and_nine_are_standard() {
        let count = |tier| (0..1_000).filter(|number| Tier::of(*number) == tier).count();
        assert_eq!([Tier::Premium, Tier::Standard, Tier::Free].map(count), [10, 90, 900]);
    }

    #[test]
    fn accounts_take_turns() {
        let crowd = crowd(3);
        let turns: Vec<_> = (0..5).map(|n| crowd.turn(n)).map(|turn| (turn.account, turn.round)).collect();
        assert_eq!(turns, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]);
        assert_eq!((crowd.active(0, Some(2)), crowd.active(5, None)), (vec![0, 1], vec![0, 1, 2]));
    }

    #[test]
    fn activity_follows_zipf() {
        let crowd = crowd(1_000).with_zipf(1.0, 1);
        let mut acted = [0_u32; 1_000];
        (0..100_000).for_each(|n| acted[crowd.turn(n).account] += 1);
        // The sum of 1/n to 1,000 is 7.485: the first account has 13.36 % of the turns, the tenth a tenth of that.
        assert!(acted[0].abs_diff(13_360) < 400, "{}", acted[0]);
        assert!(acted[9].abs_diff(1_336) < 150, "{}", acted[9]);
        assert!(acted[99].abs_diff(134) < 60, "{}", acted[99]);
        assert_eq!(crowd.turn(7), crowd.turn(7));
        let active = crowd.active(0, Some(1_000));
        assert!(active.is_sorted() && active.len() > 200 && active.len() < 600, "{}", active.len());
    }

    #[test]
    fn an_exponent_of_0_makes_all_alike() {
        let crowd = crowd(10).with_zipf(0.0, 1);
        let mut acted = [0_u32; 10];
        (0..10_000).for_each(|n| acted[crowd.turn(n).account] += 1);
        assert!(acted.iter().all(|count| count.abs_diff(1_000) < 150), "{acted:?}");
    }
}
