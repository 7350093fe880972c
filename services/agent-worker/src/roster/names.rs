//! Names that many agents have in common, kept once: ten thousand agents on one account and a few hundred
//! instruments share a few hundred texts.

use super::ConfiguredAgent;
use tragen_domain::id::{Account, Id, Instrument, Kind, Pool, QuickMap};

/// Every shared name, with how many agents have it.
#[derive(Debug, Default)]
pub(super) struct Names {
    accounts: QuickMap<Id<Account>, usize>,
    pools: QuickMap<Id<Pool>, usize>,
    instruments: QuickMap<Id<Instrument>, usize>,
}

impl Names {
    /// The same agent with names that others have too.
    pub(super) fn share(&mut self, agent: ConfiguredAgent) -> ConfiguredAgent {
        ConfiguredAgent {
            account: shared(&mut self.accounts, agent.account),
            pool: shared(&mut self.pools, agent.pool),
            instruments: agent.instruments.into_iter().map(|id| shared(&mut self.instruments, id)).collect(),
            ..agent
        }
    }

    /// The agent is gone; names that were only its own go too.
    pub(super) fn forget(&mut self, agent: &ConfiguredAgent) {
        let_go(&mut self.accounts, &agent.account);
        let_go(&mut self.pools, &agent.pool);
        for instrument in &agent.instruments {
            let_go(&mut self.instruments, instrument);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.accounts.len() + self.pools.len() + self.instruments.len()
    }
}

fn shared<K: Kind>(names: &mut QuickMap<Id<K>, usize>, id: Id<K>) -> Id<K> {
    let known = names.get_key_value(&id).map(|(known, _)| known.clone());
    let id = known.unwrap_or(id);
    *names.entry(id.clone()).or_default() += 1;
    id
}

fn let_go<K: Kind>(names: &mut QuickMap<Id<K>, usize>, id: &Id<K>) {
    if let Some(count) = names.get_mut(id) {
        *count -= 1;
        if *count == 0 {
            names.remove(id);
        }
    }
}
