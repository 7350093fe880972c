//! The guard's word on what accounts have, as far as bettors and market makers ask for it.

use super::{MATCH, World};
use futures::future::BoxFuture;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};
use tragen_bus::Ask;
use tragen_contracts::v1::{self, proposal::Kind, risk_answer::Answer, risk_question::Question};

/// Books of one outcome's contract that the test writes itself.
#[derive(Clone, Default)]
pub(super) struct Guard {
    /// Held by every account of the contract on a home win.
    pub(super) held_micros: Arc<AtomicI64>,
    pub(super) is_dead: Arc<AtomicBool>,
    /// How many questions were answered or not.
    pub(super) asked: Arc<AtomicUsize>,
    /// Open orders by account.
    orders: Arc<Mutex<BTreeMap<String, Vec<v1::StandingOrder>>>>,
}

impl Guard {
    /// Answers from now on.
    pub(super) async fn start(world: &World) -> Self {
        let guard = Self::default();
        let own = guard.clone();
        let risk = move |question: v1::RiskQuestion| -> BoxFuture<'static, v1::RiskAnswer> {
            let answer = own.answer(&question);
            Box::pin(async move { v1::RiskAnswer { answer: Some(answer) } })
        };
        world.bus.answer(&world.context, Ask::Risk, risk).await.expect("listening");
        guard
    }

    /// Approves every order and obeys every cancel, as the venue does while nothing fills.
    pub(super) fn take(&self, proposals: &[v1::Proposal]) {
        for proposal in proposals {
            let key = proposal.key.as_ref().expect("a key");
            let mut orders = self.orders.lock().expect("not poisoned");
            let own = orders.entry(key.account_id.clone()).or_default();
            match proposal.kind.as_ref().expect("a kind") {
                Kind::Order(order) => {
                    let terms = order.terms.as_ref().expect("terms");
                    own.push(v1::StandingOrder {
                        trade_id: key.trade_id.clone(),
                        instrument_id: terms.instrument_id.clone(),
                        agent_id: order.agent_id.clone(),
                        side: terms.side,
                        limit_price_micros: terms.limit_price_micros,
                        open_quantity_micros: terms.quantity_micros,
                    });
                }
                Kind::Cancel(cancel) => own.retain(|order| order.trade_id != cancel.trade_id),
                other @ (Kind::NoTrade(_) | Kind::Withdrawal(_)) => panic!("not proposed by agents: {other:?}"),
            }
        }
    }

    /// What was open is denied, or filled and closed again.
    pub(super) fn forget(&self) {
        self.orders.lock().expect("not poisoned").clear();
    }

    /// Ids of everything that is open.
    pub(super) fn open(&self) -> Vec<String> {
        let orders = self.orders.lock().expect("not poisoned");
        orders.values().flatten().map(|order| order.trade_id.clone()).collect()
    }

    fn answer(&self, question: &v1::RiskQuestion) -> Answer {
        let Some(Question::Standings(asked)) = &question.question else { panic!("not asked here: {question:?}") };
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_dead.load(Ordering::SeqCst) {
            return Answer::Error(v1::AskError { code: 14, ..v1::AskError::default() });
        }
        assert_eq!((asked.currency.as_str(), asked.instrument_ids.len()), ("USD", 3));
        let (orders, quantity_micros) =
            (self.orders.lock().expect("not poisoned"), self.held_micros.load(Ordering::SeqCst));
        let held = v1::StandingPosition { instrument_id: format!("{MATCH}-HOME"), quantity_micros };
        let standing = |account_id: &String| v1::Standing {
            account_id: account_id.clone(),
            cash_micros: 10_000_000_000,
            available_micros: 10_000_000_000,
            positions: if quantity_micros == 0 { Vec::new() } else { vec![held.clone()] },
            orders: orders.get(account_id).cloned().unwrap_or_default(),
        };
        Answer::Standings(v1::Standings { standings: asked.account_ids.iter().map(standing).collect() })
    }
}
