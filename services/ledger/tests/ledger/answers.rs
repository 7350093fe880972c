//! What the ledger answers, and to whom.

use super::rig::{BOTH, Rig, fill, id, report};
use tragen_contracts::v1::{self, Side, TradeStatus, ledger_answer::Answer, ledger_question::Question};

fn error(answer: v1::LedgerAnswer) -> (i32, String) {
    match answer.answer {
        Some(Answer::Error(error)) => (error.code, error.reason),
        other => panic!("not an error: {other:?}"),
    }
}

fn by_trade_id(trade_id: String) -> Question {
    Question::GetTrade(v1::GetTradeRequest { key: Some(v1::get_trade_request::Key::TradeId(trade_id)) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_booked_once_under_its_request_id() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let first = rig.deposit("alice", "d1", 5_000_000).await;
        let Some(Answer::Deposit(v1::DepositResponse { account: Some(account) })) = &first.answer else {
            panic!("{first:?}")
        };
        assert_eq!((account.cash_micros, account.version, account.currency.as_str()), (5_000_000, 1, "USD"));
        rig.deposit("alice", "d2", 1_000_000).await;
        let repeats = (0..5).map(|_| rig.deposit("alice", "d1", 5_000_000));
        for repeat in futures::future::join_all(repeats).await {
            assert_eq!(repeat, first);
        }
        assert_eq!(error(rig.deposit("alice", "d1", 5_000_001).await), (6, "REQUEST_ID_REUSED".into()));
        assert_eq!(error(rig.deposit("alice", "d3", 0).await), (3, "AMOUNT_NOT_POSITIVE".into()));
        assert_eq!(error(rig.deposit("alice", "", 1).await), (3, "REQUEST_ID_INVALID".into()));
        assert_eq!(error(rig.deposit("a.b", "d1", 1).await), (3, "ID_BAD_CHARSET".into()));
        assert_eq!(error(rig.deposit("alice", "d4", i64::MAX).await), (11, "OUT_OF_RANGE".into()));
        assert_eq!(rig.account("alice").await.cash_micros, 6_000_000);
        let (first, second) = (id("alice", "deposit/d1"), id("alice", "deposit/d2"));
        let facts = rig.told(&[first, second.clone()]).await;
        assert_eq!(facts[&second].balances[0].account.as_ref().map(|a| a.cash_micros), Some(6_000_000));
        rig.verified().await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trade_is_shown_to_its_account_only() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        rig.funded("alice", 100_000_000).await;
        for number in 0..5 {
            let fills = vec![fill(&format!("e{number}"), 500_000, 1_000_000, 0)];
            rig.report(vec![report("alice", &format!("r{number}"), Side::Buy, TradeStatus::Filled, fills)]).await;
        }
        let ids: Vec<_> = (0..5).map(|number| id("alice", &format!("r{number}"))).collect();
        rig.told(&ids).await;

        let found = rig.ask("alice", by_trade_id(ids[0].clone())).await;
        let by_request = v1::get_trade_request::Key::RequestId("r0".into());
        let request = Question::GetTrade(v1::GetTradeRequest { key: Some(by_request) });
        assert_eq!(rig.ask("alice", request.clone()).await, found);
        let Some(Answer::Trade(posted)) = found.answer else { panic!("{found:?}") };
        assert_eq!(posted.payload_hash.as_ref(), [7; 32]);
        assert_eq!(error(rig.ask("mallory", by_trade_id(ids[0].clone())).await), (5, "TRADE_NOT_FOUND".into()));
        assert_eq!(error(rig.ask("mallory", request).await), (5, "TRADE_NOT_FOUND".into()));
        assert_eq!(error(rig.ask("", by_trade_id(ids[0].clone())).await), (3, "ID_MISSING".into()));

        let mut page_token = String::new();
        let mut listed = Vec::new();
        for expected in [2, 2, 1] {
            let list = Question::ListTrades(v1::ListTradesRequest { page_size: 2, page_token, min_version: 0 });
            let Some(Answer::Trades(page)) = rig.ask("alice", list).await.answer else { panic!("no page") };
            assert_eq!(page.trades.len(), expected);
            listed.extend(page.trades.into_iter().map(|trade| trade.trade_id));
            page_token = page.next_page_token;
        }
        assert_eq!(page_token, "");
        listed.reverse();
        assert_eq!(listed, ids);
        let page_token = "m1.0.1".into();
        let bad = Question::ListTrades(v1::ListTradesRequest { page_size: 2, page_token, min_version: 0 });
        assert_eq!(error(rig.ask("alice", bad).await), (3, "PAGE_TOKEN_INVALID".into()));

        let list = v1::ListTransfersRequest { page_size: 3, ..v1::ListTransfersRequest::default() };
        let list = Question::ListTransfers(list);
        let Some(Answer::Transfers(page)) = rig.ask("alice", list).await.answer else { panic!("no page") };
        assert_eq!(page.transfers.iter().map(|t| t.sequence).collect::<Vec<_>>(), [6, 5, 4]);
        assert_eq!(page.transfers[0].debit_account, "wallet/alice/USD");
        assert_eq!(page.transfers[0].credit_account, "venue/paper/USD");
        assert_eq!(page.transfers[0].kind(), v1::TransferKind::TradeCost);
        assert_ne!(page.next_page_token, "");

        let list = Question::ListPositions(v1::ListPositionsRequest::default());
        let Some(Answer::Positions(page)) = rig.ask("alice", list).await.answer else { panic!("no page") };
        assert_eq!(page.positions.len(), 1);
        assert_eq!(page.positions[0].quantity_micros, 5_000_000);

        let outcomes = v1::OutcomesQuestion {
            trade_ids: vec![ids[3].clone(), id("alice", "unknown"), id("alice", "deposit/fund-alice")],
            accept_partial: false,
        };
        let Some(Answer::Outcomes(outcomes)) = rig.ask("", Question::Outcomes(outcomes)).await.answer else { panic!() };
        assert_eq!(outcomes.facts.len(), 2);
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_answered_at_the_version_asked_for_or_not_at_all() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        let at = |min_version| {
            Question::GetAccount(v1::GetAccountRequest { min_version, ..v1::GetAccountRequest::default() })
        };
        assert_eq!(error(rig.ask("alice", at(0)).await), (5, "ACCOUNT_NOT_FOUND".into()));
        rig.funded("alice", 1).await;
        assert!(matches!(rig.ask("alice", at(1)).await.answer, Some(Answer::Account(_))));
        assert_eq!(error(rig.ask("alice", at(2)).await), (14, "VERSION_NOT_REACHED".into()));
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holdings_of_many_accounts_are_read_at_once() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        for number in 0..7 {
            rig.funded(&format!("a{number}"), 10_000_000).await;
        }
        let fills = vec![fill("e", 500_000, 1_000_000, 0)];
        let bought = report("a6", "r", Side::Buy, TradeStatus::Filled, fills);
        rig.report(vec![bought]).await;
        rig.told(&[id("a6", "r")]).await;
        let list = Question::ListPositions(v1::ListPositionsRequest::default());
        let Some(Answer::Positions(page)) = rig.ask("a6", list).await.answer else { panic!("no page") };
        let instrument_id = page.positions[0].instrument_id.clone();
        let question = |account_ids: Vec<String>, currency: &str| {
            let instrument_id = instrument_id.clone();
            Question::Holdings(v1::HoldingsQuestion { account_ids, currency: currency.into(), instrument_id })
        };
        let everybody = ["a0", "a6", "nobody"].map(str::to_owned).to_vec();
        let Some(Answer::Holdings(found)) = rig.ask("", question(everybody.clone(), "USD")).await.answer else {
            panic!("no holdings")
        };
        let mut found: Vec<_> =
            found.holdings.into_iter().map(|h| (h.account_id, h.cash_micros, h.quantity_micros)).collect();
        found.sort();
        assert_eq!(found, [("a0".into(), 10_000_000, 0), ("a6".into(), 9_500_000, 1_000_000)]);
        let Some(Answer::Holdings(none)) = rig.ask("", question(everybody, "EUR")).await.answer else { panic!() };
        assert!(none.holdings.is_empty(), "a wallet in another currency is no wallet");
        let too_many = (0..=1_000).map(|n| format!("a{n}")).collect();
        assert_eq!(error(rig.ask("", question(too_many, "USD")).await), (3, "TOO_MANY".into()));
        assert_eq!(error(rig.ask("", question(vec!["a.b".into()], "USD")).await), (3, "ID_BAD_CHARSET".into()));
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_accounts_can_be_read_page_by_page() {
    for kind in BOTH {
        let mut rig = Rig::started(kind).await;
        for number in 0..7 {
            rig.funded(&format!("a{number}"), 10_000_000).await;
        }
        let fills = vec![fill("e", 500_000, 1_000_000, 0)];
        rig.report(vec![report("a6", "r", Side::Buy, TradeStatus::Filled, fills)]).await;
        rig.told(&[id("a6", "r")]).await;
        let (mut after_account_id, mut seen) = (String::new(), Vec::new());
        loop {
            let question = Question::AccountsPage(v1::AccountsPageQuestion { after_account_id, page_size: 3 });
            let Some(Answer::AccountsPage(page)) = rig.ask("", question).await.answer else { panic!("no page") };
            seen.extend(page.accounts);
            after_account_id = page.next_account_id;
            if after_account_id.is_empty() {
                break;
            }
        }
        let names: Vec<_> = seen.iter().map(|account| account.balances[0].account_id.clone()).collect();
        assert_eq!(names, ["a0", "a1", "a2", "a3", "a4", "a5", "a6"]);
        assert_eq!(seen[6].positions.len(), 1);
        rig.stop().await;
    }
}
