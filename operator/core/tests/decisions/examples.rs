//! What lies under `examples/` is what the operator takes.

use std::path::{Path, PathBuf};

use deepseek_core::catalogue::Catalogue;
use deepseek_core::decide::accept::accept;
use deepseek_core::plan::{ChildKind, plan};
use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::{ConditionType, Reason};
use deepseek_crds::v1alpha1::EngineType;
use serde_json::Value;

use crate::scene::{child, cluster, plain_node, verdict};

fn folders() -> Vec<PathBuf> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let entries = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

fn deployment(folder: &Path) -> DeepSeekDeployment {
    let text = std::fs::read_to_string(folder.join("deployment.yaml")).unwrap();
    let manifest: Value = serde_saphyr::from_str(&text).unwrap();
    serde_json::from_value(manifest).unwrap()
}

#[test]
fn every_example_is_accepted() {
    let folders = folders();
    assert!(folders.len() >= 4, "{folders:?}");
    for folder in folders {
        let deployment = deployment(&folder);
        assert!(accept(&deployment.spec).is_ok(), "{}: {:?}", folder.display(), accept(&deployment.spec).err());
    }
}

#[test]
fn quickstart_cpu_needs_a_node_and_a_public_image_and_nothing_else() {
    let folder = folders().into_iter().find(|folder| folder.ends_with("quickstart-cpu")).unwrap();
    let deployment = deployment(&folder);
    let plan = plan(&deployment, &cluster([plain_node("a")]));
    assert_eq!(verdict(&plan, ConditionType::Placed).1, Reason::Fits);
    assert_eq!(verdict(&plan, ConditionType::WeightsReady).1, Reason::NoneNeeded);
    let workload = child(&plan, ChildKind::Deployment).unwrap();
    let pod = &workload["spec"]["template"]["spec"];
    let images: Vec<_> = pod["containers"].as_array().unwrap().iter().map(|container| &container["image"]).collect();
    let public = Catalogue::builtin().engine(&EngineType::Simulator).and_then(|engine| engine.image(None)).unwrap();
    assert_eq!(images, [public], "the catalogue's own image");
    assert!(pod["volumes"].as_array().into_iter().flatten().all(|volume| volume["image"].is_null()), "{pod:#}");
}
