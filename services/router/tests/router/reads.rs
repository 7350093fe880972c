//! Money in and out, pages, the agent registry, operations, and who may see them.

use crate::stage::{Backstage, Stage, expect_refusal, generous, request_id, with_token};
use futures::FutureExt as _;
use tonic::Code::{self, AlreadyExists, InvalidArgument, NotFound, PermissionDenied};
use tonic_types::StatusExt as _;
use tragen_bus::Ask;
use tragen_contracts::v1::{
    self, Agent, DepositRequest, GetTradeRequest, ListTradesRequest, PutAgentRequest, WithdrawRequest,
    WithdrawalStatus, get_trade_request::Key,
};
use tragen_domain::tier::Tier;
use tragen_router::token::Role;

fn withdrawal(request_id: &str, amount_micros: i64) -> WithdrawRequest {
    WithdrawRequest { request_id: request_id.to_owned(), amount_micros, currency: String::new() }
}

#[tokio::test]
async fn withdrawals_pass_the_guard_once() {
    let stage = Stage::start(generous()).await;
    let withdraw = |request| {
        let request = stage.from("alice", request);
        async { stage.accounts().withdraw(request).await.map(tonic::Response::into_inner) }
    };
    let id = request_id();
    let first = withdraw(withdrawal(&id, 5_000_000)).await.expect("posted");
    assert_eq!(first.status(), WithdrawalStatus::Posted);
    assert_eq!(first.account.as_ref().expect("an account").currency, "USD");
    assert_eq!(withdraw(withdrawal(&id, 5_000_000)).await.expect("known"), first);
    expect_refusal("another amount", withdraw(withdrawal(&id, 6_000_000)).await, AlreadyExists, "REQUEST_ID_REUSED");
    let denied = withdraw(withdrawal(&request_id(), 200_000_000)).await.expect("a business no is an answer");
    assert_eq!((denied.status(), denied.denial_reason.as_str()), (WithdrawalStatus::Denied, "INSUFFICIENT_FUNDS"));
    for (amount, reason) in [(0, "AMOUNT_NOT_POSITIVE"), (-1, "AMOUNT_NOT_POSITIVE"), (i64::MAX, "AMOUNT_LIMIT")] {
        expect_refusal(reason, withdraw(withdrawal(&request_id(), amount)).await, InvalidArgument, reason);
    }
}

#[tokio::test]
async fn deposits_go_to_the_ledger() {
    let stage = Stage::start(generous()).await;
    let deposit = |amount_micros, currency: &str| {
        let request = DepositRequest { request_id: request_id(), amount_micros, currency: currency.to_owned() };
        let request = stage.from("alice", request);
        async { stage.accounts().deposit(request).await.map(tonic::Response::into_inner) }
    };
    let account = deposit(1, "EUR").await.expect("deposited").account.expect("an account");
    assert_eq!((account.account_id.as_str(), account.currency.as_str()), ("alice", "EUR"));
    expect_refusal("no amount", deposit(0, "").await, InvalidArgument, "AMOUNT_NOT_POSITIVE");
    expect_refusal("no currency", deposit(1, "U$").await, InvalidArgument, "CURRENCY_INVALID");
}

#[tokio::test]
async fn page_tokens_belong_to_one_account_and_list() {
    let stage = Stage::start(generous()).await;
    let list = |account: &'static str, page_size, page_token: &str| {
        let request =
            stage.from(account, ListTradesRequest { page_size, page_token: page_token.to_owned(), min_version: 0 });
        async { stage.trading().list_trades(request).await.map(tonic::Response::into_inner) }
    };
    let first = list("alice", 0, "").await.expect("a page");
    let second = list("alice", 1_000, &first.next_page_token).await.expect("a page");
    assert_eq!((second.trades[0].trade_id.as_str(), second.next_page_token.as_str()), ("page-2", ""));
    expect_refusal("forged", list("alice", 0, "AAAA").await, InvalidArgument, "PAGE_TOKEN_INVALID");
    expect_refusal("another's", list("bob", 0, &first.next_page_token).await, InvalidArgument, "PAGE_TOKEN_INVALID");
    expect_refusal("a negative size", list("alice", -1, "").await, InvalidArgument, "PAGE_SIZE_INVALID");
}

#[tokio::test]
async fn trades_are_named_by_a_good_id() {
    let stage = Stage::start(generous()).await;
    let read = |key| {
        let request = stage.from("alice", GetTradeRequest { key });
        async { stage.trading().get_trade(request).await.map(drop) }
    };
    let trade = |id: &str| Some(Key::TradeId(id.to_owned()));
    expect_refusal("no key", read(None).await, InvalidArgument, "TRADE_ID_MISSING");
    expect_refusal("an empty id", read(trade("")).await, InvalidArgument, "TRADE_ID_MISSING");
    expect_refusal("a bad id", read(trade("a b")).await, InvalidArgument, "TRADE_ID_INVALID");
    expect_refusal("no such trade", read(trade("t-1")).await, NotFound, "TRADE_NOT_FOUND");
    let request = Some(Key::RequestId("x".to_owned()));
    expect_refusal("a bad request id", read(request).await, InvalidArgument, "REQUEST_ID_INVALID");
    let old = Some(Key::RequestId(crate::stage::request_id_at(-48 * 3_600)));
    expect_refusal("an old request id may be asked for", read(old).await, NotFound, "TRADE_NOT_FOUND");
}

