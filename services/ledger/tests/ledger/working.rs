//! The trades that work, as a gate asks for them that has lost its journal: each once, wherever its slot is.

use super::{
    pair::{PAIRS, Pair, USD, account_in},
    rig::{fill, id, report, trade_of},
};
use std::collections::BTreeMap;
use tragen_contracts::v1::{
    self, Side, TradeStatus, WorkingTradesQuestion, ledger_answer::Answer, ledger_question::Question,
};

/// The first shard has the lower half of the slots.
const SLOT: u16 = 7;
const ELSEWHERE: u16 = 200;

async fn page(pair: &Pair, after_trade_id: String) -> v1::WorkingTrades {
    let question = Question::WorkingTrades(WorkingTradesQuestion { after_trade_id, page_size: 2 });
    match pair.rig.ask("", question).await.answer {
        Some(Answer::WorkingTrades(page)) => page,
        other => panic!("no page: {other:?}"),
    }
}

/// Every trade that works, with its executions.
async fn working(pair: &Pair) -> BTreeMap<String, Vec<String>> {
    let (mut all, mut after) = (BTreeMap::new(), String::new());
    loop {
        let page = page(pair, after).await;
        assert!(page.facts.len() <= 2);
        for fact in &page.facts {
            let Some(v1::ledger_fact::Kind::Trade(posted)) = &fact.kind else { panic!("{fact:?}") };
            let before = all.insert(trade_of(fact).trade_id, posted.execution_ids.clone());
            assert_eq!(before, None, "it is there twice");
        }
        after = page.next_trade_id;
        if after.is_empty() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_is_listed_once_wherever_its_slot_is() {
    for kinds in PAIRS {
        let mut pair = Pair::started(kinds).await;
        let accounts = [account_in(SLOT, 0), account_in(SLOT, 1), account_in(ELSEWHERE, 0)];
        pair.funded(&accounts, "fund", 100 * USD).await;
        assert_eq!(page(&pair, String::new()).await, v1::WorkingTrades::default(), "no trade so far");

        let of = |account: &str, name: &str, status, fills| report(account, name, Side::Buy, status, fills);
        let part = |account: &str| vec![fill(&format!("e-{account}"), USD / 2, 2 * USD, 0)];
        let mut reports: Vec<_> =
            accounts.iter().map(|account| of(account, "works", TradeStatus::Working, part(account))).collect();
        reports.push(of(&accounts[0], "rests", TradeStatus::Working, Vec::new()));
        reports.push(of(&accounts[1], "over", TradeStatus::Canceled, Vec::new()));
        pair.rig.report(reports).await;
        pair.all_acked().await;
        let mut expected: BTreeMap<_, _> =
            accounts.iter().map(|account| (id(account, "works"), vec![format!("e-{account}")])).collect();
        expected.insert(id(&accounts[0], "rests"), Vec::new());
        assert_eq!(working(&pair).await, expected, "{kinds:?}");
        assert!(page(&pair, String::new()).await.has_trades);

        // What stays behind in the old shard is history, and never ends there.
        pair.moved(SLOT, 1).await.expect("it was elsewhere");
        assert_eq!(working(&pair).await, expected, "{kinds:?}");
        pair.rig.report(vec![of(&accounts[0], "works", TradeStatus::Canceled, Vec::new())]).await;
        pair.all_acked().await;
        expected.remove(&id(&accounts[0], "works"));
        assert_eq!(working(&pair).await, expected, "{kinds:?}");
        pair.stop().await;
    }
}
