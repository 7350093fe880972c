//! riskManagerAgent: what would the guard say to an order of the caller? The guard answers
//! itself, with the checks that decide trades, so the two cannot disagree.

use super::{Caller, Desk, Finding, Said};
use tragen_contracts::v1;
use tragen_domain::money::{Money, Quantity};

/// The shared agent.
const AGENT: &str = "riskManagerAgent";
/// Version of the answer; the rules are the guard's.
const MODEL_VERSION: &str = "guard-rules-1";

pub(super) async fn analyze(desk: &Desk, caller: &Caller, asked: v1::WhatIfRequest) -> Said {
    let instrument_id = asked.instrument_id.clone();
    let result = desk.sources.what_if(caller, asked).await?;
    let is_unknown = result.denial.as_ref().is_some_and(|denial| denial.code() == v1::DenialCode::UnknownInstrument);
    // The guard says only that there is none; whoever mistyped a name wants to know which there are.
    let nearest = if is_unknown { desk.sources.why_unknown(&instrument_id, &caller.traceparent).await } else { None };
    let explanation = nearest.map_or_else(|| explanation(&result), |why| format!("It would be denied: {why}."));
    let info = v1::AnalysisInfo {
        agent: AGENT.to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        data_asof: result.looked_at,
        confidence_ppm: 1_000_000,
        source: v1::AnalysisSource::Model.into(),
        explanation,
    };
    Ok((info, Finding::WhatIf(result)))
}

fn explanation(result: &v1::WhatIfResult) -> String {
    let hold = Money::from_micros(result.hold_micros);
    let largest = Quantity::from_micros(result.largest_quantity_micros);
    let why = result.denial.as_ref().map(|denial| denial.message.as_str()).unwrap_or_default();
    match result.verdict() {
        v1::WhatIfVerdict::Allow => format!("It would be approved and hold {hold}."),
        v1::WhatIfVerdict::Scale => format!("It would be denied, up to {largest} would be approved. {why}"),
        v1::WhatIfVerdict::Reject | v1::WhatIfVerdict::Unspecified => {
            format!("It would be denied in every size. {why}")
        }
    }
}
