//! What the kernel is asked to see to: that nobody waits for TCP's minutes, and that there are files for all connections.

use std::time::Duration;

use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;

/// Longest time that an engine's host may leave what was sent to it unacknowledged.
const ENGINE: Duration = Duration::from_secs(5);
/// Silence after which a client is asked for a sign of life, and then between two questions.
const CLIENT_IDLE: Duration = Duration::from_secs(30);
const CLIENT_AGAIN: Duration = Duration::from_secs(10);
/// Questions without an answer after which it has gone.
const CLIENT_QUESTIONS: u32 = 3;

/// A client's: one that vanishes without a word, or does not read what it asked for within `limit`, is given up.
pub(crate) fn of_client(stream: &TcpStream, limit: Duration) {
    // tokens are small, and each is waited for
    let _ = stream.set_nodelay(true);
    let _ = set_tcp_user_timeout(stream, milliseconds(limit));
    let _ = set_tcp_keepidle(stream, CLIENT_IDLE);
    let _ = set_tcp_keepintvl(stream, CLIENT_AGAIN);
    let _ = set_tcp_keepcnt(stream, CLIENT_QUESTIONS);
    let _ = set_socket_keepalive(stream, true);
}

/// An engine's.
pub(crate) fn of_engine(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = set_tcp_user_timeout(stream, milliseconds(ENGINE));
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// Lets the process have as many files as it may: container runtimes start it with 1,024, and each stream takes two.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays");
    }
}
