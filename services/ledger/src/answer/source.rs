//! Which database an account is read from: a replica that is far enough along,
//! else the primary of the shard that keeps the account. Whoever finds nothing
//! there looks whether the account's slot has moved, and reads once more.

use super::{Answers, LOOK_AGAIN, code, unavailable};
use crate::{
    metrics as names,
    slot::{Place, Slots, slot_of},
    store::{
        Books, StoreError,
        rows::SlotRow,
        session::{Arg, Pool, Sql},
    },
    writer::busy,
};
use metrics::counter;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};
use tragen_contracts::v1;
use tragen_domain::{
    id::{AccountId, Currency},
    ledger::ResultCode,
};

/// How long a replica may take to say how far along it is.
const REPLICA_WAIT: Duration = Duration::from_millis(250);
/// How long it may take to read from it then.
const REPLICA_READ_WAIT: Duration = Duration::from_secs(5);
/// How long a replica that failed is left alone; then one question tries it again.
const LEAVE_ALONE: Duration = Duration::from_secs(5);
/// How long one of several shards may take to answer; longer than that, and the asker has gone.
const SHARD_WAIT: Duration = Duration::from_secs(1);
/// How often an account is followed to another shard for one answer.
const FOLLOWED_MAX: u32 = 1;

/// 0 when the account is not kept here, or has no wallet.
const VERSION: Sql = Sql::same(
    "SELECT COALESCE(MAX(version), 0) AS version FROM wallet WHERE account_id = $1 AND ($2 = '' OR currency = $2)
        AND EXISTS (SELECT 1 FROM slot WHERE slot = $3 AND state <= $4)",
);
const SLOT: Sql = Sql::same("SELECT * FROM slot WHERE slot = $1");

/// A database that can be read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The shard it has the books of.
    pub(super) shard: u16,
    pub(super) pool: Pool,
    /// Up to which state a slot counts as kept there: one that is leaving may have arrived
    /// elsewhere already, and only the other shard can tell.
    state_max: i64,
}

/// What is wanted of an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The kind of question, as the metrics name it.
    pub(super) kind: &'static str,
    pub(super) account: &'a AccountId,
    /// Whose version counts; `None` for the greatest of all.
    pub(super) currency: Option<&'a Currency>,
    /// 0 for the books as they are now.
    pub(super) min_version: i64,
}

/// Where an account is that was not found where it was looked for.
enum Whereabouts {
    /// It is not anywhere else.
    Here,
    /// It is on its way out, and not in another shard yet.
    Leaving,
    /// Another shard has it now.
    Moved,
    /// It has left one shard and not yet arrived in the other.
    OnTheWay,
}

/// The replicas of all shards.
#[derive(Debug)]
pub(super) struct Replicas {
    by_shard: Vec<Vec<Replica>>,
    turn: AtomicUsize,
}

/// A copy that may be behind, or away.
#[derive(Debug)]
struct Replica {
    source: Source,
    /// Set while it is left alone: until when.
    rests_until: Mutex<Option<Instant>>,
}

impl Replicas {
    /// Those of `books`, whose places are their numbers.
    pub(super) fn new(books: &[Books]) -> Self {
        let replica = |shard, pool: &Pool| Replica {
            source: Source { shard, pool: pool.clone(), state_max: SlotRow::HERE },
            rests_until: Mutex::new(None),
        };
        let of = |books: &Books| books.replicas.iter().map(|pool| replica(books.shard, pool)).collect();
        Self { by_shard: books.iter().map(of).collect(), turn: AtomicUsize::new(0) }
    }

    /// Those of `shard`, each time beginning with another one.
    fn of(&self, shard: u16) -> impl Iterator<Item = &Replica> {
        let replicas = self.by_shard.get(usize::from(shard)).map_or(&[][..], Vec::as_slice);
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % replicas.len().max(1);
        let (before, from) = replicas.split_at(first);
        from.iter().chain(before)
    }
}

impl Replica {
    /// Whether it may be asked; of those who ask after its rest, one may.
    fn is_welcome(&self) -> bool {
        let mut rests_until = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *rests_until {
            Some(until) if now < until => false,
            Some(_) => {
                *rests_until = Some(now + LEAVE_ALONE);
                true
            }
            None => true,
        }
    }

    fn answered(&self) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self, error: anyhow::Error) {
        let shard = self.source.shard;
        let before =
            self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now() + LEAVE_ALONE);
        counter!(names::REPLICA_FAILURES).increment(1);
        if before.is_none() {
            warn!("a replica of shard {shard} does not answer, its primary is read: {error:#}");
        } else {
            debug!("a replica of shard {shard} still does not answer: {error:#}");
        }
    }
}

