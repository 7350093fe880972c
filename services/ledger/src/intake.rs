//! From a report or a deposit to something that can be booked: parsed once,
//! here. What does not parse is still an item, so that it is kept and seen.

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tragen_contracts::{
    convert::{self, InvalidField},
    v1,
};
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, TradeId},
    instrument::SettlementTerms,
    ledger::{DEFAULT_CURRENCY, VenueId},
    money::Money,
    order::{OrderTerms, TradeStatus},
};
use tragen_host::trace::trace_id_of;
use uuid::Uuid;

/// Longest request id, bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// One thing to book, or to set aside.
#[derive(Debug)]
pub(crate) struct Item {
    /// The report as it came; for a deposit only envelope and key are set.
    pub(crate) report: v1::ExecutionReport,
    /// Where it was reported from.
    pub(crate) venue: String,
    /// How often it was delivered; 1 for the first time.
    pub(crate) deliveries: u64,
    /// The trace context of what booking it causes.
    pub(crate) traceparent: String,
    /// What to book, or why it cannot be.
    pub(crate) action: Result<(Key, Action), String>,
}

/// Whose, and under which name.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) trade_id: TradeId,
    pub(crate) account: AccountId,
}

/// What to book.
#[derive(Debug)]
pub(crate) enum Action {
    /// A trade, or a step of it.
    Trade(Box<TradeAction>),
    /// Money out, as the guard decided.
    Withdrawal { currency: Currency, amount: Money, denial: Option<v1::Denial> },
    /// Money in.
    Deposit { currency: Currency, amount: Money },
}

/// The checked parts of a trade report.
#[derive(Debug)]
pub(crate) struct TradeAction {
    pub(crate) terms: Option<OrderTerms>,
    pub(crate) settlement: Option<SettlementTerms>,
    pub(crate) fills: Vec<Fill>,
    pub(crate) status: TradeStatus,
}

impl Item {
    /// An item of an execution batch that came from `venue`.
    pub(crate) fn report(mut report: v1::ExecutionReport, venue: &str, deliveries: u64) -> Self {
        let action = parse(&mut report, venue).map_err(|error| error.to_string());
        if let Some(meta) = report.meta.as_mut().filter(|meta| trace_id_of(&meta.traceparent).is_empty()) {
            meta.traceparent.clear();
        }
        let traceparent = report.meta.as_ref().map(|meta| meta.traceparent.clone()).unwrap_or_default();
        Self { report, venue: venue.to_owned(), deliveries, traceparent, action }
    }

    /// A deposit asked for by `account_id` at `now`.
    ///
    /// # Errors
    /// [`InvalidField`] naming the field that cannot be used.
    pub(crate) fn deposit(
        account_id: &str,
        request: &v1::DepositRequest,
        traceparent: String,
        now_micros: i64,
    ) -> Result<Self, InvalidField> {
        let account: AccountId = convert::id("account_id", account_id)?;
        check_request_id(&request.request_id)?;
        let currency = currency("currency", &request.currency)?;
        let amount = positive("amount_micros", request.amount_micros)?;
        // A deposit has ids of its own: a trade or withdrawal with the same request id is another matter.
        let trade_id = trade_id_of(account_id, &format!("deposit/{}", request.request_id));
        let meta = v1::Meta {
            event_id: trade_id.clone(),
            traceparent: traceparent.clone(),
            occurred_at_micros: now_micros,
            ..v1::Meta::default()
        };
        let key = v1::TradeKey {
            trade_id: trade_id.clone(),
            request_id: request.request_id.clone(),
            account_id: account_id.to_owned(),
            tier: 0,
            payload_hash: Sha256::digest(request.encode_to_vec()).to_vec().into(),
            created_at_micros: now_micros,
        };
        let key_checked = Key { trade_id: convert::id("trade_id", &trade_id)?, account };
        Ok(Self {
            report: v1::ExecutionReport { meta: Some(meta), key: Some(key), kind: None },
            venue: String::new(),
            deliveries: 1,
            traceparent,
            action: Ok((key_checked, Action::Deposit { currency, amount })),
        })
    }

    /// The envelope's event id; empty when there is none.
    pub(crate) fn event_id(&self) -> &str {
        self.report.meta.as_ref().map_or("", |meta| meta.event_id.as_str())
    }

