//! How long a lost node is missed: a deployment of ours beside a plain Deployment with a Service, of the same engine, on the same
//! nodes, in the same run, with Kubernetes' own times.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use deepseek_e2e::bench::machine::machine;
use deepseek_e2e::bench::rig::Rig;
use deepseek_e2e::bench::summary::Summary;
use deepseek_e2e::bench::{Written, commit};
use deepseek_e2e::fixtures::TINY;
use deepseek_e2e::lab::CLUSTER;
use deepseek_e2e::load::{Load, felt};
use deepseek_e2e::operator::is_ready;
use deepseek_e2e::own_nodes::{node_of, number};
use deepseek_e2e::progress::say;
use deepseek_e2e::wait::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const PLAIN: &str = "plain";
const FAULTS: [&str; 2] = ["power", "cable"];
/// Kubernetes replaces after 354 s.
const LONGEST: Duration = Duration::from_secs(420);
const LOOK: Duration = Duration::from_millis(100);

/// Measures how long a lost node is missed. Starts a lab of its own (LAB_ID, default e2e), writes target/bench/nodeloss.json and the
/// table in docs/failure-modes.md. Each round takes a quarter of an hour, because the plain Deployment does.
#[derive(Parser)]
#[command(version, about)]
#[allow(clippy::doc_markdown, reason = "the docs of fields are the text of --help, which is no Markdown")]
struct Cli {
    /// How often each fault is made.
    #[arg(long, default_value_t = 1, env = "ROUNDS")]
    rounds: u32,
    /// Requests a second, on each of the two.
    #[arg(long, default_value_t = 5)]
    per_second: u32,
    #[command(flatten)]
    written: Written,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_nodeloss: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(cli: &Cli) -> Result<()> {
    let rig = Rig::set_up("nodeloss", "").await?;
    let measured = rounds(cli, &rig).await;
    rig.take_down().await?;
    write(cli, &measured?).await
}

/// What was seen of one of the two after one fault, in seconds.
#[derive(Clone, Copy, Debug)]
struct Seen {
    fault: &'static str,
    plain: bool,
    /// Until the last request was sent that was not answered within a second.
    disturbed: f64,
    /// Requests that were lost.
    lost: usize,
    /// Until two replicas are Ready on other nodes.
    replaced: f64,
}

async fn rounds(cli: &Cli, rig: &Rig) -> Result<Vec<Seen>> {
    plain(rig).await?;
    let mut seen = Vec::new();
    for round in 1..=cli.rounds {
        for fault in FAULTS {
            let both = once(cli, rig, fault).await?;
            say(format_args!("round {round}: {both:?}"));
            seen.extend(both);
        }
    }
    Ok(seen)
}

async fn once(cli: &Cli, rig: &Rig, fault: &'static str) -> Result<[Seen; 2]> {
    let victim = victim(rig).await?;
    let door = rig.world.cluster.service(&rig.chat.namespace.name, PLAIN).await?;
    let (ours, theirs) = (rig.load(cli.per_second).await?, Load::start(&door, TINY, cli.per_second));
    sleep(Duration::from_secs(3)).await;
    let (at, plain_at, start) = (ours.now(), theirs.now(), Instant::now());
    rig.lab_call(&["fault", fault, CLUSTER, &victim]).await?;
    let (mut replaced, mut plain_replaced) = (None, None);
    while (replaced.is_none() || plain_replaced.is_none()) && start.elapsed() < LONGEST {
        if replaced.is_none() && rig.ready_beside(&victim).await? == 2 {
            replaced = Some(start.elapsed());
        }
        if plain_replaced.is_none() && ready_plain(rig, &victim).await? == 2 {
            plain_replaced = Some(start.elapsed());
        }
        sleep(LOOK).await;
    }
    let (ours, theirs) = (felt(&ours.end().await, at)?, felt(&theirs.end().await, plain_at)?);
    rig.mend().await?;
    eventually("the plain Deployment to be whole", Duration::from_secs(90), || async {
        let pods = plain_pods(rig).await?;
        ensure!(pods.len() == 2 && pods.iter().all(is_ready), "{} Pods", pods.len());
        Ok(())
    })
    .await?;
    let seen = |plain, felt: &deepseek_e2e::load::Felt, replaced: Option<Duration>| Seen {
        fault,
        plain,
        disturbed: felt.disturbed.as_secs_f64(),
        lost: felt.left_alone(),
        replaced: replaced.unwrap_or(LONGEST).as_secs_f64(),
    };
    Ok([seen(false, &ours, replaced), seen(true, &theirs, plain_replaced)])
}

/// The number of a node with a replica of each.
async fn victim(rig: &Rig) -> Result<String> {
    let ours = rig.chat.pods().await?;
    for pod in plain_pods(rig).await? {
        let node = node_of(&pod)?;
        if ours.iter().any(|pod| node_of(pod).is_ok_and(|at| at == node)) {
            return Ok(number(&node).to_owned());
        }
    }
    bail!("no node has a replica of each")
}

async fn ready_plain(rig: &Rig, beside: &str) -> Result<usize> {
    let elsewhere = |pod: &&Pod| node_of(pod).is_ok_and(|at| number(&at) != beside);
    Ok(plain_pods(rig).await?.iter().filter(elsewhere).filter(|pod| is_ready(pod)).count())
}

async fn plain_pods(rig: &Rig) -> Result<Vec<Pod>> {
    Ok(rig.chat.namespace.api::<Pod>().list(&ListParams::default().labels("app=plain")).await?.items)
}

/// The same engine as a plain Deployment on the same nodes: without accelerators, since each node has one, and a Service.
async fn plain(rig: &Rig) -> Result<()> {
    let api: Api<Deployment> = rig.chat.namespace.api();
    let ours = serde_json::to_value(api.get("chat").await?.spec.context("no spec")?)?;
    let mut pod = ours["template"]["spec"].clone();
    pod["containers"][0]["resources"]["limits"] = Value::Null;
    pod["topologySpreadConstraints"][0]["labelSelector"] = json!({"matchLabels": {"app": PLAIN}});
    let deployment = json!({
        "metadata": {"name": PLAIN},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": PLAIN}},
            "template": {"metadata": {"labels": {"app": PLAIN}}, "spec": pod},
        },
    });
    let service = json!({
        "metadata": {"name": PLAIN},
        "spec": {"selector": {"app": PLAIN}, "ports": [{"port": 8000, "targetPort": "http"}]},
    });
    api.create(&PostParams::default(), &serde_json::from_value(deployment)?).await?;
    let services: Api<Service> = rig.chat.namespace.api();
    services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
    let door = rig.world.cluster.service(&rig.chat.namespace.name, PLAIN).await?;
    eventually("the plain Service to answer", Duration::from_secs(30), || door.chat(TINY, 2)).await?;
    eventually("two plain replicas", Duration::from_secs(30), || async {
        ensure!(plain_pods(rig).await?.iter().filter(|pod| is_ready(pod)).count() == 2, "not yet");
        Ok(())
    })
    .await
}

