//! The examples are accepted by a real API server, and the one for any cluster works on whichever this is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::quickstart::served_name;
use crate::deployed::Deployed;
use crate::namespace::Namespace;
use crate::options::root;

/// Every folder below `examples/` is accepted, with strict validation; `quickstart-cpu` answers.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("examples")).context("there is no folder examples")? {
        let folder = entry?.path();
        if folder.is_dir() {
            is_accepted(&namespace, &folder).await.with_context(|| folder.display().to_string())?;
            seen += 1;
        }
    }
    ensure!(seen >= 2, "only {seen} folders below examples/; quickstart and quickstart-cpu should be there");
    let chat = apply_folder(&namespace, "quickstart-cpu").await?;
    chat.is_ready().await?;
    let served = served_name(&chat.get().await?);
    chat.answers(&served).await?;
    chat.namespace.delete().await
}

async fn is_accepted(namespace: &Namespace, folder: &Path) -> Result<()> {
    let manifests = manifests(folder)?;
    ensure!(!manifests.is_empty(), "no manifest in it");
    for mut manifest in manifests.into_iter().filter(|manifest| manifest["kind"] != "Namespace") {
        // a namespace of the example's own does not exist in a dry run
        manifest["metadata"]["namespace"] = json!(namespace.name);
        namespace.apply_manifest(&manifest, true).await?;
    }
    Ok(())
}

/// Applies an example as it is and returns its deployment.
///
/// # Errors
/// When there is no such example, or it is refused.
pub async fn apply_folder(namespace: &Namespace, name: &str) -> Result<Deployed> {
    let mut manifests = manifests(&root().join("examples").join(name))?;
    manifests.sort_by_key(|manifest| manifest["kind"] != "Namespace");
    for manifest in &manifests {
        namespace.apply_manifest(manifest, false).await?;
    }
    let metadata = manifests.iter().find(|m| m["kind"] == "DeepSeekDeployment").map(|m| &m["metadata"]);
    let metadata = metadata.with_context(|| format!("examples/{name} has no DeepSeekDeployment"))?;
    let mut namespace = namespace.clone();
    if let Some(own) = metadata["namespace"].as_str() {
        own.clone_into(&mut namespace.name);
    }
    Ok(Deployed { namespace, name: metadata["name"].as_str().context("it has no name")?.to_owned() })
}

fn manifests(folder: &Path) -> Result<Vec<Value>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("there is no {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"));
    files.sort();
    let mut manifests = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let documents = serde_saphyr::from_multiple::<Value>(&text);
        manifests.extend(documents.with_context(|| format!("{} is no YAML", file.display()))?);
    }
    Ok(manifests)
}
