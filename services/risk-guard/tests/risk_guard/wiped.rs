//! The bus has lost everything, the journal with it: what worked is brought to an end, what was executed is told, and
//! nobody takes an old epoch for a new one.

use crate::rig::{HOME, ONE, Rig, buy, eventually, key, order, proposal, trade_of};
use tragen_contracts::v1::{
    self, Side, TimeInForce, TradeStatus, TradingState, guard_answer::Answer, guard_question::Question, proposal::Kind,
};
use tragen_domain::risk::JOURNAL_LOST;
use tragen_risk_guard::Config;

/// Halts everything, also while one term ends and the next one begins; the epoch.
async fn halt(rig: &Rig) -> i64 {
    let halt = v1::HaltRequest { reason: "a test".into(), wait_ms: 10, ..v1::HaltRequest::default() };
    let mut epoch = None;
    eventually("it is halted", async || {
        if let Answer::Halt(halted) = rig.ask("olga", Question::Halt(halt.clone())).await {
            epoch = Some(halted.epoch);
        }
        epoch.is_some()
    })
    .await;
    epoch.expect("halted")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_worked_before_a_wipe_is_taken_out_and_told_and_a_cancel_is_answered() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let resting = order("resting", Side::Buy, 10, 400_000, TimeInForce::Gtc);
    let in_part = order("in-part", Side::Buy, 10, 520_000, TimeInForce::Gtc);
    let (unbooked, unbooked_too) =
        (buy("unbooked", 3, 530_000), order("rests", Side::Buy, 5, 410_000, TimeInForce::Gtc));
    let names = [&resting, &in_part, &unbooked, &unbooked_too].map(trade_of);
    rig.quote(500_000, 520_000, 4).await;
    rig.propose(vec![resting.clone(), in_part]).await;
    eventually("the ledger has what works", async || {
        let works = |name: &String| rig.ledger.status(name) == Some(TradeStatus::Working);
        names[..2].iter().all(works) && rig.ledger.contracts("alice", HOME) == 4
    })
    .await;
    // Executed, accepted and told, but the books have not got that far.
    names[2..].iter().for_each(|name| rig.ledger.loses(name));
    rig.quote(500_000, 530_000, 1_000).await;
    rig.propose(vec![unbooked.clone(), unbooked_too.clone()]).await;
    rig.outcomes.until(|own| names[2..].iter().all(|name| own.reports.contains_key(name))).await;
    guard.kill();
    rig.wipe().await;
    names[2..].iter().for_each(|name| rig.ledger.hears(name));

    let guard = rig.guard().await;
    // The market that is told again reaches the second one first; 4 contracts of it are in the books already.
    for (name, expected) in names.iter().zip([(TradeStatus::Canceled, 0), (TradeStatus::Filled, 6)]) {
        let told = rig.outcomes.of(name).await;
        let contracts: i64 = told.fills.iter().map(|fill| fill.quantity_micros / ONE).sum();
        assert_eq!((told.status(), contracts), expected, "{told:?}");
    }
    eventually("the ledger knows the ends", async || {
        names[..2].iter().all(|name| rig.ledger.status(name) != Some(TradeStatus::Working))
    })
    .await;
    let state = rig.risk_state().await;
    assert_eq!((state.global_state(), state.open_orders), (TradingState::Halted, 0));

    // Whoever asks again hears what the venue did, although nothing may be opened now; whoever cancels is answered.
    let told = rig.outcomes.reports[&names[0]].len();
    let cancel = v1::CancelRequested { trade_id: names[0].clone() };
    rig.propose(vec![unbooked, unbooked_too, buy("new", 1, 520_000)]).await;
    rig.propose(vec![proposal(key("alice", "cancel"), Kind::Cancel(cancel)), resting]).await;
    assert_eq!(rig.outcomes.of(&names[2]).await.status(), TradeStatus::Filled);
    assert_eq!(rig.outcomes.of(&names[3]).await.status(), TradeStatus::Canceled);
    let denied = rig.outcomes.of(&trade_of(&buy("new", 1, 520_000))).await;
    assert_eq!(denied.denial.expect("a denial").code(), v1::DenialCode::TradingHalted);
    rig.outcomes.until(|own| own.reports[&names[0]].len() > told).await;
    assert_eq!(rig.outcomes.last(&names[0]).expect("a report").status(), TradeStatus::Canceled);
    eventually("everything is booked once", async || rig.ledger.contracts("alice", HOME) == 13).await;
    eventually("nothing is held", async || rig.risk_state().await.held_micros == 0).await;

    // The next guard finds all of it on the bus.
    guard.kill();
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    assert_eq!((state.global_state(), state.open_orders, state.held_micros), (TradingState::Halted, 0, 0));
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn epochs_grow_over_a_wipe_whatever_is_left() {
    let mut rig = Rig::start().await;
    // Nothing was traded, and only the guard that goes on knows that there was something.
    let guard = rig.guard().await;
    let mut newest = halt(&rig).await;
    rig.wipe().await;
    let after = halt(&rig).await;
    assert!(after > newest, "{after} after {newest}");
    let history = Question::History(v1::GetRiskHistoryRequest::default());
    let Answer::History(history) = rig.ask("olga", history).await else { panic!("refused") };
    assert_eq!(history.changes.last().expect("a change").reason, JOURNAL_LOST);
    newest = after;
    guard.kill();

    // Only an old snapshot is left.
    rig.wipe().await;
    let guard = rig.standby(Config { snapshot_records: 1, tick_ms: 20, ..rig.config() });
    guard.wait_ready().await;
    let folder = rig.config().snapshot_folder;
    let is_there = || {
        let names = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| name.to_string_lossy().starts_with("snapshot-"))
    };
    newest = newest.max(halt(&rig).await);
    eventually("a snapshot is written", async || is_there()).await;
    guard.kill();
    std::fs::remove_file(folder.join("told")).expect("removed");
    rig.wipe().await;
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    assert!(state.epoch > newest && state.global_state() == TradingState::Halted, "{state:?} after {newest}");
    newest = state.epoch;
    guard.kill();

    // Only the books know that there was something.
    std::fs::remove_dir_all(&folder).expect("removed");
    rig.wipe().await;
    let (guard, trade) = (rig.guard().await, trade_of(&buy("r", 1, 520_000)));
    rig.propose(vec![buy("r", 1, 520_000)]).await;
    rig.outcomes.of(&trade).await;
    eventually("it is booked", async || rig.ledger.status(&trade).is_some()).await;
    guard.kill();
    rig.wipe().await;
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    assert!(state.epoch > newest && state.global_state() == TradingState::Halted, "{state:?} after {newest}");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_survives_a_wipe_although_nothing_was_ever_traded() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    assert_eq!(state.global_state(), TradingState::Active, "a new system");
    let agent = v1::Scope { kind: v1::ScopeKind::Agent.into(), id: "scalper-1".into() };
    let halt = v1::HaltRequest { reason: "a test".into(), scope: Some(agent.clone()), wait_ms: 10 };
    let Answer::Halt(halted) = rig.ask("olga", Question::Halt(halt)).await else { panic!("refused") };
    let told = rig.config().snapshot_folder.join("told");
    eventually("it is in the file", async || {
        std::fs::read(&told).is_ok_and(|file| file.windows(9).any(|part| part == b"scalper-1"))
    })
    .await;
    guard.kill();

    // Another process, no snapshot, and books without a trade.
    rig.wipe().await;
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    assert_eq!(state.global_state(), TradingState::Halted);
    assert!(state.epoch > halted.epoch, "{state:?}");
    let of = |state: &v1::GetRiskStateResponse, scope: &v1::Scope| {
        let found = state.scopes.iter().find(|own| own.scope.as_ref() == Some(scope));
        found.map(|own| (own.state(), own.reason.clone(), own.changed_by.clone()))
    };
    assert_eq!(of(&state, &agent), Some((TradingState::Halted, "a test".into(), "olga".into())));
    let everything = v1::Scope { kind: v1::ScopeKind::Global.into(), id: String::new() };
    assert_eq!(of(&state, &everything).map(|(_, reason, _)| reason).as_deref(), Some(JOURNAL_LOST));
    let newest = state.epoch;
    guard.kill();

    // A file that cannot be read says at least that there was something.
    std::fs::write(&told, b"nonsense").expect("written");
    rig.wipe().await;
    let guard = rig.guard().await;
    let state = rig.risk_state().await;
    assert!(state.epoch > newest && state.global_state() == TradingState::Halted, "{state:?} after {newest}");
    guard.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_that_were_changed_survive_a_wipe() {
    let mut rig = Rig::start().await;
    let guard = rig.guard().await;
    let wish = |value, reason: &str| {
        let (name, id) = ("day_loss_reduce_ppm".to_owned(), String::new());
        Question::ProposeLimit(v1::ProposeLimitRequest { name, id, value, reason: reason.to_owned() })
    };
    let Answer::ProposeLimit(done) = rig.ask("ann", wish(40_000, "careful")).await else { panic!("refused") };
    assert!(done.is_done, "tighter by one person");
    let Answer::ProposeLimit(done) = rig.ask("ann", wish(30_000, "very careful")).await else { panic!("refused") };
    assert!(done.is_done);
    let kept = rig.config().snapshot_folder.join("limits");
    eventually("the newest is in the file", async || {
        std::fs::read(&kept).is_ok_and(|file| file.windows(12).any(|part| part == b"very careful"))
    })
    .await;
    guard.kill();

    let changed = async |rig: &Rig| {
        let Answer::ListLimits(list) = rig.ask("ann", Question::ListLimits(v1::ListLimitsRequest {})).await else {
            panic!("refused")
        };
        let own = list.limits.into_iter().find(|own| own.name == "day_loss_reduce_ppm" && own.id.is_empty());
        own.map(|own| (own.value, own.changed_by, own.reason, own.changed_at_micros > 0))
    };
    let expected = Some((30_000, "ann".to_owned(), "very careful".to_owned(), true));
    // Twice: what was taken from the file is in it again.
    for _ in 0..2 {
        rig.wipe().await;
        let guard = rig.guard().await;
        assert_eq!(rig.risk_state().await.global_state(), TradingState::Halted);
        assert_eq!(changed(&rig).await, expected);
        guard.kill();
    }
    // A file that cannot be read leaves what is configured, and everything halted.
    std::fs::write(&kept, b"nonsense").expect("written");
    rig.wipe().await;
    let guard = rig.guard().await;
    assert_eq!(rig.risk_state().await.global_state(), TradingState::Halted);
    assert_eq!(changed(&rig).await.map(|(_, by, ..)| by), Some(String::new()));
    guard.stop().await;
    rig.stop().await;
}
