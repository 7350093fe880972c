//! The promises of market data, against a real nats-server.

#[path = "market_data/reference.rs"]
mod reference;
#[path = "market_data/service.rs"]
mod service;
#[path = "market_data/stage.rs"]
mod stage;
