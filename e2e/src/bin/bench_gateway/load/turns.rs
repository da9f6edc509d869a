//! Conversations whose turns come in any order: how much of them do engines remember?

use std::cell::RefCell;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::{Seen, Spread, number};

/// Milliseconds that an answer takes.
const DELAY: u32 = 10;

/// A conversation that goes on.
struct Talk {
    messages: Vec<Value>,
    turns: usize,
}

/// What is shared by all who ask.
struct Talks {
    idle: Vec<Talk>,
    /// Messages that came before, over all turns; and those of them that were remembered.
    counted: (usize, usize),
    dice: u64,
}

/// `count` of the result is the number of messages that could have been remembered, `all` of those that were.
pub async fn run(to: SocketAddr, conversations: usize, turns: usize, at_once: usize) -> Result<Seen> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let idle = (0..conversations).map(|who| Talk { messages: opening(who), turns }).collect();
    let talks = RefCell::new(Talks { idle, counted: (0, 0), dice: 0x9e37_79b9_7f4a_7c15 });
    try_join_all((0..at_once).map(|_| ask(to, &client, &talks))).await?;
    let (could, were) = talks.borrow().counted;
    Ok(Seen { count: number(could), all: number(were), times: Spread::default(), ..Seen::default() })
}

fn opening(who: usize) -> Vec<Value> {
    vec![
        json!({"role": "system", "content": "You are a helpful assistant of a company that sells lamps."}),
        json!({"role": "user", "content": format!("Question {who}: which lamp suits a room of {} square metres?", who % 40 + 8)}),
    ]
}

async fn ask(to: SocketAddr, client: &Client<HttpConnector, Full<Bytes>>, talks: &RefCell<Talks>) -> Result<()> {
    loop {
        let Some(mut talk) = talks.borrow_mut().draw() else { return Ok(()) };
        let told = turn(to, client, &talk.messages).await?;
        let remembered = told["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().context("no usage")?;
        let reply = told["choices"][0]["message"].clone();
        ensure!(reply.is_object(), "no message");
        // what is new in a turn nobody can know; of the first turn that is all
        let before = if talk.messages.len() == 2 { 0 } else { talk.messages.len() - 1 };
        talk.messages.extend([reply, json!({"role": "user", "content": "And a smaller one?"})]);
        talk.turns -= 1;
        talks.borrow_mut().put(talk, before, usize::try_from(remembered)?);
    }
}

impl Talks {
    /// Any of those that wait for their next turn.
    fn draw(&mut self) -> Option<Talk> {
        // xorshift: the same order in every run
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let idle = self.idle.len() as u64;
        let at = usize::try_from(self.dice.checked_rem(idle)?).ok()?;
        Some(self.idle.swap_remove(at))
    }

    fn put(&mut self, talk: Talk, before: usize, remembered: usize) {
        self.counted.0 += before;
        self.counted.1 += remembered.min(before);
        if talk.turns > 0 {
            self.idle.push(talk);
        }
    }
}

async fn turn(to: SocketAddr, client: &Client<HttpConnector, Full<Bytes>>, messages: &[Value]) -> Result<Value> {
    let body = json!({"model": "chat", "user": format!("turn:{DELAY}"), "messages": messages}).to_string();
    let request = Request::post(format!("http://{to}/v1/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::from(body))?;
    let answer = client.request(request).await?;
    ensure!(answer.status() == StatusCode::OK, "answered with {}", answer.status());
    Ok(serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?)
}
