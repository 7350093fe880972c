//! Texts about matches, on their way to the agents. They are checked for their shape and never obeyed.

use super::{Api, Call};
use crate::refusal::Refusal;
use tragen_bus::{PublishOptions, Subject};
use tragen_contracts::{convert, v1};
use tragen_domain::{
    agents::advisor::injection::suspicions,
    routing::{ReportFields, check_report},
    time::Timestamp,
};
use tragen_host::clock::now_micros;
use uuid::Uuid;

impl Api {
    /// `Markets/PutNews`: the same text has the same id, so the bus drops a repeat and every reader knows it.
    pub(crate) async fn put_news(
        &self,
        call: &Call,
        request: v1::PutNewsRequest,
    ) -> Result<v1::PutNewsResponse, Refusal> {
        let checked = check_report(&ReportFields::from(&request), Timestamp::from_micros(now_micros()))?;
        let published_at_micros = checked.published_at.micros();
        let named = [&request.match_id, &request.source, &published_at_micros.to_string(), &request.text];
        let name = named.map(|part| format!("{}:{part}", part.len())).concat();
        let news_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
        let is_suspicious = !suspicions(&request.text).is_empty();
        let event = v1::NewsReported {
            meta: Some(v1::Meta { event_id: news_id.clone(), ..self.meta(call, "", call.traceparent.clone()) }),
            match_id: request.match_id,
            item: Some(v1::NewsItem {
                news_id: news_id.clone(),
                source: request.source,
                is_listed: false,
                published_at_micros,
                text: request.text,
            }),
            home_players: request.home_players,
            away_players: request.away_players,
            expires_at_micros: checked.expires_at.micros(),
        };
        let options = PublishOptions { message_id: news_id.clone().into(), ..PublishOptions::default() };
        let stored = self.bus.publish(&Subject::News(checked.match_id), &event, &options, self.patience(call)).await;
        stored.map_err(|_| Refusal::unavailable("BUS_UNAVAILABLE", "the text could not be stored; repeat it"))?;
        Ok(v1::PutNewsResponse { news_id, expires_at: Some(convert::timestamp(checked.expires_at)), is_suspicious })
    }
}
