//! How good forecasts and bets were: measures that need the result, so no agent may decide by them beforehand.
//!
//! | file | what it answers |
//! |---|---|
//! | [`forecast`] | how close were the probabilities to what happened? |
//! | [`calibration`] | did what was called 30 % happen in 30 %? |
//! | [`closing_line`] | was the price better than the last one before the kick-off? |
//! | [`bet_book`] | what did bets earn, and how deep did the bank fall? |
//! | [`drift`] | has a model become worse? |

pub mod bet_book;
pub mod calibration;
pub mod closing_line;
pub mod drift;
pub mod forecast;
