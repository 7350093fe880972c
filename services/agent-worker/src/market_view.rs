//! What the worker knows of instruments: their definitions, kept up to date
//! from the bus. Prices come with each bar or snapshot.

use crate::metrics;
use ::metrics::counter;
use prost::Message as _;
use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};
use tragen_bus::{Bus, BusError, StartAt, Stream};
use tragen_contracts::v1;
use tragen_domain::{id::InstrumentId, instrument::Instrument};
use tragen_host::Context;

/// Instruments by id; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct MarketView {
    instruments: Arc<RwLock<HashMap<InstrumentId, Arc<Instrument>>>>,
}

impl MarketView {
    pub(crate) async fn start(context: &Context, bus: &Bus) -> Result<Self, BusError> {
        let view = Self::default();
        let mut facts = bus.follow(context, Stream::Market, "md.instrument.>", StartAt::NewestOfEach).await?;
        let writer = view.clone();
        context.spawn("market-view", async move {
            while let Some(fact) = facts.next().await {
                let decoded = v1::Instrument::decode(fact.payload).ok();
                match decoded.and_then(|instrument| Instrument::try_from(&instrument).ok()) {
                    Some(instrument) => writer.put(instrument),
                    None => counter!(metrics::MALFORMED, "kind" => "instrument").increment(1),
                }
            }
            Ok(())
        });
        Ok(view)
    }

    pub(crate) fn instrument(&self, id: &InstrumentId) -> Option<Arc<Instrument>> {
        self.instruments.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(id).cloned()
    }

    fn put(&self, instrument: Instrument) {
        let mut instruments = self.instruments.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        instruments.insert(instrument.id.clone(), Arc::new(instrument));
    }
}
