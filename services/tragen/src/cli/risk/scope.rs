//! Scopes and shares as they are typed and shown.

use tragen_contracts::v1::{self, ScopeKind};
use tragen_domain::money::{Money, ONE};

const KINDS: [(&str, ScopeKind); 4] = [
    ("pool", ScopeKind::Pool),
    ("agent", ScopeKind::Agent),
    ("instrument", ScopeKind::Instrument),
    ("account", ScopeKind::Account),
];

pub(super) fn parse_scope(text: &str) -> Result<v1::Scope, String> {
    if text == "global" {
        return Ok(v1::Scope { kind: ScopeKind::Global.into(), id: String::new() });
    }
    let expected = || "expected global, pool:NAME, agent:ID, instrument:ID or account:ID".to_owned();
    let (name, id) = text.split_once(':').filter(|(_, id)| !id.is_empty()).ok_or_else(expected)?;
    let (_, kind) = KINDS.into_iter().find(|(known, _)| *known == name).ok_or_else(expected)?;
    Ok(v1::Scope { kind: kind.into(), id: id.to_owned() })
}

pub(super) fn scope_text(scope: &v1::Scope) -> String {
    match KINDS.into_iter().find(|(_, kind)| *kind == scope.kind()) {
        Some((name, _)) => format!("{name}:{}", scope.id),
        None => "global".to_owned(),
    }
}

/// A share from 0 to 1, parts per million.
pub(super) fn parse_factor(text: &str) -> Result<i64, String> {
    let factor: Money = text.parse().map_err(|error: tragen_domain::money::ParseError| error.to_string())?;
    match factor.micros() {
        factor_ppm @ 0..=ONE => Ok(factor_ppm),
        _ => Err(format!("{text} is not a share from 0 (flat) to 1 (unchanged)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_as_they_are_read() {
        for text in ["global", "pool:scalper", "agent:a1", "instrument:GBPUSD", "account:alice"] {
            assert_eq!(parse_scope(text).map(|scope| scope_text(&scope)), Ok(text.to_owned()));
        }
        for bad in ["", "pool", "pool:", "planet:earth", "GLOBAL"] {
            assert!(parse_scope(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_factor_is_a_share() {
        for (text, expected) in [("0", Some(0)), ("0.5", Some(500_000)), ("1", Some(1_000_000))] {
            assert_eq!(parse_factor(text).ok(), expected, "{text}");
        }
        for bad in ["", "-0.1", "1.000001", "50%", "half"] {
            assert!(parse_factor(bad).is_err(), "{bad}");
        }
    }
}
