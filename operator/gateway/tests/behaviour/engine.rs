//! Engines to order: each answers every request with the next of its scripts, the last one over and over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What an engine does with a request.
#[derive(Clone)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Closes the connection.
    Close,
    /// Waits until the client has gone.
    UntilGone,
    /// Sends back what comes, until the client has gone or has said "bye".
    Echo,
}

/// An engine.
pub struct Engine {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    gone: Arc<AtomicUsize>,
}

impl Engine {
    /// One that follows these scripts.
    pub fn with(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, gone) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (all, left, turn) = (seen.clone(), gone.clone(), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (scripts, all, left, turn) = (scripts.clone(), all.clone(), left.clone(), turn.clone());
                thread::spawn(move || attend(stream, &scripts, &all, &left, &turn));
            }
        });
        Self { address, seen, gone }
    }

    /// One that says the same to everybody.
    pub fn saying(answer: impl Into<Vec<u8>>) -> Self {
        Self::with(vec![vec![Step::Send(answer.into())]])
    }

    /// Requests that came, head and body.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Clients that went away while it waited for that.
    pub fn gone(&self) -> usize {
        self.gone.load(Ordering::SeqCst)
    }
}

fn attend(
    mut stream: TcpStream,
    scripts: &[Vec<Step>],
    seen: &Mutex<Vec<String>>,
    gone: &AtomicUsize,
    turn: &AtomicUsize,
) {
    while let Some(request) = read(&stream) {
        seen.lock().unwrap().push(request);
        let script = &scripts[turn.fetch_add(1, Ordering::SeqCst).min(scripts.len() - 1)];
        for step in script {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(bytes).is_err() {
                        return;
                    }
                }
                Step::Wait(time) => thread::sleep(*time),
                Step::Close => return,
                Step::Echo => {
                    let mut buffer = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        if buffer[..read].ends_with(b"bye") || stream.write_all(&buffer[..read]).is_err() {
                            return;
                        }
                    }
                    gone.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Step::UntilGone => {
                    let _ = stream.read(&mut [0]);
                    gone.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        }
    }
}

fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(request + &String::from_utf8_lossy(&body))
}

/// An answer of a known length.
pub fn json(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into()
}

/// The head of a stream of events.
pub fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

/// A piece of a stream.
pub fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into()
}

/// The end of a stream.
pub fn end() -> Vec<u8> {
    b"0\r\n\r\n".to_vec()
}

/// An event with a token.
pub fn token(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n")
}

/// A chat completion.
pub fn completion(text: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":5,"completion_tokens":2}}}}"#
    );
    json("200 OK", &body)
}
