//! How urgently a caller is served. It comes from the token, never from a request.

/// A caller's tier, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Served first.
    Premium,
    /// The normal tier.
    Standard,
    /// Shed first.
    Free,
}

impl Tier {
    /// Every tier, most urgent first.
    pub const ALL: [Self; 3] = [Self::Premium, Self::Standard, Self::Free];

    /// As written in subjects, tokens and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Premium => "premium",
            Self::Standard => "standard",
            Self::Free => "free",
        }
    }

    /// The tier written `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == text)
    }
}
