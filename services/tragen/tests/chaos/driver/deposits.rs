//! A client that deposits: asks until there is an answer, and asks again now and
//! then to see whether the answer is still the same. And one who only asks.

use super::Shared;
use crate::{
    dice::Dice,
    record::Line,
    script::Step,
    wire::{deposit_id, question},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tragen_bus::{Ask, Bus};
use tragen_contracts::v1::{
    GetAccountRequest, LedgerAnswer, LedgerQuestion, ledger_answer::Answer, ledger_question::Question,
};

/// How long the client waits for one answer: longer than the ledger does.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);
/// How long it waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Canonical codes of passing refusals: no answer, exhausted, unavailable.
const PASSING: [i32; 3] = [4, 8, 14];
const ALREADY_EXISTS: i32 = 6;

/// Deposits `amount`, however often it must be asked for.
pub(super) async fn ask(shared: Arc<Shared>, step: Step, amount: i64) {
    let id = deposit_id(&step.account, &step.request);
    let deposit = question(&step.account, &step.request, amount);
    // Which deposits are asked for twice depends on the script alone.
    let mut dice = Dice::new(u64::try_from(step.number).unwrap_or_default(), &step.request);
    let began = Instant::now();
    let Some(first) = insist(&shared, &deposit, &id).await else { return };
    shared.state().bystanders.answered(&step, began);
    if dice.percent(10) && insist(&shared, &deposit, &id).await.is_some_and(|again| again != first) {
        wrong(&shared, &id, "the answer to a repeated deposit differs from the first".to_owned());
    }
    if dice.percent(5) {
        let other = question(&step.account, &step.request, amount + 1);
        match once(&shared, &other).await {
            Err(code) if code == ALREADY_EXISTS || PASSING.contains(&code) => {}
            answer => wrong(&shared, &id, format!("another deposit with the same id is answered {answer:?}")),
        }
    }
    let (cash_after, version_after) = first;
    let at_micros = shared.record.now();
    shared.record.add(&Line::Answered { at_micros, id, cash_after, version_after });
    shared.state().close(step.number, None);
}

/// Asks until the deposit is in; the wallet's cash and version after it.
async fn insist(shared: &Shared, deposit: &LedgerQuestion, id: &str) -> Option<(i64, i64)> {
    while !shared.state().is_over {
        match once(shared, deposit).await {
            Ok(answer) => return Some(answer),
            Err(code) => {
                *shared.state().refusals.entry(code).or_default() += 1;
                if !PASSING.contains(&code) {
                    wrong(shared, id, format!("a deposit is refused with code {code}"));
                    return None;
                }
            }
        }
        sleep(ASK_AGAIN).await;
    }
    None
}

/// Asks for an account; the canonical code of the answer.
pub(super) async fn account(bus: &Bus, number: usize) -> i32 {
    let question = LedgerQuestion {
        account_id: format!("trader-{:03}", number % 24),
        question: Some(Question::GetAccount(GetAccountRequest::default())),
        traceparent: String::new(),
    };
    match bus.ask::<_, LedgerAnswer>(Ask::Ledger, &question, ANSWER_WITHIN).await.map(|answer| answer.answer) {
        Ok(Some(Answer::Account(_))) => 0,
        Ok(Some(Answer::Error(error))) => error.code,
        Ok(_) => -1,
        Err(_) => PASSING[0],
    }
}

async fn once(shared: &Shared, deposit: &LedgerQuestion) -> Result<(i64, i64), i32> {
    let answer = shared.bus.ask::<_, LedgerAnswer>(Ask::Ledger, deposit, ANSWER_WITHIN).await;
    match answer.map(|answer| answer.answer) {
        Ok(Some(Answer::Deposit(deposited))) => {
            let account = deposited.account.unwrap_or_default();
            Ok((account.cash_micros, account.version))
        }
        Ok(Some(Answer::Error(error))) => Err(error.code),
        Ok(_) => Err(-1),
        Err(_) => Err(PASSING[0]),
    }
}

fn wrong(shared: &Shared, id: &str, problem: String) {
    shared.record.add(&Line::Wrong { at_micros: shared.record.now(), id: id.to_owned(), problem });
}