fn agent(version: i64) -> Agent {
    Agent {
        agent_id: "swing-7".to_owned(),
        strategy: v1::Strategy::Swing.into(),
        instrument_ids: vec!["GBPUSD".to_owned()],
        timeframe: "4h".to_owned(),
        risk_tolerance: 5,
        max_trades_per_day: 20,
        account_id: "fund".to_owned(),
        is_enabled: true,
        pool: String::new(),
        version,
    }
}

#[tokio::test]
async fn agents_are_put_by_operators_and_seen_by_their_owner() {
    let stage = Stage::start(generous()).await;
    let operator = stage.token("root", Tier::Standard, Role::Operator);
    let put = |token: &str, agent| {
        let request = with_token(token, PutAgentRequest { agent });
        async { stage.agents().put_agent(request).await.map(|answer| answer.into_inner().agent.expect("an agent")) }
    };
    let trader = stage.token("alice", Tier::Standard, Role::Trader);
    expect_refusal("a trader", put(&trader, Some(agent(0))).await, PermissionDenied, "ROLE_REQUIRED");
    assert_eq!(put(&operator, Some(agent(0))).await.expect("put").version, 1);
    assert_eq!(put(&operator, Some(agent(1))).await.expect("put").version, 2);
    expect_refusal("an old version", put(&operator, Some(agent(1))).await, Code::Aborted, "AGENT_VERSION_MISMATCH");
    let bad = put(&operator, Some(Agent { timeframe: "3m".to_owned(), risk_tolerance: 0, ..agent(0) })).await;
    let status = expect_refusal("a bad agent", bad, InvalidArgument, "TIMEFRAME_INVALID");
    let details = status.get_error_details();
    let fields: Vec<_> =
        details.bad_request().expect("fields").field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["agent.timeframe", "agent.risk_tolerance"]);

    let list = |account: &'static str| {
        let request = stage.from(account, v1::ListAgentsRequest::default());
        async { stage.agents().list_agents(request).await.expect("a page").into_inner().agents }
    };
    assert_eq!(list("fund").await, [agent(2)]);
    assert!(list("alice").await.is_empty());
    let read = |account: &'static str| {
        let request = stage.from(account, v1::GetAgentRequest { agent_id: "swing-7".to_owned() });
        async { stage.agents().get_agent(request).await.map(drop) }
    };
    read("fund").await.expect("its own");
    expect_refusal("another's", read("alice").await, NotFound, "AGENT_NOT_FOUND");
}

#[tokio::test]
async fn operations_are_for_operators() {
    let stage = Stage::start(generous()).await;
    let operator = stage.token("root", Tier::Standard, Role::Operator);
    let status = stage.operations().get_status(with_token(&operator, v1::GetStatusRequest {})).await.expect("a status");
    let parts: Vec<_> = status.get_ref().parts.iter().map(|p| (p.part.as_str(), p.is_healthy)).collect();
    assert_eq!(
        parts,
        [
            ("router", true),
            ("nats", true),
            ("agent-worker", false),
            ("risk-guard", false),
            ("market-data", false),
            ("cost-monitor", false),
            ("ledger", true)
        ]
    );
    let letters =
        stage.operations().list_dead_letters(with_token(&operator, v1::ListDeadLettersRequest::default())).await;
    assert!(letters.expect("a page").get_ref().dead_letters.is_empty());
    let replay = with_token(&operator, v1::ReplayDeadLetterRequest { sequence: 1 });
    expect_refusal("no letter", stage.operations().replay_dead_letter(replay).await, NotFound, "DEAD_LETTER_NOT_FOUND");
    let refused = stage.operations().get_status(stage.from("alice", v1::GetStatusRequest {})).await;
    expect_refusal("a trader", refused, PermissionDenied, "ROLE_REQUIRED");
    let resume = with_token(&operator, v1::ConfirmResumeRequest { token: "x".to_owned(), ..Default::default() });
    expect_refusal("an operator", stage.risk().confirm_resume(resume).await, PermissionDenied, "ROLE_REQUIRED");
}