    /// The key as it came.
    pub(crate) fn raw_key(&self) -> v1::TradeKey {
        self.report.key.clone().unwrap_or_default()
    }
}

/// The trade id of a request: the same for ever.
pub(crate) fn trade_id_of(account_id: &str, request_id: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{account_id}/{request_id}").as_bytes()).hyphenated().to_string()
}

/// A currency; [`DEFAULT_CURRENCY`] when none is named.
///
/// # Errors
/// [`InvalidField`].
pub(crate) fn currency(field: &str, text: &str) -> Result<Currency, InvalidField> {
    convert::id(field, if text.is_empty() { DEFAULT_CURRENCY } else { text })
}

fn parse(report: &mut v1::ExecutionReport, venue: &str) -> Result<(Key, Action), InvalidField> {
    let _: VenueId = convert::id("venue", venue)?;
    let key = convert::required("key", report.key.as_ref())?;
    check_request_id(&key.request_id).map_err(|error| error.inside("key"))?;
    let key = Key {
        trade_id: convert::id("key.trade_id", &key.trade_id)?,
        account: convert::id("key.account_id", &key.account_id)?,
    };
    let action = match report.kind.as_mut() {
        Some(v1::execution_report::Kind::Trade(trade)) => {
            without_nul(trade);
            Action::Trade(Box::new(trade_action(trade).map_err(|error| error.inside("trade"))?))
        }
        Some(v1::execution_report::Kind::Withdrawal(withdrawal)) => {
            if let Some(denial) = &mut withdrawal.denial {
                denial.message.retain(|c| c != '\0');
            }
            Action::Withdrawal {
                currency: currency("withdrawal.currency", &withdrawal.currency)?,
                amount: positive("withdrawal.amount_micros", withdrawal.amount_micros)?,
                denial: withdrawal.denial.clone(),
            }
        }
        None => return Err(InvalidField::new("kind", "FIELD_MISSING", "is missing")),
    };
    Ok((key, action))
}

fn trade_action(trade: &v1::TradeReport) -> Result<TradeAction, InvalidField> {
    let status = v1::TradeStatus::try_from(trade.status)
        .map_err(|_| InvalidField::new("status", "ENUM_UNKNOWN", format!("{} is not a known value", trade.status)))?;
    let action = TradeAction {
        terms: trade.terms.as_ref().map(OrderTerms::try_from).transpose().map_err(|e| e.inside("terms"))?,
        settlement: trade
            .settlement
            .as_ref()
            .map(SettlementTerms::try_from)
            .transpose()
            .map_err(|e| e.inside("settlement"))?,
        fills: trade.fills.iter().map(Fill::try_from).collect::<Result<_, _>>().map_err(|e| e.inside("fills"))?,
        status: TradeStatus::try_from(status)?,
    };
    let has_order = action.terms.is_some() && action.settlement.is_some();
    let may_fill = has_order && !matches!(action.status, TradeStatus::Denied | TradeStatus::NoTrade);
    if action.fills.is_empty() || may_fill {
        Ok(action)
    } else {
        Err(InvalidField::new("fills", "FILLS_WITHOUT_ORDER", "there are fills but no order that may fill"))
    }
}

/// A database's text cannot hold NUL; everything else of a text is kept.
fn without_nul(trade: &mut v1::TradeReport) {
    for text in [&mut trade.rejection, &mut trade.agent, &mut trade.agent_id, &mut trade.rationale] {
        text.retain(|c| c != '\0');
    }
    if let Some(denial) = &mut trade.denial {
        denial.message.retain(|c| c != '\0');
    }
}

fn check_request_id(request_id: &str) -> Result<(), InvalidField> {
    if request_id.is_empty() || request_id.len() > REQUEST_ID_BYTES_MAX || request_id.contains('\0') {
        let message = format!("must be 1 to {REQUEST_ID_BYTES_MAX} bytes of text");
        return Err(InvalidField::new("request_id", "REQUEST_ID_INVALID", message));
    }
    Ok(())
}

fn positive(field: &str, micros: i64) -> Result<Money, InvalidField> {
    if micros > 0 {
        Ok(Money::from_micros(micros))
    } else {
        Err(InvalidField::new(field, "AMOUNT_NOT_POSITIVE", "must be above zero"))
    }
}
