//! Where an account is read: from a replica that is far enough, or its shard's
//! primary; while its slot moves; and while another shard is away.

use super::{
    accounting::Tables,
    rig::{BOTH, Kind, PATIENCE, Rig, fill, id, report},
    standby::Pair,
    statements::{page, transfers, whole},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tragen_bus::{Ask, Bus};
use tragen_contracts::v1::{
    self, GetAccountRequest, GetStatementRequest, ListPositionsRequest, ListTradesRequest, ListTransfersRequest, Side,
    TradeStatus, ledger_answer::Answer, ledger_question::Question,
};
use tragen_host::{
    Lifecycle,
    telemetry::{LogFormat, Telemetry},
    trace::Spans,
};
use tragen_ledger::{Config, ShardConfig, move_slot, slot_of_account};

/// Runs a ledger on other books than the rig's.
async fn serving(rig: &Rig, config: Config) -> Lifecycle {
    let lifecycle = Lifecycle::new(10);
    let context = lifecycle.context("ledger", Spans::default());
    let bus = Bus::connect(rig.nats_url(), "ledger").await.expect("a connection");
    tragen_ledger::run(context, bus, config).await.expect("a ledger");
    lifecycle
}

async fn stop(lifecycle: Lifecycle) {
    lifecycle.stop_token().cancel();
    lifecycle.run().await.expect("a clean end");
}

fn place(url: String) -> ShardConfig {
    ShardConfig { url, replica_urls: Vec::new() }
}

/// Books of two shards, in a database of their own each.
async fn two_shards(rig: &Rig, folder: &TempDir) -> Config {
    let shards = match rig.kind {
        Kind::Sqlite => {
            let file = |number| place(format!("sqlite://{}/{number}.db", folder.path().display()));
            vec![file(0), file(1)]
        }
        Kind::Postgres => vec![place(rig.url.clone()), place(rig.another_database().await)],
    };
    Config { shards, ..Config::default() }
}

/// The first account called `<name><number>` that begins in `shard` of two.
fn account_in(shard: u16, name: &str) -> String {
    let mut names = (0..).map(|number| format!("{name}{number}"));
    names.find(|name| slot_of_account(name) / 128 == shard).expect("one of many")
}

fn error(answer: v1::LedgerAnswer) -> (i32, String) {
    match answer.answer {
        Some(Answer::Error(error)) => (error.code, error.reason),
        other => panic!("not an error: {other:?}"),
    }
}

async fn trades(rig: &Rig, account: &str, page_size: i32) -> Vec<String> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListTradesRequest { page_size, page_token, min_version: 0 };
        let Some(Answer::Trades(page)) = rig.ask(account, Question::ListTrades(request)).await.answer else {
            panic!("no page")
        };
        all.extend(page.trades.into_iter().map(|trade| trade.request_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// Every account with its cash, as the guard reads them at its start.
async fn all_accounts(rig: &Rig) -> BTreeMap<String, i64> {
    let (mut accounts, mut after_account_id) = (BTreeMap::new(), String::new());
    loop {
        let question = Question::AccountsPage(v1::AccountsPageQuestion { after_account_id, page_size: 2 });
        let answer = rig.ask("", question).await.answer;
        let Some(Answer::AccountsPage(page)) = answer else { panic!("no page: {answer:?}") };
        for snapshot in page.accounts {
            for balance in snapshot.balances {
                let before = accounts.insert(balance.account_id.clone(), balance.cash_micros);
                assert_eq!(before, None, "{} is there twice", balance.account_id);
            }
        }
        after_account_id = page.next_account_id;
        if after_account_id.is_empty() {
            return accounts;
        }
    }
}

async fn trade(rig: &mut Rig, account: &str, request_id: &str) {
    let fills = vec![fill(&format!("{account}-{request_id}"), 500_000, 1_000_000, 1_000)];
    rig.report(vec![report(account, request_id, Side::Buy, TradeStatus::Filled, fills)]).await;
    rig.told(&[id(account, request_id)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_one_history_wherever_its_slot_has_been() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let folder = TempDir::new().expect("a temporary folder");
        let config = two_shards(&rig, &folder).await;
        let running = serving(&rig, config.clone()).await;
        let (alice, bob) = (account_in(0, "alice"), account_in(1, "bob"));
        rig.repeat_until_funded(&alice, 100_000_000).await;
        rig.repeat_until_funded(&bob, 5_000_000).await;
        let slot = slot_of_account(&alice);
        let mut requests = Vec::new();
        let mut token = String::new();
        for (number, to) in [1, 0, 1].into_iter().enumerate() {
            for part in ["a", "b"] {
                let request_id = format!("r{number}{part}");
                trade(&mut rig, &alice, &request_id).await;
                requests.insert(0, request_id);
            }
            if number == 0 {
                let request = GetStatementRequest { page_size: 2, ..GetStatementRequest::default() };
                token = page(&rig, &alice, request).await.next_page_token;
            }
            let moved = move_slot(&config, slot, to, |_| {}).await.expect("a move").expect("something to move");
            assert_eq!((moved.from, moved.to, moved.accounts), (1 - to, to, 1));
            assert_eq!(trades(&rig, &alice, 2).await, requests);
        }
        trade(&mut rig, &alice, "last").await;
        let cash = 100_000_000 - 7 * 501_000;
        assert_eq!(rig.account(&alice).await.cash_micros, cash);

        let all = whole(&rig, &alice, GetStatementRequest { page_size: 3, ..GetStatementRequest::default() }).await;
        assert_eq!((all.opening_cash_micros, all.closing_cash_micros, all.lines.len()), (0, cash, 15));
        let later = GetStatementRequest { page_size: 2, page_token: token, ..GetStatementRequest::default() };
        assert_eq!(page(&rig, &alice, later).await.lines, all.lines[2..4]);
        for line in &all.lines {
            let from = line.transfer.as_ref().and_then(|transfer| transfer.posted_at);
            let part = whole(&rig, &alice, GetStatementRequest { from, page_size: 4, ..Default::default() }).await;
            assert_eq!(part.closing_cash_micros, cash);
            assert_eq!(part.lines, all.lines[all.lines.len() - part.lines.len()..]);
        }

        let history = transfers(&rig, &alice, 4).await;
        let is_move = |transfer: &&v1::Transfer| transfer.kind() == v1::TransferKind::SlotMoved;
        assert_eq!((history.len(), history.iter().filter(is_move).count()), (21, 6));
        let shown = history.iter().rev().filter(|transfer| !is_move(transfer)).cloned();
        assert_eq!(shown.collect::<Vec<_>>(), all.lines.iter().filter_map(|l| l.transfer.clone()).collect::<Vec<_>>());

        let expected = BTreeMap::from([(alice.clone(), cash), (bob.clone(), 5_000_000)]);
        assert_eq!(all_accounts(&rig).await, expected);
        let trade_ids = requests.iter().map(|request_id| id(&alice, request_id)).collect();
        let asked = v1::OutcomesQuestion { trade_ids, accept_partial: false };
        for account in ["", alice.as_str()] {
            let answer = rig.ask(account, Question::Outcomes(asked.clone())).await.answer;
            let Some(Answer::Outcomes(outcomes)) = answer else { panic!("{answer:?}") };
            assert_eq!(outcomes.facts.len(), 6);
            assert!(outcomes.facts.iter().all(|fact| fact.balances.len() == 1));
        }
        let answer = rig.ask(&bob, Question::Outcomes(asked)).await.answer;
        assert_eq!(answer, Some(Answer::Outcomes(v1::Outcomes::default())), "they are not bob's");
        stop(running).await;
    }
}

/// What is read of an account while it moves: never less than before, and never nothing.
async fn read_on(bus: Bus, account: String, is_over: Arc<AtomicBool>) -> u32 {
    let (mut version, mut lines, mut reads) = (0, 0, 0);
    while !is_over.load(Ordering::Relaxed) {
        for question in [
            Question::GetAccount(GetAccountRequest::default()),
            Question::ListTransfers(ListTransfersRequest { page_size: 1, ..ListTransfersRequest::default() }),
            Question::GetStatement(GetStatementRequest { page_size: 500, ..GetStatementRequest::default() }),
            Question::ListPositions(ListPositionsRequest::default()),
            Question::ListTrades(ListTradesRequest::default()),
        ] {
            let asked =
                v1::LedgerQuestion { account_id: account.clone(), question: Some(question), ..Default::default() };
            match bus.ask::<_, v1::LedgerAnswer>(Ask::Ledger, &asked, PATIENCE).await.expect("an answer").answer {
                Some(Answer::Account(answer)) => {
                    let seen = answer.account.expect("an account").version;
                    assert!(seen >= version, "version {seen} was read after {version}");
                    version = seen;
                }
                Some(Answer::Statement(page)) => {
                    assert!(page.lines.len() >= lines, "{} lines were read after {lines}", page.lines.len());
                    lines = page.lines.len();
                }
                Some(Answer::Transfers(page)) => assert_eq!(page.transfers.len(), 1),
                Some(Answer::Positions(page)) => assert_eq!(page.positions.len(), 1),
                Some(Answer::Trades(page)) => assert_eq!(page.trades.len(), 1),
                other => panic!("{other:?}"),
            }
            reads += 1;
        }
    }
    reads
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_read_and_paid_in_while_its_slot_moves() {
    for kind in BOTH {
        let mut rig = Rig::new(kind).await;
        let folder = TempDir::new().expect("a temporary folder");
        let config = two_shards(&rig, &folder).await;
        let running = serving(&rig, config.clone()).await;
        let alice = account_in(0, "alice");
        rig.repeat_until_funded(&alice, 100_000_000).await;
        trade(&mut rig, &alice, "r").await;
        let is_over = Arc::new(AtomicBool::new(false));
        let reading = tokio::spawn(read_on(rig.bus.clone(), alice.clone(), Arc::clone(&is_over)));
        let moving = {
            let (config, is_over, slot) = (config.clone(), Arc::clone(&is_over), slot_of_account(&alice));
            tokio::spawn(async move {
                for to in [1, 0, 1, 0] {
                    move_slot(&config, slot, to, |_| {}).await.expect("a move").expect("something to move");
                }
                is_over.store(true, Ordering::Relaxed);
            })
        };
        let mut paid = 0;
        while !is_over.load(Ordering::Relaxed) {
            let answer = rig.deposit(&alice, &format!("d{paid}"), 1).await.answer;
            let Some(Answer::Deposit(v1::DepositResponse { account: Some(account) })) = answer else {
                panic!("{answer:?}")
            };
            paid += 1;
            // Who asks for nothing special sees what he has done.
            assert!(rig.account(&alice).await.version >= account.version);
        }
        moving.await.expect("moves");
        assert!(reading.await.expect("reads") > 20);
        assert!(paid > 4);
        assert_eq!(rig.account(&alice).await.cash_micros, 100_000_000 - 501_000 + paid);
        stop(running).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_between_two_shards_is_not_taken_for_one_that_is_nowhere() {
    for kind in BOTH {
        let rig = Rig::new(kind).await;
        let folder = TempDir::new().expect("a temporary folder");
        let config = two_shards(&rig, &folder).await;
        let running = serving(&rig, config.clone()).await;
        let alice = account_in(0, "alice");
        rig.repeat_until_funded(&alice, 1).await;
        let tables = Tables { url: config.shards[0].url.clone(), shard: 0 };
        let slot = slot_of_account(&alice);
        tables.change(&format!("UPDATE slot SET state = 3, peer_shard = 1 WHERE slot = {slot}")).await;
        for question in [
            Question::GetAccount(GetAccountRequest::default()),
            Question::GetTrade(v1::GetTradeRequest {
                key: Some(v1::get_trade_request::Key::RequestId("r".to_owned())),
            }),
            Question::GetStatement(GetStatementRequest::default()),
            Question::ListTransfers(ListTransfersRequest::default()),
            Question::AccountsPage(v1::AccountsPageQuestion::default()),
        ] {
            assert_eq!(error(rig.ask(&alice, question).await), (14, "SLOT_MOVING".to_owned()));
        }
        tables.change(&format!("UPDATE slot SET state = 1 WHERE slot = {slot}")).await;
        assert_eq!(rig.account(&alice).await.cash_micros, 1);
        stop(running).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_away_is_missed_by_its_own_accounts_only() {
    // A file does not go away, so this is about servers.
    let mut rig = Rig::new(Kind::Postgres).await;
    let folder = TempDir::new().expect("a temporary folder");
    let config = two_shards(&rig, &folder).await;
    let running = serving(&rig, config.clone()).await;
    let (alice, bob) = (account_in(0, "alice"), account_in(1, "bob"));
    rig.repeat_until_funded(&alice, 100_000_000).await;
    rig.repeat_until_funded(&bob, 100_000_000).await;
    trade(&mut rig, &alice, "r").await;
    trade(&mut rig, &bob, "r").await;

    let (server, away) = config.shards[1].url.rsplit_once('/').expect("a url");
    let other = Tables { url: format!("{server}/postgres"), shard: 0 };
    let silence = |is_open: bool| format!("ALTER DATABASE {away} ALLOW_CONNECTIONS {is_open}");
    let hang_up = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{away}'");
    other.change(&silence(false)).await;
    other.change(&hang_up).await;

    let lists = || {
        [
            Question::GetAccount(GetAccountRequest::default()),
            Question::ListTrades(ListTradesRequest::default()),
            Question::ListTransfers(ListTransfersRequest::default()),
            Question::ListPositions(ListPositionsRequest::default()),
            Question::GetStatement(GetStatementRequest::default()),
        ]
    };
    for question in lists() {
        let answer = rig.ask(&alice, question.clone()).await;
        assert!(!matches!(answer.answer, Some(Answer::Error(_))), "{answer:?}");
        assert_eq!(error(rig.ask(&bob, question).await), (14, "LEDGER_UNAVAILABLE".to_owned()));
    }
    let answer = rig.deposit(&alice, "d", 1).await;
    assert!(matches!(answer.answer, Some(Answer::Deposit(_))), "{answer:?}");
    let nobody = account_in(0, "nobody");
    let question = Question::GetAccount(GetAccountRequest::default());
    assert_eq!(error(rig.ask(&nobody, question).await), (5, "ACCOUNT_NOT_FOUND".to_owned()));

    let (of_alice, of_bob) = (id(&alice, "r"), id(&bob, "r"));
    let ask = |account: &str, trade_ids: &[&String], accept_partial| {
        let trade_ids = trade_ids.iter().map(|id| (*id).clone()).collect();
        let question = Question::Outcomes(v1::OutcomesQuestion { trade_ids, accept_partial });
        let (rig, account) = (&rig, account.to_owned());
        async move {
            match rig.ask(&account, question).await.answer {
                Some(Answer::Outcomes(outcomes)) => Ok(outcomes.facts.len()),
                Some(Answer::Error(error)) => Err((error.code, error.reason)),
                other => panic!("{other:?}"),
            }
        }
    };
    let unknown = Err((14, "LEDGER_UNAVAILABLE".to_owned()));
    assert_eq!(ask("", &[&of_alice], false).await, Ok(1));
    assert_eq!(ask("", &[&of_alice, &of_bob], false).await, unknown);
    assert_eq!(ask("", &[&of_alice, &of_bob], true).await, Ok(1));
    assert_eq!(ask(&alice, &[&of_alice, &of_bob], false).await, Ok(1), "bob's is not alice's");
    assert_eq!(ask(&bob, &[&of_bob], false).await, unknown);
    let everybody = Question::AccountsPage(v1::AccountsPageQuestion::default());
    assert_eq!(error(rig.ask("", everybody).await), (14, "LEDGER_UNAVAILABLE".to_owned()));

    other.change(&silence(true)).await;
    let started = Instant::now();
    while matches!(rig.ask(&bob, lists()[0].clone()).await.answer, Some(Answer::Error(_))) {
        assert!(started.elapsed() < PATIENCE, "the shard is not back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask("", &[&of_alice, &of_bob], false).await, Ok(2));
    stop(running).await;
}

/// What this process has counted of a metric with such labels.
fn counted(metric: &str, labels: &[&str]) -> u64 {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    let telemetry = TELEMETRY.get_or_init(|| Telemetry::install(LogFormat::Human, "off", None).expect("a recorder"));
    let text = telemetry.metrics.render();
    let lines = text.lines().filter(|line| line.starts_with(metric) && labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a count")).sum()
}

/// Asks, and says whether a replica answered. Only one test here has replicas.
async fn from_replica(rig: &Rig, question: Question) -> (Answer, bool) {
    let before = counted("ledger_reads_total", &["replica"]);
    let answer = rig.ask("alice", question).await.answer.expect("an answer");
    assert!(!matches!(answer, Answer::Error(_)), "{answer:?}");
    (answer, counted("ledger_reads_total", &["replica"]) > before)
}

fn questions(min_version: i64) -> [Question; 5] {
    [
        Question::GetAccount(GetAccountRequest { min_version, ..GetAccountRequest::default() }),
        Question::ListTrades(ListTradesRequest { min_version, ..ListTradesRequest::default() }),
        Question::ListTransfers(ListTransfersRequest { min_version, ..ListTransfersRequest::default() }),
        Question::ListPositions(ListPositionsRequest { min_version, ..ListPositionsRequest::default() }),
        Question::GetStatement(GetStatementRequest { min_version, ..GetStatementRequest::default() }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_answers_what_it_has_already_and_the_primary_the_rest() {
    // Counts from here on.
    counted("ledger_reads_total", &[]);
    let mut pair = Pair::start().await;
    let mut rig = Rig::new(Kind::Sqlite).await;
    let shard = ShardConfig { url: pair.primary_url(), replica_urls: vec![pair.standby_url()] };
    let running = serving(&rig, Config { shards: vec![shard], ..Config::default() }).await;
    rig.repeat_until_funded("alice", 100_000_000).await;
    trade(&mut rig, "alice", "r1").await;
    let version = rig.account("alice").await.version;
    let reached = "SELECT version FROM shard_0.wallet WHERE account_id = 'alice'";
    pair.wait_for(reached, version).await;
    for (now, then) in questions(0).into_iter().zip(questions(version)) {
        let (now, from_primary) = from_replica(&rig, now).await;
        let (then, is_replica) = from_replica(&rig, then).await;
        assert_eq!((from_primary, is_replica), (false, true), "{then:?}");
        assert_eq!(now, then);
    }

    pair.pause().await;
    trade(&mut rig, "alice", "r2").await;
    let newer = rig.account("alice").await.version;
    for ((old, new), now) in questions(version).into_iter().zip(questions(newer)).zip(questions(0)) {
        let (old, is_replica) = from_replica(&rig, old).await;
        let (new, from_new) = from_replica(&rig, new).await;
        let (now, from_now) = from_replica(&rig, now).await;
        assert_eq!((is_replica, from_new, from_now), (true, false, false), "{new:?}");
        assert_eq!(new, now);
        assert_ne!(old, new, "the replica has no idea of the new trade");
    }
    // A page that ends in what the replica does not have yet goes on at the primary.
    let first = GetStatementRequest { page_size: 4, ..GetStatementRequest::default() };
    let (Answer::Statement(first), _) = from_replica(&rig, Question::GetStatement(first)).await else { panic!() };
    let page_token = first.next_page_token;
    assert_ne!(page_token, "");
    let next = GetStatementRequest { page_size: 4, page_token, min_version: version, ..GetStatementRequest::default() };
    let (Answer::Statement(next), is_replica) = from_replica(&rig, Question::GetStatement(next)).await else {
        panic!()
    };
    assert_eq!((next.lines.len(), is_replica), (1, false));
    assert_eq!(next.opening_cash_micros, first.closing_cash_micros);
    let too_new = GetAccountRequest { min_version: newer + 1, ..GetAccountRequest::default() };
    assert_eq!(error(rig.ask("alice", Question::GetAccount(too_new)).await), (14, "VERSION_NOT_REACHED".to_owned()));

    pair.resume().await;
    pair.wait_for(reached, newer).await;
    for question in questions(newer) {
        assert!(from_replica(&rig, question).await.1);
    }

    pair.stop_standby().await;
    let failed = counted("ledger_replica_failures_total", &[]);
    for question in questions(newer).into_iter().chain(questions(newer)) {
        assert!(!from_replica(&rig, question).await.1);
    }
    let failures = counted("ledger_replica_failures_total", &[]) - failed;
    assert!((1..5).contains(&failures), "it is left alone, but {failures} questions have tried it");
    pair.start_standby().await;
    let started = Instant::now();
    while !from_replica(&rig, questions(newer)[0].clone()).await.1 {
        assert!(started.elapsed() < PATIENCE, "the replica is not used again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop(running).await;
}
