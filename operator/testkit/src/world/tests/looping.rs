//! A real `Controller` against the world: it converges, stays silent, and gets over any fault.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::fixtures::deepseek_deployment;
use crate::{Alarm, Fault, Snapshot, World};

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("deepseek-operator.io", "v1alpha1", "DeepSeekDeployment"))
}

/// One child with a copy of the spec, then the status: the smallest operator.
async fn reconcile(object: Arc<DynamicObject>, client: Arc<Client>) -> kube::Result<Action> {
    let namespace = object.namespace().unwrap_or_default();
    let us = PatchParams::apply("us").force();
    let owner = json!([{
        "apiVersion": "deepseek-operator.io/v1alpha1", "kind": "DeepSeekDeployment", "controller": true,
        "name": object.name_any(), "uid": object.uid(),
    }]);
    for part in ["config", "state"] {
        let name = format!("{}-{part}", object.name_any());
        let child = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owner},
            "data": {"spec": object.data["spec"].to_string()},
        });
        let maps: Api<ConfigMap> = Api::namespaced((*client).clone(), &namespace);
        maps.patch(&name, &us, &Patch::Apply(child)).await?;
    }
    let status = json!({
        "apiVersion": "deepseek-operator.io/v1alpha1", "kind": "DeepSeekDeployment",
        "status": {"observedGeneration": object.metadata.generation},
    });
    let deployments: Api<DynamicObject> = Api::namespaced_with((*client).clone(), &namespace, &resource());
    deployments.patch_status(&object.name_any(), &us, &Patch::Apply(status)).await?;
    Ok(Action::await_change())
}

fn start(world: &World) -> JoinHandle<()> {
    let client = world.client();
    let deployments: Api<DynamicObject> = Api::all_with(client.clone(), &resource());
    let children: Api<ConfigMap> = Api::all(client.clone());
    let everything = watcher::Config::default();
    let again = |_, _: &kube::Error, _| Action::requeue(Duration::from_secs(1));
    let controller = Controller::new_with(deployments, everything.clone(), resource());
    let work = controller.owns(children, everything).run(reconcile, again, Arc::new(client));
    tokio::spawn(work.for_each(|_| async {}))
}

/// The world with one deployment, created before the operator starts.
fn scene() -> World {
    let world = World::new();
    world.put(deepseek_deployment("chat", json!({"replicas": 2})));
    world
}

/// Runs the operator until it is silent, restarting it if a crash was commanded.
async fn run(world: &World, alarm: Option<&Alarm>) -> Snapshot {
    let mut operator = start(world);
    if let Some(alarm) = alarm {
        tokio::select! {
            () = alarm.rung() => {}
            () = world.quiet_for(Duration::from_secs(300)) => {}
        }
        operator.abort();
        world.revive();
        operator = start(world);
    }
    world.quiet_for(Duration::from_secs(300)).await;
    operator.abort();
    world.snapshot()
}

#[tokio::test(start_paused = true)]
async fn a_controller_converges_then_stays_silent() {
    let world = scene();
    let operator = start(&world);
    world.eventually("both children", |world| world.objects("ConfigMap").len() == 2).await;
    world.quiet_for(Duration::from_secs(60)).await;
    let mark = world.mark();
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.assert_no_writes_since(mark);

    world.cut_watches();
    world.edit("DeepSeekDeployment", "default", "chat", |it| it["spec"]["replicas"] = json!(3));
    world.remove("ConfigMap", "default", "chat-state");
    world.quiet_for(Duration::from_secs(60)).await;
    let child = world.read::<ConfigMap>("default", "chat-state").unwrap();
    assert_eq!(child.data.unwrap()["spec"], r#"{"replicas":3}"#);
    let deployment = world.object("DeepSeekDeployment", "default", "chat").unwrap();
    assert_eq!(deployment["status"]["observedGeneration"], 2);
    operator.abort();
}

#[tokio::test(start_paused = true)]
async fn the_fixed_point_is_the_same_whatever_goes_wrong() {
    let world = scene();
    let reference = run(&world, None).await;
    let requests = world.counted();
    assert!(requests >= 5, "two lists, two children, one status");
    let faults = [
        Fault::Error(500),
        Fault::ErrorAfterApply(504),
        Fault::Drop,
        Fault::DropAfterApply,
        Fault::Crash { applied: false },
        Fault::Crash { applied: true },
    ];
    for fault in faults {
        for number in 1..=requests {
            let world = scene();
            let alarm = world.fail_at(number, fault);
            let crash = matches!(fault, Fault::Crash { .. });
            let result = run(&world, crash.then_some(&alarm)).await;
            assert!(alarm.has_rung(), "{fault:?} at {number} never happened");
            let difference = reference.difference(&result);
            assert!(difference.is_empty(), "{fault:?} at {number}:\n{difference}");
        }
    }
}
