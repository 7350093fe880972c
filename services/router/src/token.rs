//! Access tokens: who calls, for which account, in which tier and role. Signed
//! with Ed25519 by the key in the data folder; the router only needs the public half.

mod check;
mod keys;

pub use check::{Caller, TokenChecker};
pub(crate) use keys::page_secret;
pub use keys::{KeyError, Keys, PublicKey};

use std::time::Duration;
use tragen_domain::{id::AccountId, tier::Tier};

/// Who issues tokens if nothing else is set.
pub const DEFAULT_ISSUER: &str = "tragen";
/// Whom tokens are meant for if nothing else is set.
pub const DEFAULT_AUDIENCE: &str = "tragen-api";
/// How long a token lives if nothing else is set; also the longest that a router accepts by default.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(3_600);

/// What a caller may do beyond its own account; each role may do what the ones before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Its own account only.
    Trader,
    /// Looks after the system; may stop trading.
    Operator,
    /// May also resume trading, together with another one.
    RiskAdmin,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Reading.
    TradeRead,
    /// Trading and moving cash.
    TradeWrite,
}

/// What is written into a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose account (`sub`).
    pub account: AccountId,
    /// How urgent.
    pub tier: Tier,
    /// What besides trading.
    pub role: Role,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// Who issues it (`iss`).
    pub issuer: String,
    /// Whom it is meant for (`aud`).
    pub audience: String,
    /// How long it lives, whole seconds.
    pub lifetime: Duration,
}

impl Claims {
    /// Reading and trading for [`DEFAULT_LIFETIME`], from the default issuer to the default audience.
    #[must_use]
    pub fn new(account: AccountId, tier: Tier, role: Role) -> Self {
        Self {
            account,
            tier,
            role,
            scopes: vec![Scope::TradeRead, Scope::TradeWrite],
            issuer: DEFAULT_ISSUER.to_owned(),
            audience: DEFAULT_AUDIENCE.to_owned(),
            lifetime: DEFAULT_LIFETIME,
        }
    }
}

impl Role {
    /// Every role, the least powerful first.
    pub const ALL: [Self; 3] = [Self::Trader, Self::Operator, Self::RiskAdmin];

    /// As written in tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trader => "trader",
            Self::Operator => "operator",
            Self::RiskAdmin => "risk_admin",
        }
    }

    /// The role written `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl Scope {
    /// As written in tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TradeRead => "trade:read",
            Self::TradeWrite => "trade:write",
        }
    }
}
