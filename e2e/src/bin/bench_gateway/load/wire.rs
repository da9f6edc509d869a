//! One connection of a client.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::arrival::Answer;

/// What is read at once.
pub const READ: usize = 64 << 10;

/// A connection that carries one request after another.
pub struct Wire {
    pub socket: TcpStream,
    request: Vec<u8>,
    sent: usize,
    pub answer: Answer,
}

/// What came of a look at a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// More is to come.
    Waits,
    /// The answer is complete.
    Complete,
    /// The answer is bad, or the connection is gone.
    Failed,
}

impl Wire {
    /// Connects; the request is sent by [`Wire::ask`].
    pub fn open(poll: &Poll, at: usize, to: SocketAddr, request: Vec<u8>) -> Result<Self> {
        // connecting to loopback takes no time
        let socket = std::net::TcpStream::connect(to)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        poll.registry().register(&mut socket, Token(at), Interest::READABLE | Interest::WRITABLE)?;
        let sent = request.len();
        Ok(Self { socket, request, sent, answer: Answer::Complete })
    }

    /// Sends the request, as far as there is room.
    pub fn ask(&mut self) -> Result<()> {
        ensure!(self.answer.is_complete(), "the last request has not been answered");
        self.answer = Answer::default();
        self.sent = 0;
        self.push();
        Ok(())
    }

    /// Sends what there was no room for.
    pub fn push(&mut self) {
        while self.sent < self.request.len() {
            match self.socket.write(&self.request[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Reads what is there; `tell` is told of the body.
    pub fn look(&mut self, buffer: &mut [u8], mut tell: impl FnMut(&[u8])) -> Look {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Look::Failed,
                Ok(n) => {
                    self.answer.take(&buffer[..n], &mut tell);
                    if self.answer.is_bad() {
                        return Look::Failed;
                    }
                    if self.answer.is_complete() {
                        return Look::Complete;
                    }
                    // a short read has emptied the socket
                    if n < buffer.len() {
                        return Look::Waits;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Look::Waits,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Look::Failed,
            }
        }
    }
}
