//! The wire to the database is cut while a commit is answered, and what answers afterwards is half a server. What was
//! committed is booked once and told all the same.

use super::rig::{Kind, Rig, fill, id, report, trade_of};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tragen_contracts::v1::{Side, TradeStatus};

/// Connections that are answered with nonsense after the cut: more than the writer needs for one attempt.
const HALF_SERVED: usize = 8;
/// What a client says to end a transaction.
const COMMIT: &[u8] = b"COMMIT";

/// A wire to a database, which loses the answer to one commit.
#[derive(Debug)]
struct Wire {
    /// The next commit is the one.
    is_armed: AtomicBool,
    /// Connections that are still to be answered with nonsense.
    half_served: AtomicUsize,
    /// Counts cuts; every connection ends with one.
    cuts: watch::Sender<u64>,
}

impl Wire {
    /// A wire to the server of `url`, and the same url through it.
    async fn to(url: &str) -> (Arc<Self>, String) {
        let (before, database) = url.rsplit_once('/').expect("a url");
        let (user, server) = before.rsplit_once('@').expect("a url");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let wire = Arc::new(Self {
            is_armed: AtomicBool::new(false),
            half_served: AtomicUsize::new(0),
            cuts: watch::Sender::new(0),
        });
        let (own, server) = (Arc::clone(&wire), server.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&own).connect(client, server.clone()));
            }
        });
        (wire, format!("{user}@{address}/{database}"))
    }

    async fn connect(self: Arc<Self>, mut client: TcpStream, server: String) {
        let fewer = |left: usize| left.checked_sub(1);
        if self.half_served.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
            // As a connection looks that is cut while it is made: no byte a server would send.
            let _ = client.write_all(&[0]).await;
            return;
        }
        let mut cuts = self.cuts.subscribe();
        let mut server = TcpStream::connect(server).await.expect("the server");
        let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                _ = cuts.changed() => return,
                read = client.read(&mut asked) => {
                    let Ok(length @ 1..) = read else { return };
                    let is_commit = asked[..length].windows(COMMIT.len()).any(|bytes| bytes == COMMIT);
                    if server.write_all(&asked[..length]).await.is_err() {
                        return;
                    }
                    if is_commit && self.is_armed.swap(false, Ordering::SeqCst) {
                        // It has happened, and nobody hears of it.
                        assert!(server.read(&mut answered).await.is_ok_and(|length| length > 0));
                        self.half_served.store(HALF_SERVED, Ordering::SeqCst);
                        self.cuts.send_modify(|count| *count += 1);
                        return;
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(length @ 1..) = read else { return };
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_without_an_answer_is_told_although_the_database_answers_with_nonsense_first() {
    let mut rig = Rig::new(Kind::Postgres).await;
    let (wire, url) = Wire::to(&rig.url).await;
    rig.url = url;
    rig.start().await;
    rig.funded("alice", 100_000_000).await;
    rig.all_acked().await;

    let bought = |name: &str| {
        let fills = vec![fill(&format!("e-{name}"), 500_000, 1_000_000, 0)];
        report("alice", name, Side::Buy, TradeStatus::Filled, fills)
    };
    wire.is_armed.store(true, Ordering::SeqCst);
    rig.report(vec![bought("cut")]).await;
    let fact = rig.told(&[id("alice", "cut")]).await.remove(&id("alice", "cut")).expect("told");
    assert_eq!(trade_of(&fact).filled_quantity_micros, 1_000_000);
    assert!(!wire.is_armed.load(Ordering::SeqCst), "the cut was made");
    rig.report(vec![bought("after")]).await;
    rig.told(&[id("alice", "after")]).await;
    rig.all_acked().await;

    assert_eq!(wire.half_served.load(Ordering::SeqCst), 0);
    assert_eq!(rig.number("SELECT COUNT(*) FROM rejected_report").await, 0);
    assert_eq!(rig.number("SELECT COUNT(*) FROM execution").await, 2);
    assert_eq!(rig.account("alice").await.cash_micros, 99_000_000);
    rig.verified().await;
    rig.stop().await;
}
