//! An object that this operator cannot read, as a newer one may leave behind, does not blind it to the others.

use std::time::Duration;

use anyhow::{Result, ensure};
use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::json;

use crate::deployed::{Deployed, TOLD};
use crate::fixtures::{TINY, simulated};
use crate::namespace::Namespace;
use crate::wait::{eventually, stays};

/// Several passes that fail would have come and gone by then.
const QUIET: Duration = Duration::from_secs(8);

/// It is told that it cannot be read; a neighbour is served, new ones are, and it is itself once it is mended.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let before = namespace.apply(&simulated("before")).await?;
    before.is_ready().await?;
    store_unreadable(&namespace).await?;
    forget_what_was_told(&namespace).await?;
    is_told(&namespace).await?;
    is_quiet(&namespace).await?;
    let after = namespace.apply(&simulated("after")).await?;
    after.is_ready().await?;
    before.scale(2).await?;
    before.is_ready().await?;
    before.answers(TINY).await?;
    // the API server itself cannot read it for a server-side apply
    let odd = Deployed { namespace: namespace.clone(), name: "odd".to_owned() };
    odd.change(json!({"suspend": false})).await?;
    odd.is_ready().await
}

/// Stores an object with a word where true or false is expected, while the definition allows it.
async fn store_unreadable(namespace: &Namespace) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(namespace.client());
    let name = "deepseekdeployments.deepseek-operator.io";
    let strict = definitions.get(name).await?;
    let mut loose = strict.clone();
    for schema in loose.spec.versions.iter_mut().filter_map(|v| v.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        let spec = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec"));
        if let Some(suspend) = spec.and_then(|spec| spec.properties.as_mut()?.get_mut("suspend")) {
            *suspend = serde_json::from_value(json!({"x-kubernetes-preserve-unknown-fields": true}))?;
        }
    }
    definitions.replace(name, &kube::api::PostParams::default(), &loose).await?;
    let stored = store(namespace).await;
    // put back whatever happened
    let now = definitions.get(name).await?;
    let restored = CustomResourceDefinition { spec: strict.spec, ..now };
    definitions.replace(name, &kube::api::PostParams::default(), &restored).await?;
    stored?;
    eventually("the definition to be strict again", TOLD, || async {
        let odd = simulated("probe").but(json!({"suspend": "perhaps"}));
        namespace.refusal(&odd).await.map(drop)
    })
    .await
}

async fn store(namespace: &Namespace) -> Result<()> {
    let odd = simulated("odd").but(json!({"suspend": "perhaps"})).manifest();
    let api = objects(namespace);
    let params = PatchParams::apply("scenarios");
    eventually("the unreadable object to be stored", TOLD, || async {
        Ok(api.patch("odd", &params, &Patch::Apply(&odd)).await.map(drop)?)
    })
    .await
}

/// The operator may have been quick enough to say something while the definition was loose; now it has to say it again.
async fn forget_what_was_told(namespace: &Namespace) -> Result<()> {
    let nothing = Patch::Merge(json!({"status": {"conditions": []}}));
    objects(namespace).patch_status("odd", &PatchParams::default(), &nothing).await?;
    Ok(())
}

async fn is_told(namespace: &Namespace) -> Result<()> {
    let api = objects(namespace);
    eventually("odd to be told that it cannot be read", TOLD, || async {
        let odd = api.get("odd").await?;
        let conditions = odd.data["status"]["conditions"].clone();
        let find = |condition: ConditionType| {
            conditions.as_array().into_iter().flatten().find(|c| c["type"] == condition.as_str())
        };
        for condition in [ConditionType::Accepted, ConditionType::Ready] {
            let told = find(condition).is_some_and(|c| {
                let message = c["message"].as_str().unwrap_or_default();
                c["status"] == "False" && c["reason"] == Reason::Undecodable.as_str() && names_the_field(message)
            });
            ensure!(told, "its conditions are {conditions}");
        }
        Ok(())
    })
    .await
}

/// What was said once is not said again and again.
async fn is_quiet(namespace: &Namespace) -> Result<()> {
    let (user, audit) = (namespace.world.operator.user().await?, namespace.world.audit().await?);
    stays("nothing is written", QUIET, || async {
        let writes: Vec<_> = audit.writes(&user, &namespace.name).await?.into_iter().map(|write| write.told).collect();
        ensure!(writes.is_empty(), "the operator wrote {writes:?}");
        Ok(())
    })
    .await
}

fn names_the_field(message: &str) -> bool {
    ["perhaps", "Apply a corrected manifest"].iter().all(|word| message.contains(word))
}

fn objects(namespace: &Namespace) -> Api<DynamicObject> {
    Api::namespaced_with(namespace.client(), &namespace.name, &ApiResource::erase::<DeepSeekDeployment>(&()))
}
