//! A wire that can be cut, silenced in both directions or one, and slowed: TCP between a
//! process and one of its servers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Nothing special.
    Flows,
    /// What the server says arrives so much later.
    Late(Duration),
    /// Nothing arrives any more, and nobody is told; it goes on later as if nothing had been.
    Silent,
    /// The same only of what the server says.
    Deaf,
    /// The same only of what the client says.
    Mute,
    /// Every connection is closed, and no new one is taken.
    Cut,
}

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks on their way in one direction.
const CHUNKS_MAX: usize = 1_024;

/// A wire to one server; it is taken down when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    traffic: watch::Sender<Traffic>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A wire to `server`.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let traffic = watch::Sender::new(Traffic::Flows);
        let wire = traffic.subscribe();
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                if *wire.borrow() != Traffic::Cut {
                    tokio::spawn(connect(client, server, wire.clone()));
                }
            }
        });
        Self { address, traffic, accepting }
    }

    /// Where clients connect.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes what the wire does.
    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Traffic::Cut);
    }
}

async fn connect(client: TcpStream, server: SocketAddr, mut wire: watch::Receiver<Traffic>) {
    let _ = client.set_nodelay(true);
    // A client of a silent wire waits like one whose packets are dropped: also of one way
    // nothing is set up.
    if wire.wait_for(|traffic| !is_held(*traffic, Way::There) && !is_held(*traffic, Way::Back)).await.is_err() {
        return;
    }
    let Ok(Ok(server)) = timeout(Duration::from_secs(5), TcpStream::connect(server)).await else { return };
    let _ = server.set_nodelay(true);
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut cut = wire.clone();
    tokio::select! {
        _ = cut.wait_for(|traffic| *traffic == Traffic::Cut) => {}
        () = carry(from_client, to_server, wire.clone(), Way::There) => {}
        () = carry(from_server, to_client, wire, Way::Back) => {}
    }
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// From the client to the server.
    There,
    /// From the server to the client.
    Back,
}

/// Whether bytes of this way stay where they are.
const fn is_held(traffic: Traffic, way: Way) -> bool {
    match (traffic, way) {
        (Traffic::Silent, Way::There | Way::Back) | (Traffic::Mute, Way::There) | (Traffic::Deaf, Way::Back) => true,
        (Traffic::Flows | Traffic::Late(_) | Traffic::Cut | Traffic::Mute | Traffic::Deaf, Way::There | Way::Back) => {
            false
        }
    }
}

const fn lateness(traffic: Traffic, way: Way) -> Duration {
    match (traffic, way) {
        (Traffic::Late(by), Way::Back) => by,
        (
            Traffic::Late(_) | Traffic::Flows | Traffic::Silent | Traffic::Deaf | Traffic::Mute | Traffic::Cut,
            Way::There | Way::Back,
        ) => Duration::ZERO,
    }
}

/// Carries bytes until one side is gone.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wire: watch::Receiver<Traffic>, way: Way) {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let mut arriving = wire.clone();
    let reading = async move {
        loop {
            let mut chunk = vec![0; CHUNK];
            let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
            chunk.truncate(length);
            let due = Instant::now() + lateness(*wire.borrow(), way);
            if sender.send((due, chunk)).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, chunk)) = chunks.recv().await {
            sleep_until(due).await;
            let is_over = arriving.wait_for(|traffic| !is_held(*traffic, way)).await.is_err();
            if is_over || to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
