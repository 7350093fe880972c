//! Small packets at once. sqlx leaves Nagle's algorithm on: the few bytes that end
//! a COPY then wait up to 40 ms for the server to acknowledge the data before them
//! (measured: every small COPY took 40 to 48 ms, without it under one).

use rustix::{
    net::{SocketAddrAny, getpeername, sockopt::set_tcp_nodelay},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};
use std::{net::SocketAddr, os::fd::OwnedFd};

/// Switches it off on this process's connections to `port`. sqlx does not hand out
/// its sockets, so they are found among the process's open files; where the system
/// does not allow that (an old kernel, a strict sandbox), commits are only slower.
pub(super) fn set_on_connections_to(port: u16) {
    let Ok(own) = pidfd_open(getpid(), PidfdFlags::empty()) else { return };
    let Ok(files) = std::fs::read_dir("/proc/self/fd") else { return };
    for file in files.flatten() {
        let is_socket = std::fs::read_link(file.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let number = file.file_name().to_str().and_then(|name| name.parse().ok()).filter(|_| is_socket);
        // A second handle of the same socket: what is set on it holds for both.
        let Some(Ok(socket)) = number.map(|number| pidfd_getfd(&own, number, PidfdGetfdFlags::empty())) else {
            continue;
        };
        if peer_port(&socket) == Some(port) {
            let _ = set_tcp_nodelay(&socket, true);
        }
    }
}

fn peer_port(socket: &OwnedFd) -> Option<u16> {
    let peer: SocketAddrAny = getpeername(socket).ok()??;
    SocketAddr::try_from(peer).ok().map(|peer| peer.port())
}
