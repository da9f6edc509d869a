//! Requests do not pass through the operator: it is killed under load, and nobody notices.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::fixtures::{TINY, real, simulated};
use crate::load::{Load, Outcome};
use crate::namespace::Namespace;
use crate::progress::say;
use crate::wait::eventually;

/// The engine shares its processors with everything else here.
const PER_SECOND: u32 = 10;

/// Every replica of the operator is killed at once, a new one takes over, and no request is lost.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let operator = &namespace.world.operator;
    let chat = namespace.apply(&real("chat", &namespace.world.options).times(2)).await?;
    chat.is_ready().await?;
    chat.answers(TINY).await?;
    let pods = chat.pod_uids().await?;
    let load = Load::start(&chat.service().await?, TINY, PER_SECOND);
    let holder = operator.holder().await?;
    eventually("the load to flow", Duration::from_secs(10), || async {
        ensure!(load.answered() >= 20, "{} answers", load.answered());
        Ok(())
    })
    .await?;

    operator.kill().await?;
    operator.is_ready().await?;
    ensure!(operator.holder().await? != holder, "the lease is still held by {holder:?}, who was killed");
    let fresh = namespace.apply(&simulated("fresh")).await?;
    fresh.is_ready().await?;
    chat.is_ready().await?;
    let records = load.end().await;
    let lost: Vec<_> = records.iter().filter(|record| record.outcome != Outcome::Answered).collect();
    ensure!(lost.is_empty(), "{} of {} requests were lost: {:?}", lost.len(), records.len(), lost[0]);
    say(format_args!("{} requests were answered meanwhile, none was lost", records.len()));
    ensure!(chat.pod_uids().await? == pods, "engines were replaced");
    Ok(())
}
