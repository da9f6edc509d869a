//! One engine for every simulated Pod: an OpenAI API that says one word.

use std::convert::Infallible;

use anyhow::{Context, Result};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use crate::objects::MODEL;

/// Answers at every address of this network.
///
/// # Errors
/// When the port is taken.
pub async fn start() -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 8000)).await.context("port 8000 inside the lab")?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)));
        }
    });
    Ok(())
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let _ = body.collect().await;
    let text = match (head.method, head.uri.path()) {
        (Method::GET, "/v1/models") => json!({"object": "list", "data": [{"id": MODEL, "object": "model"}]}),
        (Method::POST, "/v1/chat/completions") => json!({
            "object": "chat.completion",
            "model": MODEL,
            "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "pong"}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }),
        _ => {
            let mut missing = Response::new(Full::default());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return Ok(missing);
        }
    };
    Ok(Response::new(Full::from(text.to_string())))
}
