//! Users whom a fault may not concern: in each shard one deposits again and again,
//! and how long each deposit takes is kept.

use super::{Shared, open};
use crate::{
    others::Sample,
    script::{ONE, Step, What},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// How often each of them deposits.
const EVERY: Duration = Duration::from_millis(25);
/// How many of his deposits may wait for an answer.
const OPEN_MAX: usize = 8;
/// Their steps are numbered from here on: the script is the same with and without them.
const FIRST_NUMBER: usize = 1 << 40;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Bystanders {
    /// Shards by account.
    accounts: BTreeMap<String, u16>,
    steps: usize,
    /// Deposits that wait, by shard.
    open: BTreeMap<u16, usize>,
    pub(super) samples: Vec<Sample>,
}

impl Bystanders {
    /// Those accounts, each of its shard.
    pub(super) fn of(accounts: BTreeMap<u16, String>) -> Self {
        let accounts = accounts.into_iter().map(|(shard, account)| (account, shard)).collect();
        Self { accounts, ..Self::default() }
    }

    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// The next deposits.
    fn next(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (account, shard) in &self.accounts {
            let open = self.open.entry(*shard).or_default();
            if *open < OPEN_MAX {
                *open += 1;
                self.steps += 1;
                let (number, request) = (FIRST_NUMBER + self.steps, format!("b-{:06}", self.steps));
                let what = What::Deposit { amount: ONE };
                steps.push(Step { number, account: account.clone(), request, what, needs: None });
            }
        }
        steps
    }

    /// A deposit is in that was asked for at `at`.
    pub(super) fn answered(&mut self, step: &Step, at: Instant) {
        let Some(shard) = self.accounts.get(&step.account).filter(|_| step.number > FIRST_NUMBER) else { return };
        if let Some(open) = self.open.get_mut(shard) {
            *open = open.saturating_sub(1);
        }
        self.samples.push(Sample { shard: *shard, at, took: at.elapsed() });
    }

    /// Whether some deposits wait in other shards than these.
    pub(super) fn is_waiting_besides(&self, hit: impl Fn(u16) -> bool) -> bool {
        self.open.iter().any(|(shard, open)| !hit(*shard) && *open > 0)
    }
}

/// Deposits for as long as there is load.
pub(super) async fn deposit(shared: Arc<Shared>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let steps = {
            let mut state = shared.state();
            if state.window > 0 { state.bystanders.next() } else { Vec::new() }
        };
        steps.into_iter().for_each(|step| open(&shared, step));
    }
}
