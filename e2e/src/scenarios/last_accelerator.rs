//! Two deployments want the last accelerators.

use anyhow::{Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};

use crate::deployed::TOLD;
use crate::namespace::Namespace;

/// The second is told that there is none, within 10 s, and gets it when the first is deleted; nothing is restarted for that.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let (operator, scarce) = (&namespace.world.operator, namespace.world.needed_scarce()?);
    let lives = operator.lives().await?;
    let first = namespace.apply(&scarce.taken_by("first")).await?;
    first.is_ready().await?;
    let second = namespace.apply(&scarce.taken_by("second")).await?;
    let placed = ConditionType::Placed;
    let message = second.says(placed, "False", Reason::InsufficientAccelerators, TOLD).await?;
    ensure!(
        message.contains(&scarce.product) && message.contains("delete another deployment"),
        "no help in {message:?}"
    );
    ensure!(
        first.says(placed, "True", Reason::Fits, TOLD).await.is_ok(),
        "the first suffers: {}",
        first.conditions().await
    );
    first.delete().await?;
    first.has_pods(0).await?;
    second.is_ready().await?;
    ensure!(operator.lives().await? == lives, "the operator was restarted");
    second.delete().await?;
    second.has_pods(0).await.map(drop)
}