impl Source {
    /// The arguments of a statement that gives nothing where the slot of `account` is not kept:
    /// the slot, and the highest state of it that counts.
    pub(super) fn kept(&self, account: &AccountId) -> [Arg<'static>; 2] {
        [Arg::Int(slot_of(account.as_str()).into()), Arg::Int(self.state_max)]
    }

    /// Whether it keeps `account`.
    pub(super) async fn keeps(&self, account: &AccountId) -> Result<bool, StoreError> {
        let [slot, _] = self.kept(account);
        let slot: Option<SlotRow> = self.pool.one(SLOT, &[slot]).await?;
        Ok(slot.is_some_and(|slot| slot.state <= self.state_max))
    }
}

impl Answers {
    /// What `read` finds where the account is kept. It gives `None` when it finds nothing
    /// there, and must say so of an account whose slot its database does not keep (any more).
    ///
    /// # Errors
    /// UNAVAILABLE when the shard's database does not answer, the version is not reached in time, or the
    /// account is between two shards.
    pub(super) async fn read<T, F>(
        &self,
        wanted: Wanted<'_>,
        read: impl Fn(Source) -> F,
    ) -> Result<Option<T>, v1::AskError>
    where
        F: Future<Output = Result<Option<T>, StoreError>>,
    {
        if let Some(answer) = self.read_replica(wanted, &read).await {
            counter!(names::READS, "kind" => wanted.kind, "place" => "replica").increment(1);
            return Ok(Some(answer));
        }
        counter!(names::READS, "kind" => wanted.kind, "place" => "primary").increment(1);
        let deadline = Instant::now() + Duration::from_millis(self.config.version_wait_ms_max);
        let (mut followed, mut state_max) = (0, SlotRow::HERE);
        loop {
            let source = Source { state_max, ..self.primary(self.directory.shard_of(wanted.account.as_str())) };
            let commits = self.owned.commits(source.shard);
            let version =
                if wanted.min_version > 0 { version(&source, wanted).await.map_err(unavailable)? } else { 0 };
            let is_reached = version >= wanted.min_version;
            let answer = if is_reached { read(source.clone()).await.map_err(unavailable)? } else { None };
            if answer.is_some() && (state_max == SlotRow::HERE || self.has_not_arrived(&source, wanted.account).await) {
                return Ok(answer);
            }
            let whereabouts = if is_reached || version == 0 {
                self.whereabouts(&source, wanted.account).await?
            } else {
                Whereabouts::Here
            };
            let too_late = match whereabouts {
                Whereabouts::Leaving if state_max == SlotRow::HERE => {
                    state_max = SlotRow::LEAVING;
                    continue;
                }
                Whereabouts::Here | Whereabouts::Leaving if is_reached => return Ok(None),
                Whereabouts::Here | Whereabouts::Leaving => not_reached(wanted, version),
                Whereabouts::Moved if followed < FOLLOWED_MAX => {
                    (followed, state_max) = (followed + 1, SlotRow::HERE);
                    continue;
                }
                Whereabouts::Moved | Whereabouts::OnTheWay => moving(wanted.account),
            };
            let next = async {
                match commits {
                    Some(mut commits) if matches!(whereabouts, Whereabouts::Here) => drop(commits.changed().await),
                    // Another process commits: look again in a moment.
                    Some(_) | None => tokio::time::sleep(LOOK_AGAIN).await,
                }
            };
            if timeout_at(deadline, next).await.is_err() {
                return Err(too_late);
            }
        }
    }

