//! Reading what a chat server answers: leniently where servers differ, strictly where the model speaks.

use serde::Deserialize;
use serde_json::Value;
use tragen_domain::agents::advisor::{
    NoOpinion,
    llm_price::TokenUsage,
    opinion::{Effect, Evidence, Opinion, RiskFlag, Stance, Verdict},
};
use unicode_normalization::UnicodeNormalization as _;

/// Longest answer of a model that is read, bytes.
pub(crate) const CONTENT_BYTES_MAX: usize = 8 * 1_024;
/// Longest answer of a server that is read, bytes: the model's, escaped, and what servers put around it.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1_024;

/// What a server says: what it used, if it says so, and the model's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) usage: Option<TokenUsage>,
    pub(crate) content: Result<String, NoOpinion>,
}

#[derive(Deserialize)]
struct ChatForm {
    choices: Vec<ChoiceForm>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct ChoiceForm {
    message: MessageForm,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct MessageForm {
    #[serde(default)]
    content: Value,
    #[serde(default)]
    refusal: Value,
}

/// Reads the body of a chat server's answer.
pub(crate) fn read(body: &[u8]) -> Answer {
    let Ok(mut chat) = serde_json::from_slice::<ChatForm>(body) else {
        return Answer { usage: None, content: Err(NoOpinion::NotAChat) };
    };
    let usage = usage(&chat.usage);
    let content = if chat.choices.is_empty() { Err(NoOpinion::NotAChat) } else { content(chat.choices.remove(0)) };
    Answer { usage, content }
}

fn content(choice: ChoiceForm) -> Result<String, NoOpinion> {
    if choice.finish_reason.as_deref() != Some("stop") {
        return Err(NoOpinion::CutOff);
    }
    if choice.message.refusal.as_str().is_some_and(|refusal| !refusal.is_empty()) {
        return Err(NoOpinion::Refused);
    }
    match choice.message.content {
        Value::String(content) if content.len() > CONTENT_BYTES_MAX => {
            Err(NoOpinion::TooLong { limit: CONTENT_BYTES_MAX })
        }
        Value::String(content) => Ok(content),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(NoOpinion::Malformed)
        }
    }
}

/// What was used, if the server says it in whole numbers.
fn usage(usage: &Value) -> Option<TokenUsage> {
    let cached = &usage["prompt_tokens_details"]["cached_tokens"];
    Some(TokenUsage {
        prompt: usage["prompt_tokens"].as_u64()?,
        cached: cached.as_u64().unwrap_or(0),
        completion: usage["completion_tokens"].as_u64()?,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpinionForm {
    request_id: String,
    market_id: String,
    verdict: VerdictWord,
    direction: StanceWord,
    logit_shift: f64,
    confidence: f64,
    evidence: Vec<EvidenceForm>,
    risk_flags: Vec<FlagWord>,
    rationale: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceForm {
    source_id: String,
    quote: String,
    effect: EffectWord,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerdictWord {
    Agree,
    Veto,
    Abstain,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StanceWord {
    Buy,
    Sell,
    Hold,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EffectWord {
    Supports,
    Opposes,
    Neutral,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FlagWord {
    InjuryNews,
    LineupChange,
    PostponementRisk,
    StaleData,
    ThinBook,
    ConflictingSources,
    InjectionSuspected,
    None,
}

/// Reads a model's answer: exactly one object of the agreed form, nothing around it.
///
/// # Errors
/// [`NoOpinion::Malformed`].
pub(crate) fn parse(content: &str) -> Result<Opinion, NoOpinion> {
    // An array with the fields in their order would be read as well.
    if !content.trim_start().starts_with('{') {
        return Err(NoOpinion::Malformed);
    }
    let form: OpinionForm = serde_json::from_str(content).map_err(|_| NoOpinion::Malformed)?;
    Ok(Opinion {
        request_id: form.request_id,
        market_id: form.market_id,
        verdict: match form.verdict {
            VerdictWord::Agree => Verdict::Agree,
            VerdictWord::Veto => Verdict::Veto,
            VerdictWord::Abstain => Verdict::Abstain,
        },
        direction: match form.direction {
            StanceWord::Buy => Stance::Buy,
            StanceWord::Sell => Stance::Sell,
            StanceWord::Hold => Stance::Hold,
        },
        logit_shift: form.logit_shift,
        confidence: form.confidence,
        evidence: form.evidence.into_iter().map(evidence).collect(),
        risk_flags: form.risk_flags.iter().map(flag).collect(),
        rationale: one_form(&form.rationale),
    })
}

/// Letters with several forms in one of them (NFKC): the domain compares texts letter by letter.
pub(crate) fn one_form(text: &str) -> String {
    text.nfkc().collect()
}

fn evidence(form: EvidenceForm) -> Evidence {
    let effect = match form.effect {
        EffectWord::Supports => Effect::Supports,
        EffectWord::Opposes => Effect::Opposes,
        EffectWord::Neutral => Effect::Neutral,
    };
    Evidence { source_id: form.source_id, quote: one_form(&form.quote), effect }
}

const fn flag(word: &FlagWord) -> RiskFlag {
    match word {
        FlagWord::InjuryNews => RiskFlag::InjuryNews,
        FlagWord::LineupChange => RiskFlag::LineupChange,
        FlagWord::PostponementRisk => RiskFlag::PostponementRisk,
        FlagWord::StaleData => RiskFlag::StaleData,
        FlagWord::ThinBook => RiskFlag::ThinBook,
        FlagWord::ConflictingSources => RiskFlag::ConflictingSources,
        FlagWord::InjectionSuspected => RiskFlag::InjectionSuspected,
        FlagWord::None => RiskFlag::None,
    }
}

#[cfg(test)]
mod tests;