async fn write(cli: &Cli, seen: &[Seen]) -> Result<()> {
    let (commit, machine) = (commit().await, machine());
    let mut cases = Vec::new();
    let mut table = format!(
        "Commit {commit}, {machine}; {} round(s), {} requests a second on each of the two. The engine's own start takes about a second.\n\n\
         | Seconds, median (range) | Deployment of ours | Plain Deployment and Service |\n|---|---|---|\n",
        cli.rounds, cli.per_second
    );
    for fault in FAULTS {
        let samples = |plain, of: fn(&Seen) -> f64| {
            let mine = seen.iter().filter(|seen| seen.fault == fault && seen.plain == plain);
            mine.map(of).collect::<Vec<_>>()
        };
        for (what, told, of) in [
            (
                "disturbed",
                "until the last request was sent that was not answered within 1 s",
                (|s| s.disturbed) as fn(&Seen) -> f64,
            ),
            ("replaced", "until two replicas are Ready on other nodes", |s| s.replaced),
        ] {
            let (ours, theirs) = (Summary::of(&samples(false, of)), Summary::of(&samples(true, of)));
            let (ours, theirs) = (ours.context("no samples")?, theirs.context("no samples")?);
            let _ = writeln!(table, "| {fault}: {told} | {} | {} |", ours.cell(1), theirs.cell(1));
            let mut case = json!({
                "name": format!("{fault}/{what}"), "unit": "s", "better": "lower", "runs": cli.rounds,
                "samples": samples(false, of), "against": {"plain-deployment": theirs.json()},
            });
            if let (Some(case), Some(numbers)) = (case.as_object_mut(), ours.json().as_object()) {
                case.extend(numbers.clone());
            }
            cases.push(case);
        }
        let lost = |plain| seen.iter().filter(|s| s.fault == fault && s.plain == plain).map(|s| s.lost).sum::<usize>();
        let _ = writeln!(table, "| {fault}: requests lost | {} | {} |", lost(false), lost(true));
    }
    let results = json!({
        "name": "nodeloss", "date": jiff::Timestamp::now().to_string(), "commit": commit, "machine": machine, "cases": cases,
    });
    std::fs::write(cli.written.file("nodeloss.json")?, format!("{results:#}\n"))?;
    cli.written.renew("nodeloss", &table)
}
