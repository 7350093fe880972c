//! Whether a scope is the name of something. A halt is never refused for it: a
//! pool may get its first agent tomorrow, and a listing may fail today.

use super::{super::pages, scope::scope_text};
use crate::api::{Api, ask};
use std::collections::BTreeSet;
use tragen_contracts::v1::{self, ScopeKind};

/// The pools that are there without a configured agent.
const POOLS: [&str; 8] =
    ["conservative", "live_exit", "market_maker", "scalper", "swing", "user", "value", "value_maker"];
/// Most agents or instruments looked at.
const LOOKED_AT_MAX: i32 = 10_000;
/// Most known names in a warning.
const NAMED_MAX: usize = 10;

/// A warning when nothing has the name of `scope`; `None` as well when that
/// cannot be told.
pub(super) async fn warning(api: &Api, scope: &v1::Scope) -> Option<String> {
    let (what, known) = match scope.kind() {
        ScopeKind::Pool => {
            let own = agents(api).await?.into_iter().map(|agent| agent.pool);
            ("pools", own.chain(POOLS.map(str::to_owned)).collect())
        }
        ScopeKind::Agent => ("agents", agents(api).await?.into_iter().map(|agent| agent.agent_id).collect()),
        ScopeKind::Instrument => ("instruments", instruments(api).await?),
        ScopeKind::Account | ScopeKind::Global | ScopeKind::Unspecified => return None,
    };
    unknown(scope, what, &known)
}

fn unknown(scope: &v1::Scope, what: &str, known: &BTreeSet<String>) -> Option<String> {
    if known.contains(&scope.id) {
        return None;
    }
    let names: Vec<&str> = known.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let some = names.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > NAMED_MAX { ", ..." } else { "" };
    let list = if some.is_empty() { "none" } else { &some };
    Some(format!("warning: nothing named {} is known; known {what}: {list}{more}", scope_text(scope)))
}

async fn agents(api: &Api) -> Option<Vec<v1::Agent>> {
    let mut client = api.agents();
    let found = pages(LOOKED_AT_MAX, async |page_size, page_token| {
        let page = client.list_agents(ask(v1::ListAgentsRequest { page_size, page_token })).await?.into_inner();
        Ok((page.agents, page.next_page_token))
    });
    found.await.ok()
}

async fn instruments(api: &Api) -> Option<BTreeSet<String>> {
    let mut client = api.markets();
    let found = pages(LOOKED_AT_MAX, async |page_size, page_token| {
        let question = v1::ListInstrumentsRequest { match_id: String::new(), page_size, page_token };
        let page = client.list_instruments(ask(question)).await?.into_inner();
        Ok((page.instruments, page.next_page_token))
    });
    Some(found.await.ok()?.into_iter().map(|instrument| instrument.instrument_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_warned_of_with_the_known_ones() {
        let scope = |id: &str| v1::Scope { kind: ScopeKind::Pool.into(), id: id.to_owned() };
        let known = POOLS.map(str::to_owned).into();
        assert_eq!(unknown(&scope("scalper"), "pools", &known), None);
        assert_eq!(
            unknown(&scope("scalping"), "pools", &known).as_deref(),
            Some(
                "warning: nothing named pool:scalping is known; known pools: conservative, live_exit, market_maker, scalper, swing, user, value, value_maker"
            )
        );
        let many = (10..30).map(|number| number.to_string()).collect();
        let text = unknown(&scope("x"), "pools", &many).expect("a warning");
        assert!(text.ends_with("pools: 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, ..."), "{text}");
        assert!(unknown(&scope("x"), "agents", &BTreeSet::new()).expect("a warning").ends_with("agents: none"));
    }
}
