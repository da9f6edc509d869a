//! A namespace of a scenario's own.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace as Kubernetes;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::discovery::Scope;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::fixtures::Wanted;
use crate::wait::eventually;
use crate::world::World;

/// Whose fields those are that a scenario applies.
const FIELD_MANAGER: &str = "scenarios";

/// A namespace in which Pod Security *restricted* is enforced.
#[derive(Clone)]
pub struct Namespace {
    /// Everything around it.
    pub world: World,
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// Makes it.
    ///
    /// # Errors
    /// When it exists already, or cannot be made.
    pub async fn make(world: World, name: &str) -> Result<Self> {
        let namespace: Kubernetes = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
        }))?;
        let api: Api<Kubernetes> = Api::all(world.cluster.client.clone());
        (api.create(&kube::api::PostParams::default(), &namespace).await)
            .with_context(|| format!("namespace {name:?} cannot be made; delete it if an earlier run has left it"))?;
        Ok(Self { world, name: name.to_owned() })
    }

    /// An API of the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// A client of the cluster.
    pub fn client(&self) -> Client {
        self.world.cluster.client.clone()
    }

    /// Applies a deployment, as `kubectl apply --server-side` does.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply(&self, wanted: &Wanted) -> Result<Deployed> {
        let sent = self.send(wanted, &apply_params()).await.map_err(plainly);
        sent.with_context(|| format!("{:?} is refused", wanted.name))?;
        Ok(Deployed { namespace: self.clone(), name: wanted.name.clone() })
    }

    /// Asks the API server to refuse a deployment, as `kubectl create` would, and returns what it says.
    ///
    /// # Errors
    /// When it is accepted, or something else goes wrong.
    pub async fn refusal(&self, wanted: &Wanted) -> Result<String> {
        let path = DeepSeekDeployment::url_path(&(), Some(&self.name));
        let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
            .header("content-type", "application/json")
            .body(wanted.manifest().to_string().into_bytes())?;
        match self.client().request::<Value>(request).await {
            Ok(_) => bail!("the API server accepts it"),
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => Ok(status.message),
            Err(error) => Err(plainly(error)).context("the API server does not refuse it as it should"),
        }
    }

    async fn send(&self, wanted: &Wanted, params: &PatchParams) -> Result<DynamicObject, kube::Error> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client(), &self.name, &ApiResource::erase::<DeepSeekDeployment>(&()));
        api.patch(&wanted.name, params, &Patch::Apply(wanted.manifest())).await
    }

    /// Applies a manifest of any kind; in this namespace, if it names none.
    ///
    /// # Errors
    /// When the API server refuses it, or does not know the kind.
    pub async fn apply_manifest(&self, manifest: &Value, dry_run: bool) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(manifest.clone()).context("no Kubernetes object")?;
        let types = object.types.clone().context("a manifest needs apiVersion and kind")?;
        let gvk = kube::core::GroupVersionKind::try_from(&types)?;
        let (resource, capabilities) = kube::discovery::pinned_kind(&self.client(), &gvk).await?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client(), &resource),
            Scope::Namespaced => {
                let namespace = object.metadata.namespace.as_deref().unwrap_or(&self.name);
                Api::namespaced_with(self.client(), namespace, &resource)
            }
        };
        let name = object.metadata.name.as_deref().context("a manifest needs a name")?;
        let params = if dry_run { apply_params().dry_run() } else { apply_params() };
        let applied = api.patch(name, &params, &Patch::Apply(manifest)).await.map_err(plainly);
        applied.with_context(|| format!("{} {name:?} is refused", types.kind)).map(drop)
    }

    /// Begins to delete it, with all that is in it.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self) -> Result<()> {
        let api: Api<Kubernetes> = Api::all(self.client());
        api.delete(&self.name, &DeleteParams::default()).await.map(drop).map_err(Into::into)
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// When it stays.
    pub async fn is_gone(&self) -> Result<()> {
        let api: Api<Kubernetes> = Api::all(self.client());
        eventually("the namespace to be gone", Duration::from_secs(90), || async {
            ensure!(api.get_opt(&self.name).await?.is_none(), "{} is still there", self.name);
            Ok(())
        })
        .await
    }
}

fn apply_params() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).validation_strict()
}

/// The API server's own words, without the object around them.
fn plainly(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!("{} (HTTP {})", status.message, status.code),
        other => other.into(),
    }
}
