//! *Eventually stable*: for k = 1, 2, 3 … the k-th request fails in every way, or is the last one of its process. Then all runs
//! clean. What the world looks like in the end is what it would look like anyway, and nothing is written any more.

use std::time::Duration;

use deepseek_testkit::fixtures::node;
use deepseek_testkit::{Alarm, Fault, Record, Snapshot};
use serde_json::json;

use crate::stage::{AI, H100, Operator, Stage, chat};

/// What happens, and from where on requests are counted: the operator's start, or a change while it runs.
struct Story {
    before: fn(&Stage),
    change: Option<fn(&Stage)>,
    /// Whether there are gateways, and with them all kinds of children.
    gateways: bool,
}

const FAULTS: [Fault; 8] = [
    Fault::Error(409),
    Fault::Error(429),
    Fault::Error(500),
    Fault::ErrorAfterApply(504),
    Fault::Drop,
    Fault::DropAfterApply,
    Fault::Crash { applied: false },
    Fault::Crash { applied: true },
];

impl Story {
    /// Plays it with every fault at every request, watches and leases aside, until the fault comes too late to happen.
    async fn is_eventually_stable(&self) {
        let most = 100;
        let unfinished = self.is_stable_with(|record| !record.is_watch() && !record.is_lease(), most).await;
        assert!(unfinished.is_empty(), "not every request was disturbed: more than {most} come with {unfinished:?}");
    }

    /// Plays it with every fault at each of the counted requests, up to so many; returns the faults with which more came.
    async fn is_stable_with(&self, counted: fn(&Record) -> bool, most: u64) -> Vec<Fault> {
        let (undisturbed, _) = self.play(None, counted).await;
        let mut unfinished = FAULTS.to_vec();
        for fault in FAULTS {
            for number in 1..=most {
                let (snapshot, happened) = self.play(Some((number, fault)), counted).await;
                let difference = undisturbed.difference(&snapshot);
                assert!(difference.is_empty(), "{fault:?} at request {number} leaves another world:\n{difference}");
                assert!(happened || number > 1, "nothing is sent at all");
                if !happened {
                    unfinished.retain(|other| *other != fault);
                    break;
                }
            }
        }
        unfinished
    }

    async fn play(&self, disturbance: Option<(u64, Fault)>, counted: fn(&Record) -> bool) -> (Snapshot, bool) {
        let stage = Stage::with_gpus();
        let mut operator = None;
        (self.before)(&stage);
        if self.change.is_some() {
            operator = Some(self.operator(&stage));
            stage.settled().await;
        }
        stage.world.count_only(counted);
        let alarm = disturbance.map(|(number, fault)| stage.world.fail_at(number, fault));
        self.change.unwrap_or(|_| ())(&stage);
        let operator = operator.unwrap_or_else(|| self.operator(&stage));
        let crashes = matches!(disturbance, Some((_, Fault::Crash { .. })));
        let _operator = self.survive(&stage, operator, alarm.as_ref().filter(|_| crashes)).await;
        stage.settled().await;
        let mark = stage.world.mark();
        tokio::time::sleep(Duration::from_secs(20)).await;
        stage.world.assert_no_writes_since(mark);
        (stage.world.snapshot(), alarm.is_some_and(|alarm| alarm.has_rung()))
    }

    fn operator(&self, stage: &Stage) -> Operator {
        if self.gateways { stage.operator_with_gateways() } else { stage.operator() }
    }

    /// Starts the operator anew if it crashes.
    async fn survive(&self, stage: &Stage, operator: Operator, crash: Option<&Alarm>) -> Operator {
        let Some(crash) = crash else { return operator };
        tokio::select! {
            () = crash.rung() => {
                operator.crash().await;
                stage.world.revive();
                self.operator(stage)
            }
            () = stage.settled() => operator,
        }
    }
}

fn chat_of_two(stage: &Stage) {
    stage.world.put(chat().with_replicas(2));
}

#[tokio::test(start_paused = true)]
async fn a_start_is() {
    Story { before: chat_of_two, change: None, gateways: false }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_with_gateways_is() {
    Story { before: chat_of_two, change: None, gateways: true }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn doing_without_gateways_is() {
    let change: fn(&Stage) = |stage| stage.edit_spec("chat", |spec| spec["gateway"] = json!({"replicas": 0}));
    Story { before: chat_of_two, change: Some(change), gateways: true }.is_eventually_stable().await;
}

/// A lease is renewed for ever; the first eight requests take it and keep it.
#[tokio::test(start_paused = true)]
async fn a_start_is_when_the_lease_is_disturbed() {
    let unfinished =
        Story { before: chat_of_two, change: None, gateways: false }.is_stable_with(Record::is_lease, 8).await;
    assert_eq!(unfinished, FAULTS, "every fault happened eight times");
}

#[tokio::test(start_paused = true)]
async fn a_new_deployment_is() {
    let change: fn(&Stage) = |stage| {
        stage.world.put(chat());
    };
    Story { before: |_| (), change: Some(change), gateways: false }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn scaling_is() {
    let change: fn(&Stage) = |stage| stage.edit_spec("chat", |spec| spec["replicas"] = json!(3));
    Story { before: chat_of_two, change: Some(change), gateways: false }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn a_roll_out_is() {
    let change: fn(&Stage) = |stage| stage.edit_spec("chat", |spec| spec["model"]["servedNames"] = json!(["r1"]));
    Story { before: chat_of_two, change: Some(change), gateways: false }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn suspending_is() {
    let change: fn(&Stage) = |stage| stage.edit_spec("chat", |spec| spec["suspend"] = json!(true));
    Story { before: chat_of_two, change: Some(change), gateways: false }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_is() {
    let change: fn(&Stage) = |stage| {
        stage.edit_spec("chat", |spec| {
            spec["suspend"] = json!(true);
            spec["accelerator"] = json!({"anyOf": [{"product": "nvidia-b200"}]});
        });
    };
    Story { before: chat_of_two, change: Some(change), gateways: false }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn a_repair_is() {
    let change: fn(&Stage) = |stage| {
        stage.world.remove("Service", AI, "chat");
        stage.world.edit("Deployment", AI, "chat", |object| object["spec"]["replicas"] = json!(7));
    };
    Story { before: chat_of_two, change: Some(change), gateways: false }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn a_namesake_is() {
    let change: fn(&Stage) = |stage| {
        stage.world.remove("DeepSeekDeployment", AI, "chat");
        stage.world.put(chat().called(&["other"]));
    };
    Story { before: chat_of_two, change: Some(change), gateways: false }.is_eventually_stable().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_is() {
    let before: fn(&Stage) = |stage| {
        chat_of_two(stage);
        stage.world.put(node("n2").with_gpus(2, H100));
    };
    let change: fn(&Stage) = |stage| stage.world.erase("Node", "", "n1");
    Story { before, change: Some(change), gateways: false }.is_eventually_stable().await;
}
