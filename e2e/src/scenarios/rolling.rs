//! Whatever is rolled, clients do not notice.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::deployed::{Deployed, STARTED};
use crate::fixtures::{TINY, real};
use crate::load::{Load, Outcome};
use crate::namespace::Namespace;
use crate::progress::say;
use crate::wait::eventually;

const PER_SECOND: u32 = 8;

/// Gateways are replaced, then engines; no request is lost.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let chat = namespace.apply(&real("chat", &namespace.world.options).times(2)).await?;
    chat.is_ready().await?;
    chat.answers(TINY).await?;
    let load = Load::start(&chat.service().await?, TINY, PER_SECOND);
    let gateways = uids(&chat).await?;
    // another limit of memory is another Pod
    chat.change(json!({"gateway": {"resources": {"memory": "96Mi"}}})).await?;
    eventually("all gateways to be new", STARTED, || async {
        let now = uids(&chat).await?;
        ensure!(now.len() == 2 && now.iter().all(|uid| !gateways.contains(uid)), "{now:?}, before {gateways:?}");
        Ok(())
    })
    .await?;
    say("gateways were rolled");
    chat.change(json!({"engine": {"args": ["--seed", "7"]}})).await?;
    chat.is_ready().await?;
    say("engines were rolled");
    let records = load.end().await;
    let lost: Vec<_> = records.iter().filter(|record| record.outcome != Outcome::Answered).collect();
    ensure!(lost.is_empty(), "{} of {} requests were lost: {:?}", lost.len(), records.len(), lost[0]);
    say(format_args!("{} requests were answered meanwhile, none was lost", records.len()));
    Ok(())
}

/// UIDs of gateways that are not on their way out.
async fn uids(chat: &Deployed) -> Result<Vec<String>> {
    let pods = chat.gateways().await?;
    let stays = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(stays.filter_map(|pod| pod.metadata.uid).collect())
}