    /// What `read` finds in a replica that has reached the version.
    async fn read_replica<T, F>(&self, wanted: Wanted<'_>, read: impl Fn(Source) -> F) -> Option<T>
    where
        F: Future<Output = Result<Option<T>, StoreError>>,
    {
        if wanted.min_version <= 0 {
            return None;
        }
        let shard = self.directory.shard_of(wanted.account.as_str());
        for replica in self.replicas.of(shard).filter(|replica| replica.is_welcome()) {
            let source = &replica.source;
            let answer = match timeout(REPLICA_WAIT, version(source, wanted)).await {
                Ok(Ok(version)) if version < wanted.min_version => Ok(None),
                Ok(Ok(_)) => match timeout(REPLICA_READ_WAIT, read(source.clone())).await {
                    Ok(answer) => answer.map_err(anyhow::Error::new),
                    Err(late) => Err(late.into()),
                },
                Ok(Err(error)) => Err(error.into()),
                Err(late) => Err(late.into()),
            };
            match answer {
                Ok(answer) => {
                    replica.answered();
                    if answer.is_some() {
                        return answer;
                    }
                }
                Err(error) => replica.failed(error),
            }
        }
        None
    }

    /// The primary of `shard`.
    fn primary(&self, shard: u16) -> Source {
        let books = self.books.get(usize::from(shard)).unwrap_or(&self.books[0]);
        Source { shard: books.shard, pool: books.primary.clone(), state_max: SlotRow::HERE }
    }

    /// Where the history of an account is that `source` keeps: there, and in the shards it was in
    /// before. Those are read from their primaries: how far their replicas are, the account's
    /// version does not say.
    pub(super) fn history(&self, account: &AccountId, source: &Source) -> Vec<Source> {
        let past = self.directory.shards_of(account.as_str()).into_iter().filter(|shard| *shard != source.shard);
        std::iter::once(source.clone()).chain(past.map(|shard| self.primary(shard))).collect()
    }

    /// Asks all shards at once for their slots; `None` of one that does not answer.
    pub(super) async fn slots(&self) -> Vec<Option<Slots>> {
        let ask = |books: &Books| {
            let books = books.clone();
            async move {
                let slots = within(books.slots()).await;
                slots.inspect_err(|_| debug!("shard {} does not say where its slots are", books.shard)).ok()
            }
        };
        let slots = futures::future::join_all(self.books.iter().map(ask)).await;
        for (books, slots) in self.books.iter().zip(&slots) {
            if let Some(slots) = slots {
                self.directory.learn(books.shard, slots);
            }
        }
        slots
    }

    /// Whether an account that leaves `source` is still nowhere else: what was read before was the newest then.
    async fn has_not_arrived(&self, source: &Source, account: &AccountId) -> bool {
        self.slots().await;
        self.directory.shard_of(account.as_str()) == source.shard
    }

    /// Where an account is of which `source` has nothing.
    async fn whereabouts(&self, source: &Source, account: &AccountId) -> Result<Whereabouts, v1::AskError> {
        let [slot, _] = source.kept(account);
        let slot: Option<SlotRow> = source.pool.one(SLOT, &[slot]).await.map_err(unavailable)?;
        if slot.as_ref().is_some_and(|slot| slot.state == SlotRow::HERE) {
            return Ok(Whereabouts::Here);
        }
        let slots = self.slots().await;
        if self.directory.shard_of(account.as_str()) != source.shard {
            return Ok(Whereabouts::Moved);
        }
        if slot.is_some_and(|slot| slot.state == SlotRow::LEAVING) {
            return Ok(Whereabouts::Leaving);
        }
        let places = slots.iter().flatten().map(|slots| slots.place(account.as_str()));
        match places.max_by_key(|place| rank(*place)) {
            Some(Place::Here | Place::Leaving { .. }) => Ok(Whereabouts::Moved),
            Some(Place::Gone { .. }) => Ok(Whereabouts::OnTheWay),
            // Nobody ever had it, or who has it does not answer.
            Some(Place::Elsewhere) | None if slots.iter().all(Option::is_some) => Ok(Whereabouts::Here),
            Some(Place::Elsewhere) | None => Err(silent()),
        }
    }
}

/// What a shard answers, if it does so in time.
pub(super) async fn within<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(SHARD_WAIT, answer).await.unwrap_or_else(|late| Err(StoreError::unavailable(late.into())))
}

/// What says most about where a slot is.
const fn rank(place: Place) -> u8 {
    match place {
        Place::Elsewhere => 0,
        Place::Gone { .. } => 1,
        Place::Leaving { .. } | Place::Here => 2,
    }
}

async fn version(source: &Source, wanted: Wanted<'_>) -> Result<i64, StoreError> {
    let currency = wanted.currency.map_or("", Currency::as_str);
    let [slot, state] = source.kept(wanted.account);
    let args = [Arg::Text(wanted.account.as_str()), Arg::Text(currency), slot, state];
    let found: Option<(i64,)> = source.pool.one(VERSION, &args).await?;
    Ok(found.map_or(0, |(version,)| version))
}

fn not_reached(wanted: Wanted<'_>, version: i64) -> v1::AskError {
    let Wanted { account, min_version, .. } = wanted;
    v1::AskError {
        code: code::UNAVAILABLE,
        reason: ResultCode::VersionNotReached.as_str().to_owned(),
        message: format!("account {account} is at version {version}, not yet at {min_version}"),
    }
}

/// The account is between two shards.
fn moving(account: &AccountId) -> v1::AskError {
    busy(ResultCode::SlotMoving.as_str(), format!("account {account} is moving to another shard; ask again"))
}

fn silent() -> v1::AskError {
    busy(ResultCode::StoreUnavailable.as_str(), "a database of the ledger does not answer".to_owned())
}
