//! Reading a record back: by account, what was asked for and what was answered.

use super::{Line, Told};
use anyhow::Context as _;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};
use uuid::Uuid;

/// One request and its last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) account: String,
    /// Whether its order may come to rest.
    pub(crate) may_rest: bool,
    /// The newest answer; `None` if there is none.
    pub(crate) told: Option<Told>,
    /// Two answers that differ although the first one was final.
    pub(crate) contradiction: bool,
}

/// What one request should be in the ledger.
pub(crate) type Ledgered = BTreeMap<Uuid, Asked>;

/// A record that was read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// By account.
    pub(crate) accounts: BTreeMap<String, Ledgered>,
    /// Answers to requests that were never made.
    pub(crate) strangers: u64,
    /// Requests that were made twice with the same id.
    pub(crate) repeated: u64,
}

impl Reading {
    /// Everything in `file`.
    ///
    /// # Errors
    /// When it cannot be read, or a line is damaged.
    pub(crate) fn of(file: &Path) -> anyhow::Result<Self> {
        let reading = || format!("reading the record {}", file.display());
        let mut read = Self::default();
        let mut owners: HashMap<Uuid, String> = HashMap::new();
        for (index, line) in BufReader::new(File::open(file).with_context(reading)?).lines().enumerate() {
            let line = line.with_context(reading)?;
            let line = serde_json::from_str(&line).with_context(|| format!("{}: line {}", reading(), index + 1))?;
            match line {
                Line::Asked { account, request_id, may_rest, .. } => {
                    if owners.insert(request_id, account.clone()).is_some() {
                        read.repeated += 1;
                    }
                    let asked = Asked { account: account.clone(), may_rest, told: None, contradiction: false };
                    read.accounts.entry(account).or_default().insert(request_id, asked);
                }
                Line::Answered { request_id, trade, .. } => {
                    let account = owners.get(&request_id).and_then(|owner| read.accounts.get_mut(owner));
                    match account.and_then(|account| account.get_mut(&request_id)) {
                        None => read.strangers += 1,
                        Some(asked) => {
                            let before = asked.told.replace(trade);
                            let is_changed =
                                before.is_some_and(|told| is_final(told.status) && Some(told) != asked.told);
                            asked.contradiction |= is_changed;
                        }
                    }
                }
                Line::Failed { .. } => {}
            }
        }
        Ok(read)
    }

    /// How many requests there are.
    pub(crate) fn len(&self) -> usize {
        self.accounts.values().map(BTreeMap::len).sum()
    }
}

/// Whether nothing can follow on this status.
pub(crate) fn is_final(status: i32) -> bool {
    use tragen_contracts::v1::TradeStatus;
    ![TradeStatus::Unspecified, TradeStatus::Pending, TradeStatus::Working]
        .iter()
        .any(|open| i32::from(*open) == status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{answered::Meant, operation::Operation, record::Recorder};
    use tragen_contracts::v1;

    fn trade(status: v1::TradeStatus, cash_change_micros: i64) -> v1::Trade {
        v1::Trade { status: status.into(), cash_change_micros, ..v1::Trade::default() }
    }

    #[tokio::test]
    async fn what_was_recorded_is_read_back() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("record.jsonl");
        let (recorder, writing) = Recorder::open(Some(&file))?;
        let [first, second, third] = [(); 3].map(|()| Uuid::now_v7());
        let request = v1::PlaceTradeRequest::default();
        for id in [first, second] {
            recorder.asked((Operation::Order, Meant::Fill), id, &request, || "load-0".to_owned()).await;
        }
        recorder.asked((Operation::Mandate, Meant::Decision), third, &request, || "load-1".to_owned()).await;
        recorder.answered(first, &trade(v1::TradeStatus::Working, 0)).await;
        recorder.answered(first, &trade(v1::TradeStatus::Canceled, 0)).await;
        recorder.failed(second, "UNAVAILABLE").await;
        recorder.answered(third, &trade(v1::TradeStatus::Filled, -5)).await;
        recorder.answered(third, &trade(v1::TradeStatus::Filled, -6)).await;
        recorder.answered(Uuid::now_v7(), &trade(v1::TradeStatus::Filled, -7)).await;
        drop(recorder);
        assert_eq!(writing.end().await?, 9);

        let read = Reading::of(&file)?;
        assert_eq!((read.len(), read.strangers, read.repeated), (3, 1, 0));
        let may_rest = |account: &str, id: Uuid| read.accounts[account][&id].may_rest;
        assert!(!may_rest("load-0", first) && may_rest("load-1", third));
        let told = |account: &str, id: Uuid| read.accounts[account][&id].clone();
        assert_eq!(told("load-0", first).told.map(|told| told.status), Some(v1::TradeStatus::Canceled.into()));
        assert_eq!(told("load-0", second).told, None);
        assert!(told("load-1", third).contradiction && !told("load-0", first).contradiction);
        assert!(Recorder::open(Some(&file)).is_err(), "a record is never written over");
        Ok(())
    }
}
