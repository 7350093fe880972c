//! A wire between a service and a server, which can be made slow, silent, one-way or cut.

use anyhow::Context as _;
use serde::Serialize;
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

/// Bytes read at once.
const CHUNK: usize = 16 * 1_024;
/// Chunks on their way in one direction.
const CHUNKS_MAX: usize = 1_024;
/// By how much a late wire is late in each direction.
const LATENESS: Duration = Duration::from_millis(150);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// Nothing special.
    Flows,
    /// Everything arrives later.
    Late,
    /// Nothing arrives any more, and nobody is told; it goes on later as if nothing had been.
    Silent,
    /// The service hears nothing any more, but what it says arrives.
    Deaf,
    /// What the service says does not arrive any more, but it hears everything.
    Mute,
    /// Every connection is reset (RST, not the end of a stream), and so is every new one.
    Cut,
}

/// In which direction bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToService,
}

impl Traffic {
    /// Whether bytes that go this way wait.
    const fn holds(self, way: Way) -> bool {
        match (self, way) {
            (Self::Silent, _) | (Self::Deaf, Way::ToService) | (Self::Mute, Way::ToServer) => true,
            (Self::Flows | Self::Late | Self::Cut, _) | (Self::Deaf, Way::ToServer) | (Self::Mute, Way::ToService) => {
                false
            }
        }
    }

    fn lateness(self) -> Duration {
        if self == Self::Late { LATENESS } else { Duration::ZERO }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flows => "flows",
            Self::Late => "late",
            Self::Silent => "silent",
            Self::Deaf => "unheard",
            Self::Mute => "unreached",
            Self::Cut => "reset",
        })
    }
}

/// A wire to one server; it is taken down when dropped.
#[derive(Debug)]
pub(super) struct Wire {
    port: u16,
    traffic: watch::Sender<Traffic>,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// A wire to the server at `port`.
    pub(super) async fn to(port: u16) -> anyhow::Result<Self> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("opening a wire")?;
        let port = listener.local_addr().context("opening a wire")?.port();
        let traffic = watch::Sender::new(Traffic::Flows);
        let state = traffic.subscribe();
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                if *state.borrow() == Traffic::Cut {
                    reset(client);
                } else {
                    tokio::spawn(connect(client, server, state.clone()));
                }
            }
        });
        Ok(Self { port, traffic, accepting })
    }

    /// Where the service connects.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Changes what the wire does.
    pub(super) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Traffic::Cut);
    }
}

/// Ends a connection like a host that knows nothing of it: the other side gets RST.
fn reset(stream: TcpStream) {
    // One that has no socket any more is over anyway.
    let _ = stream.set_zero_linger();
    drop(stream);
}

async fn connect(mut client: TcpStream, server: SocketAddr, mut state: watch::Receiver<Traffic>) {
    let _ = client.set_nodelay(true);
    // A client of a silent wire waits like one whose packets are dropped.
    if state.wait_for(|traffic| !traffic.holds(Way::ToServer)).await.is_err() {
        return;
    }
    let Ok(Ok(mut server)) = timeout(CONNECT_MAX, TcpStream::connect(server)).await else { return };
    let _ = server.set_nodelay(true);
    let mut cut = state.clone();
    let is_cut = {
        // Borrowed halves: owned ones would say goodbye when they are dropped.
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::select! {
            _ = cut.wait_for(|traffic| *traffic == Traffic::Cut) => true,
            () = carry(from_client, to_server, state.clone(), Way::ToServer) => false,
            () = carry(from_server, to_client, state, Way::ToService) => false,
        }
    };
    if is_cut {
        reset(client);
        reset(server);
    }
}

/// Carries bytes until one side is gone.
async fn carry(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, state: watch::Receiver<Traffic>, way: Way) {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let mut arriving = state.clone();
    let reading = async move {
        loop {
            let mut chunk = vec![0; CHUNK];
            let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
            chunk.truncate(length);
            let due = Instant::now() + state.borrow().lateness();
            if sender.send((due, chunk)).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, chunk)) = chunks.recv().await {
            sleep_until(due).await;
            let is_over = arriving.wait_for(|traffic| !traffic.holds(way)).await.is_err();
            if is_over || to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// A server that sends back what it gets, and a client of it behind a wire.
    async fn stage() -> anyhow::Result<(Wire, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
                });
            }
        });
        let wire = Wire::to(port).await?;
        let client = TcpStream::connect(("127.0.0.1", wire.port())).await?;
        Ok((wire, client))
    }

    async fn hears(client: &mut TcpStream, within: Duration) -> Option<u8> {
        let mut byte = [0];
        let read = timeout(within, client.read_exact(&mut byte)).await;
        matches!(read, Ok(Ok(_))).then_some(byte[0])
    }

    #[tokio::test]
    async fn a_wire_carries_holds_back_and_cuts() -> anyhow::Result<()> {
        let (wire, mut client) = stage().await?;
        let (soon, long) = (Duration::from_millis(80), Duration::from_secs(5));
        client.write_all(&[1]).await?;
        assert_eq!(hears(&mut client, long).await, Some(1));
        for traffic in [Traffic::Silent, Traffic::Deaf, Traffic::Mute] {
            wire.set(traffic);
            client.write_all(&[2]).await?;
            assert_eq!(hears(&mut client, soon).await, None, "{traffic}");
            wire.set(Traffic::Flows);
            assert_eq!(hears(&mut client, long).await, Some(2), "{traffic}: it was only held back");
        }
        wire.set(Traffic::Late);
        let asked = Instant::now();
        client.write_all(&[3]).await?;
        assert_eq!(hears(&mut client, long).await, Some(3));
        assert!(asked.elapsed() >= 2 * LATENESS, "late on both ways: {:?}", asked.elapsed());
        wire.set(Traffic::Cut);
        let reset = |read: std::io::Result<usize>| read.err().map(|error| error.kind());
        assert_eq!(reset(client.read(&mut [0]).await), Some(ErrorKind::ConnectionReset), "not the end of a stream");
        let mut late = TcpStream::connect(("127.0.0.1", wire.port())).await?;
        assert_eq!(reset(late.read(&mut [0]).await), Some(ErrorKind::ConnectionReset));
        Ok(())
    }
}
