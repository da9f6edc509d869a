//! API keys and TLS: what is missing is said, and taken over when it comes, without a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::PostParams;
use serde_json::json;

use crate::command::output;
use crate::deployed::Deployed;
use crate::fixtures::{TINY, simulated};
use crate::namespace::Namespace;
use crate::progress::say;
use crate::wait::eventually;

/// Until the gateway runs and has been asked.
const TOLD: Duration = Duration::from_secs(20);
/// Kubelets look for changes of mounted Secrets about once a minute.
const MOUNTED: Duration = Duration::from_secs(150);
const KEY: &str = "sk-of-the-scenario";

/// A deployment that asks for Secrets which do not exist yet.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let gateway = json!({"gateway": {
        "replicas": 1, "authentication": {"apiKeysSecretName": "keys"}, "tls": {"secretName": "certificate"},
    }});
    let chat = namespace.apply(&simulated("chat").but(gateway)).await?;
    let said = chat.says(ConditionType::GatewayReady, "False", Reason::GatewayUnready, TOLD).await?;
    say(format_args!("without the Secrets: {said}"));
    let named = ["\"keys\"", "\"certificate\"", "spec.gateway.tls.secretName"];
    ensure!(named.iter().all(|word| said.contains(word)), "it does not say what is missing: {said}");
    let before = uids(&chat).await?;

    let folder = std::env::temp_dir().join(format!("{}-{}", namespace.name, std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let made = secrets(&namespace, &folder.to_string_lossy()).await;
    std::fs::remove_dir_all(&folder)?;
    made?;
    eventually("the gateway to have its Secrets", MOUNTED, || async {
        ensure!(is(&chat, ConditionType::GatewayReady).await?, "{}", chat.conditions().await);
        Ok(())
    })
    .await?;
    chat.is_ready().await?;
    ensure!(uids(&chat).await? == before, "the gateway was restarted for it");
    let url = chat.get().await?.status.and_then(|status| status.endpoint).context("no endpoint")?.url;
    ensure!(url.starts_with("https://"), "the address is {url}");

    let lab = namespace.world.cluster.needed_lab()?;
    let address = lab.forward(&namespace.name, "chat", 8000).await?;
    ensure!(ask(&address.to_string(), None).await? == "401", "who has no key gets in");
    ensure!(ask(&address.to_string(), Some("sk-of-somebody")).await? == "401", "who has another key gets in");
    ensure!(ask(&address.to_string(), Some(KEY)).await? == "200", "who has the key does not get in");
    Ok(())
}

async fn is(chat: &Deployed, condition: ConditionType) -> Result<bool> {
    let conditions = chat.get().await?.status.unwrap_or_default().conditions;
    Ok(conditions.iter().any(|found| found.type_ == condition.as_str() && found.status == "True"))
}

async fn uids(chat: &Deployed) -> Result<Vec<String>> {
    Ok(chat.gateways().await?.iter().filter_map(ResourceExt::uid).collect())
}

async fn secrets(namespace: &Namespace, folder: &str) -> Result<()> {
    let (key, certificate) = (format!("{folder}/tls.key"), format!("{folder}/tls.crt"));
    let name = format!("subjectAltName=DNS:chat.{}.svc,IP:127.0.0.1", namespace.name);
    let made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let told = ["-subj", "/CN=chat", "-addext", &name, "-keyout", &key, "-out", &certificate];
    output("openssl", &[&["req"], &made[..], &told[..]].concat(), &[]).await?;
    let read = |path: &str| std::fs::read_to_string(path);
    create(namespace, "certificate", &[("tls.key", read(&key)?), ("tls.crt", read(&certificate)?)]).await?;
    create(namespace, "keys", &[("somebody", KEY.to_owned())]).await
}

async fn create(namespace: &Namespace, name: &str, entries: &[(&str, String)]) -> Result<()> {
    let entries: BTreeMap<_, _> = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut secret = Secret { string_data: Some(entries), ..Secret::default() };
    secret.metadata.name = Some(name.to_owned());
    namespace.api::<Secret>().create(&PostParams::default(), &secret).await.map(drop).map_err(Into::into)
}

/// The status of an answer over TLS. The certificate is one that nobody has signed.
async fn ask(address: &str, key: Option<&str>) -> Result<String> {
    let body = json!({"model": TINY, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let authorization = key.map(|key| format!("authorization: Bearer {key}"));
    let header: Vec<_> = authorization.iter().flat_map(|header| ["-H", header.as_str()]).collect();
    let url = format!("https://{address}/v1/chat/completions");
    let fixed = ["-sk", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-d", &body, &url];
    output("curl", &[&fixed[..], &header].concat(), &[]).await
}