/// Answers for the guard: each answer tells what it was asked.
fn guard(question: v1::GuardQuestion) -> v1::guard_answer::Answer {
    use v1::{guard_answer::Answer, guard_question::Question};
    match question.question.expect("a question") {
        Question::Halt(halt) => Answer::Halt(v1::HaltResponse {
            epoch: i64::from(halt.wait_ms),
            missing_workers: vec![halt.reason, question.principal],
            ..v1::HaltResponse::default()
        }),
        Question::ConfirmResume(_) => Answer::Error(v1::AskError {
            code: Code::FailedPrecondition.into(),
            reason: "COOLDOWN".to_owned(),
            message: "too early".to_owned(),
        }),
        Question::GetState(_) => Answer::State(v1::GetRiskStateResponse { epoch: 7, ..Default::default() }),
        Question::ProposeResume(_)
        | Question::ReducePositions(_)
        | Question::Flatten(_)
        | Question::ShutdownAgent(_)
        | Question::History(_)
        | Question::ProposeBooking(_)
        | Question::ConfirmBooking(_)
        | Question::AccountViews(_)
        | Question::ListLimits(_)
        | Question::ProposeLimit(_)
        | Question::ConfirmLimit(_)
        | Question::ProposeReductionEnd(_)
        | Question::ConfirmReductionEnd(_)
        | Question::VenueFills(_) => Answer::State(v1::GetRiskStateResponse::default()),
    }
}

#[tokio::test]
async fn a_halt_is_never_refused_for_its_form_and_the_guards_no_is_passed_on() {
    let stage = Stage::start_with(generous(), Backstage::Asleep, 10, tragen_host::trace::Spans::default()).await;
    let answered = stage.bus.answer(&stage.context, Ask::Guard, |question| {
        async move { v1::GuardAnswer { answer: Some(guard(question)) } }.boxed()
    });
    answered.await.expect("the guard answers");
    let admin = stage.token("eve", Tier::Standard, Role::RiskAdmin);
    let halt = stage.risk().halt(with_token(&admin, v1::HaltRequest { wait_ms: 60_000, ..Default::default() })).await;
    let halt = halt.expect("halted").into_inner();
    assert_eq!((halt.epoch, halt.missing_workers), (10_000, vec!["UNSPECIFIED".to_owned(), "eve".to_owned()]));
    let state = stage.risk().get_risk_state(with_token(&admin, v1::GetRiskStateRequest {})).await.expect("a state");
    assert_eq!(state.into_inner().epoch, 7);
    let confirm = with_token(&admin, v1::ConfirmResumeRequest { token: "t".to_owned(), ..Default::default() });
    expect_refusal("too early", stage.risk().confirm_resume(confirm).await, Code::FailedPrecondition, "COOLDOWN");
    let propose = with_token(&admin, v1::ProposeResumeRequest::default());
    expect_refusal("another answer", stage.risk().propose_resume(propose).await, Code::Internal, "MALFORMED_ANSWER");
}

#[tokio::test]
async fn markets_and_costs_are_asked_of_their_owners() {
    use tragen_contracts::v1::{costs_client::CostsClient, markets_client::MarketsClient};
    let stage = Stage::start_with(generous(), Backstage::Asleep, 10, tragen_host::trace::Spans::default()).await;
    let market = stage.bus.answer(&stage.context, Ask::Market, |question: v1::MarketQuestion| {
        let answer = match question.question {
            Some(v1::market_question::Question::Instruments(request)) => {
                let instrument = v1::Instrument { name: request.page_token, ..Default::default() };
                let page =
                    v1::ListInstrumentsResponse { instruments: vec![instrument], next_page_token: "EURUSD".to_owned() };
                v1::market_answer::Answer::Instruments(page)
            }
            _ => v1::market_answer::Answer::Error(v1::AskError {
                code: Code::NotFound.into(),
                reason: "INSTRUMENT_NOT_FOUND".to_owned(),
                message: "no such instrument".to_owned(),
            }),
        };
        async { v1::MarketAnswer { answer: Some(answer) } }.boxed()
    });
    market.await.expect("market-data answers");
    let cost = stage.bus.answer(&stage.context, Ask::Cost, |_: v1::GetCostsRequest| {
        async { v1::GetCostsResponse { trades: 3, ..Default::default() } }.boxed()
    });
    cost.await.expect("the cost monitor answers");
    let mut markets = MarketsClient::new(stage.channel.clone());
    let page = |page_token: &str| {
        stage.from("alice", v1::ListInstrumentsRequest { page_token: page_token.to_owned(), ..Default::default() })
    };
    let first = markets.list_instruments(page("")).await.expect("a page").into_inner();
    let second = markets.list_instruments(page(&first.next_page_token)).await.expect("a page").into_inner();
    assert_eq!(second.instruments[0].name, "EURUSD");
    let quote = |id: &str| stage.from("alice", v1::GetQuoteRequest { instrument_id: id.to_owned() });
    expect_refusal("unknown", markets.get_quote(quote("NOPE")).await, NotFound, "INSTRUMENT_NOT_FOUND");
    expect_refusal("bad", markets.get_quote(quote("a.b")).await, InvalidArgument, "INSTRUMENT_BAD_CHARSET");
    let mut costs = CostsClient::new(stage.channel.clone());
    let operator = stage.token("root", Tier::Standard, Role::Operator);
    let answer = costs.get_costs(with_token(&operator, v1::GetCostsRequest {})).await.expect("costs");
    assert_eq!(answer.into_inner().trades, 3);
    let refused = costs.get_costs(stage.from("alice", v1::GetCostsRequest {})).await;
    expect_refusal("a trader", refused, PermissionDenied, "ROLE_REQUIRED");
}
