//! What a call of a language model costs. The shape of the table is that of LiteLLM's
//! `model_prices_and_context_window.json`; the prices come from the configuration.

use std::collections::BTreeMap;

use crate::money::{Money, Overflow};

/// Bytes that are taken for one token when nobody has counted them: few languages need less.
const BYTES_PER_TOKEN: u64 = 3;
const TOKENS_PER_PRICE: u128 = 1_000_000;

/// Prices of one model, 1e-6 USD for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelPrice {
    /// What it reads.
    pub input_micros_per_mtok: u64,
    /// What it reads again and has kept.
    pub cached_input_micros_per_mtok: u64,
    /// What it writes; what it thinks is billed as written.
    pub output_micros_per_mtok: u64,
    /// Most it can read and write in one call, tokens.
    pub context_tokens: u64,
}

/// What a call has used, tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Read, with what was kept.
    pub prompt: u64,
    /// Of these, what the server had kept.
    pub cached: u64,
    /// Written, with what was thought.
    pub completion: u64,
}

/// Why a call has no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The table does not have it: it may cost anything.
    #[error("no price is known for the model {model:?}")]
    UnknownModel {
        /// Its name.
        model: String,
    },
    /// The model cannot read and write so much.
    #[error("the call needs {needed} tokens, the model has {limit}")]
    ContextTooSmall {
        /// Tokens needed.
        needed: u64,
        /// What the model has.
        limit: u64,
    },
    /// The cost is not an amount of money.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl ModelPrice {
    /// `(prompt - cached) x input + cached x cached input + completion x output`, rounded up to a micro-dollar.
    ///
    /// Example: 1,200 tokens in and 250 out at 0.15 and 0.60 USD a million cost 0.00033 USD.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn cost(&self, usage: &TokenUsage) -> Result<Money, Overflow> {
        let cached = usage.cached.min(usage.prompt);
        let parts = [
            (usage.prompt - cached, self.input_micros_per_mtok),
            (cached, self.cached_input_micros_per_mtok),
            (usage.completion, self.output_micros_per_mtok),
        ];
        let product = |(tokens, price): (u64, u64)| u128::from(tokens).checked_mul(u128::from(price));
        let sum = parts.into_iter().try_fold(0_u128, |sum, part| product(part).and_then(|cost| sum.checked_add(cost)));
        let micros = sum.ok_or(Overflow)?.div_ceil(TOKENS_PER_PRICE);
        i64::try_from(micros).map(Money::from_micros).map_err(|_| Overflow)
    }

    /// What a call may cost at most: every byte sent is read and `max_tokens` are written. It is also what is charged
    /// when the server does not say what it has used.
    ///
    /// # Errors
    /// [`PriceError::ContextTooSmall`] and [`PriceError::Overflow`].
    pub fn worst_case(&self, request_bytes: u64, max_tokens: u64) -> Result<Money, PriceError> {
        let usage = estimate(request_bytes, max_tokens);
        let needed = usage.prompt.saturating_add(usage.completion);
        if needed > self.context_tokens {
            return Err(PriceError::ContextTooSmall { needed, limit: self.context_tokens });
        }
        Ok(self.cost(&usage)?)
    }
}

/// The prices of all models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceTable(BTreeMap<String, ModelPrice>);

impl PriceTable {
    /// A table of these models.
    #[must_use]
    pub const fn new(models: BTreeMap<String, ModelPrice>) -> Self {
        Self(models)
    }

    /// The prices of `model`.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`]: a model without a price is not asked, it is not free.
    pub fn of(&self, model: &str) -> Result<&ModelPrice, PriceError> {
        self.0.get(model).ok_or_else(|| PriceError::UnknownModel { model: model.to_owned() })
    }
}

/// What a call of so many bytes is taken to use: a token for each 3 bytes begun, and everything it may write.
#[must_use]
pub const fn estimate(request_bytes: u64, max_tokens: u64) -> TokenUsage {
    TokenUsage { prompt: request_bytes.div_ceil(BYTES_PER_TOKEN), cached: 0, completion: max_tokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINI: ModelPrice = ModelPrice {
        input_micros_per_mtok: 150_000,
        cached_input_micros_per_mtok: 75_000,
        output_micros_per_mtok: 600_000,
        context_tokens: 128_000,
    };

    #[test]
    fn a_call_costs_what_it_reads_and_writes() {
        let check = |prompt, cached, completion, micros| {
            let usage = TokenUsage { prompt, cached, completion };
            assert_eq!(MINI.cost(&usage), Ok(Money::from_micros(micros)), "{usage:?}");
        };
        check(1_200, 0, 250, 330);
        check(4_000, 3_000, 600, 735);
        check(0, 0, 0, 0);
        check(1, 0, 0, 1); // 0.15 micro-dollars, rounded up
        check(10, 20, 0, 1); // more kept than read is taken as all kept
        assert_eq!(MINI.cost(&TokenUsage { completion: u64::MAX, ..TokenUsage::default() }), Err(Overflow));
    }

    #[test]
    fn the_worst_case_counts_a_token_for_three_bytes() {
        assert_eq!(estimate(10, 400), TokenUsage { prompt: 4, cached: 0, completion: 400 });
        assert_eq!(MINI.worst_case(3_600, 250), Ok(Money::from_micros(330)));
        let limit = MINI.context_tokens;
        assert_eq!(MINI.worst_case(0, limit + 1), Err(PriceError::ContextTooSmall { needed: limit + 1, limit }));
    }

    #[test]
    fn an_unknown_model_is_not_free() {
        let table = PriceTable::new(BTreeMap::from([("mini".to_owned(), MINI)]));
        assert_eq!(table.of("mini"), Ok(&MINI));
        assert_eq!(table.of("maxi"), Err(PriceError::UnknownModel { model: "maxi".into() }));
    }
}
