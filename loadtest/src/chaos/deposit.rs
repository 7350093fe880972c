//! Money for accounts that are not of the load.

use crate::{audit::patiently, target::Account};
use std::time::{Duration, Instant};
use tonic::{Status, transport::Channel};
use tragen_contracts::v1::{self, accounts_client::AccountsClient};
use uuid::Uuid;

/// How long one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(2);
/// After this long it is given up.
const GIVE_UP: Duration = Duration::from_secs(45);

/// Pays in once, however often it must be asked for.
pub(super) async fn deposit(channel: &Channel, account: &Account, amount_micros: i64) -> Result<(), Status> {
    let request_id = Uuid::now_v7().to_string();
    let request = v1::DepositRequest { request_id, amount_micros, currency: String::new() };
    let until = Instant::now() + GIVE_UP;
    let deposited = patiently(until, || async {
        AccountsClient::new(channel.clone()).deposit(account.request(request.clone(), ATTEMPT_MAX)).await
    });
    deposited.await.map(drop)
}
