//! At rest, nothing is written.

use std::time::Duration;

use anyhow::{Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use serde_json::json;
use tokio::time::sleep;

use crate::audit::Audit;
use crate::deployed::{STARTED, TOLD};
use crate::fixtures::{real, simulated};
use crate::namespace::Namespace;
use crate::wait::{eventually, stays};

/// As the issue promises it.
const REST: Duration = Duration::from_secs(60);
/// Two passes of the autoscaler.
const SETTLED: Duration = Duration::from_secs(10);
const SETTLES: Duration = Duration::from_secs(30);

/// Ready, scaling under a load that does not change, suspended, refused and without a place: none of them is written about for 60 s, whatever the neighbours do.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let options = &namespace.world.options;
    let scaling = json!({"autoscaling": {"maxReplicas": 3, "target": {"concurrency": "4"}}});
    let ready = [
        simulated("many").times(2),
        real("real", options),
        real("on-gpu", options).on("nvidia-h100"),
        simulated("scaling").but(scaling),
    ];
    let suspended = simulated("suspended").but(json!({"suspend": true}));
    let refused = simulated("refused").but(json!({"model": {"name": "no-such-model"}}));
    let placeless = simulated("placeless").on("nvidia-gb300");
    for wanted in ready.iter().chain([&suspended, &refused, &placeless]) {
        namespace.apply(wanted).await?;
    }
    let deployed = |name: &str| crate::deployed::Deployed { namespace: namespace.clone(), name: name.to_owned() };
    for wanted in &ready {
        deployed(&wanted.name).is_ready().await?;
    }
    deployed("scaling").says(ConditionType::ScalingActive, "True", Reason::ValidMetricFound, STARTED).await?;
    deployed("suspended").says(ConditionType::Ready, "False", Reason::Suspended, TOLD).await?;
    deployed("refused").says(ConditionType::Accepted, "False", Reason::UnknownModel, TOLD).await?;
    deployed("placeless").says(ConditionType::Placed, "False", Reason::NoMatchingNode, TOLD).await?;

    let user = namespace.world.operator.user().await?;
    // how long the last Pods took to be ready is told with a pass of the autoscaler
    eventually("all has been told", SETTLES, || async {
        let audit = namespace.world.audit().await?;
        sleep(SETTLED).await;
        nothing_is_written(&namespace, &user, &audit).await
    })
    .await?;
    let audit = namespace.world.audit().await?;
    stays("nothing is written", REST, || nothing_is_written(&namespace, &user, &audit)).await
}

async fn nothing_is_written(namespace: &Namespace, user: &str, audit: &Audit) -> Result<()> {
    for place in [&namespace.name, &namespace.world.operator.namespace] {
        let writes: Vec<_> = audit.writes(user, place).await?.into_iter().map(|write| write.told).collect();
        ensure!(writes.is_empty(), "the operator wrote {writes:?}");
    }
    Ok(())
}
