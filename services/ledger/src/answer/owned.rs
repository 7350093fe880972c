//! The shards this process writes: their deposits come in here, from questions
//! to this process and from other processes that were asked.

use super::{invalid, unknown_outcome};
use crate::{
    intake::Item,
    writer::{DepositCommand, busy},
};
use futures::FutureExt as _;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};
use tragen_bus::{Ask, Bus};
use tragen_contracts::{
    convert,
    v1::{self, ledger_answer::Answer, ledger_question::Question},
};
use tragen_domain::{id::AccountId, ledger::ResultCode};
use tragen_host::{Context, clock::now_micros};

/// The writers of this process by shard; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    writers: Arc<RwLock<HashMap<u16, WriterEnd>>>,
    deposit_wait: Duration,
}

/// A way to one writer.
#[derive(Debug, Clone)]
pub(super) struct WriterEnd {
    deposits: mpsc::Sender<DepositCommand>,
    commits: watch::Receiver<u64>,
}

/// Ends the way to a writer when it is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    owned: Owned,
    shard: u16,
}

impl Owned {
    /// No shard yet.
    pub(crate) fn new(deposit_wait: Duration) -> Self {
        Self { writers: Arc::default(), deposit_wait }
    }

    /// The writer of `shard` runs here from now on, until the answer is dropped.
    pub(crate) async fn enter(
        &self,
        context: &Context,
        bus: &Bus,
        shard: u16,
        deposits: mpsc::Sender<DepositCommand>,
        commits: watch::Receiver<u64>,
    ) -> anyhow::Result<Entered> {
        let end = WriterEnd { deposits, commits };
        let (writer, wait) = (end.clone(), self.deposit_wait);
        bus.answer(context, Ask::LedgerShard(shard), move |asked: v1::LedgerQuestion| {
            let writer = writer.clone();
            async move {
                let answered = writer.answer(asked, wait).await;
                answered.unwrap_or_else(|error| v1::LedgerAnswer { answer: Some(Answer::Error(error)) })
            }
            .boxed()
        })
        .await?;
        self.writers.write().unwrap_or_else(PoisonError::into_inner).insert(shard, end);
        Ok(Entered { owned: self.clone(), shard })
    }

    /// The shards whose writers run here, ascending.
    pub(crate) fn shards(&self) -> Vec<u16> {
        let mut shards: Vec<u16> =
            self.writers.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        shards.sort_unstable();
        shards
    }

    /// The way to the writer of `shard`, if it runs here.
    pub(super) fn writer(&self, shard: u16) -> Option<WriterEnd> {
        self.writers.read().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned()
    }

    /// Resolves with each commit of `shard`, if its writer runs here.
    pub(super) fn commits(&self, shard: u16) -> Option<watch::Receiver<u64>> {
        let mut commits = self.writer(shard)?.commits;
        commits.borrow_and_update();
        Some(commits)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.owned.writers.write().unwrap_or_else(PoisonError::into_inner).remove(&self.shard);
    }
}

impl WriterEnd {
    /// Takes a command.
    pub(super) async fn answer(
        &self,
        asked: v1::LedgerQuestion,
        wait: Duration,
    ) -> Result<v1::LedgerAnswer, v1::AskError> {
        let account = convert::id("account_id", &asked.account_id).map_err(|error| invalid(&error))?;
        match asked.question {
            Some(Question::Deposit(request)) => self.deposit(&account, &request, asked.traceparent, wait).await,
            _ => Err(busy("NOT_A_COMMAND", "only commands go to the owner of a shard".to_owned())),
        }
    }

    /// Hands a deposit to the writer and waits for its commit.
    async fn deposit(
        &self,
        account: &AccountId,
        request: &v1::DepositRequest,
        traceparent: String,
        wait: Duration,
    ) -> Result<v1::LedgerAnswer, v1::AskError> {
        let item =
            Item::deposit(account.as_str(), request, traceparent, now_micros()).map_err(|error| invalid(&error))?;
        let (reply, answer) = oneshot::channel();
        self.deposits.try_send(DepositCommand { item, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => v1::AskError {
                code: 8,
                reason: ResultCode::Busy.as_str().to_owned(),
                message: "too many deposits wait already".to_owned(),
            },
            mpsc::error::TrySendError::Closed(_) => {
                let message = "the shard of this account is changing hands; repeat the request";
                busy(ResultCode::Fenced.as_str(), message.to_owned())
            }
        })?;
        match tokio::time::timeout(wait, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(unknown_outcome()),
        }
    }
}
