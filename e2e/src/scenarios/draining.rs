//! A replica that is replaced first finishes the answers that it began.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::fixtures::{TINY, real};
use crate::namespace::Namespace;
use crate::progress::say;

/// Long enough to outlast a roll-out of the tiny engine.
const TOKENS: u32 = 12_000;
/// Longest time for such an answer on a small machine under load; also the drain time, which is thus never the reason for an end.
const ANSWERED: Duration = Duration::from_secs(150);

/// The spec changes while a long answer is streamed: the new replica is Ready first, and the answer still comes to its end.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let drained = json!({
        "model": {"contextLength": 16384},
        "engine": {"maxConcurrentSequences": 1},
        "shutdown": {"drainTimeout": format!("{}s", ANSWERED.as_secs())},
    });
    let chat = namespace.apply(&real("chat", &namespace.world.options).but(drained)).await?;
    chat.is_ready().await?;
    chat.answers(TINY).await?;
    let before = chat.pod_uids().await?;
    let stream = chat.service().await?.stream(TINY, TOKENS).await?;
    let answer = tokio::spawn(stream.ends(ANSWERED));

    chat.change(json!({"engine": {"args": ["--seed", "7"]}})).await?;
    chat.is_ready().await?;
    ensure!(!answer.is_finished(), "the answer ended before the roll-out, which shows nothing");
    let both = chat.pod_uids().await?;
    ensure!(both.len() == 2 && both.contains(&before[0]), "Pods were {before:?} and are {both:?}");
    chat.answers(TINY).await?;
    let pieces = answer.await??;
    ensure!(pieces > 1, "{pieces} pieces of text");
    say(format_args!("the answer came to its end in {pieces} pieces, after the new replica was Ready"));
    chat.has_pods(1).await?;
    Ok(())
}
