//! The rounds: floor, operator, floor, operator …, so that a slow moment of the machine does not hit one side alone.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use deepseek_e2e::bench::machine::machine;
use deepseek_e2e::progress::say;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::Instant;

use crate::audit::Audit;
use crate::book::{Book, Head, Peer};
use crate::copies::Copies;
use crate::life::Life;
use crate::measures::{ALL_READY, HALF_READY, OTHERS, OVER_CHILDREN, OVER_FLOOR};
use crate::objects::{Side, make_namespace, remove_namespace};
use crate::plot::{Panel, plot};
use crate::proc::{Busy, quiet};
use crate::process::Recipe;
use crate::ready::Changes;
use crate::{Options, engine, table};

/// Measures everything and writes the results.
///
/// # Errors
/// When something does not come about; results so far are lost.
pub async fn run(options: &Options, kubeconfig: &Path, audit: PathBuf) -> Result<()> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let client = Client::try_from(Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?)?;
    engine::start().await?;
    let recipe = Recipe::new(&client, kubeconfig, options.operator.clone(), &options.written.out).await?;
    let bench = Bench { patience: Duration::from_secs(options.patience), client, audit: Audit::new(audit), recipe };
    let head = Head {
        date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%MZ").to_string(),
        commit: std::env::var("COMMIT").unwrap_or_default(),
        machine: machine(),
        kubernetes: bench.client.apiserver_version().await?.git_version,
    };
    let (mut book, mut panels) = (Book::default(), Vec::new());
    // what a control plane does for the first time takes longer
    bench.floor(20).await?;
    for &n in &options.n {
        panels.push(bench.rounds(n, rounds_of(options.rounds, n), &mut book).await?);
    }
    let json = options.written.file("operator.json")?;
    book.write(&json, &options.n, &head)?;
    std::fs::write(options.written.file("operator.svg")?, plot(&panels))?;
    let text = table::markdown(&book, &options.n, &head);
    println!("{text}");
    options.written.renew("bench-operator", &text)?;
    say(format_args!("written: {} and operator.svg beside it", json.display()));
    Ok(())
}

/// With many deployments one round takes long.
fn rounds_of(rounds: u32, n: u32) -> u32 {
    if n <= 100 { rounds } else { rounds.div_ceil(3) }.max(1)
}

struct Bench {
    client: Client,
    audit: Audit,
    recipe: Recipe,
    patience: Duration,
}

impl Bench {
    async fn rounds(&self, n: u32, rounds: u32, book: &mut Book) -> Result<Panel> {
        let mut panel = Panel { n, floor: Vec::new(), children: Vec::new(), operator: Vec::new() };
        for round in 1..=rounds {
            let turn = format!("N={n}, round {round} of {rounds}");
            self.wait(&turn, "plain Deployments").await;
            panel.floor = self.floor(n).await?;
            tell(book, n, Peer::Floor, &panel.floor)?;

            self.wait(&turn, "operator").await;
            let busy = Busy::now();
            let Self { client, audit, recipe, .. } = self;
            let mut life = Life { client, audit, recipe, n, namespace: &fresh_namespace(), book };
            let (curve, copies) = life.live().await?;
            panel.operator = curve;
            book.add(n, OTHERS, busy.others_since());

            self.wait(&turn, "the operator's children").await;
            panel.children = self.children(n, &copies).await?;
            tell(book, n, Peer::Children, &panel.children)?;
            book.add(n, OVER_FLOOR, last(&panel.operator)? / last(&panel.floor)?);
            book.add(n, OVER_CHILDREN, last(&panel.operator)? / last(&panel.children)?);
        }
        Ok(panel)
    }

    async fn wait(&self, turn: &str, what: &str) {
        let others = quiet(self.patience).await;
        say(format_args!("{turn}: {what} (others use {others:.2} cores)"));
    }

    /// The same number of Pods from plain Deployments.
    async fn floor(&self, n: u32) -> Result<Vec<f64>> {
        let namespace = fresh_namespace();
        self.without_operator(n, &namespace, Side::Floor.create_all(&self.client, &namespace, n)).await
    }

    /// The same children.
    async fn children(&self, n: u32, copies: &Copies) -> Result<Vec<f64>> {
        let namespace = fresh_namespace();
        self.without_operator(n, &namespace, copies.create_all(&self.client, &namespace, n)).await
    }

    async fn without_operator(
        &self,
        n: u32,
        namespace: &str,
        creation: impl Future<Output = Result<()>>,
    ) -> Result<Vec<f64>> {
        make_namespace(&self.client, namespace).await?;
        let changes = Changes::of(&Side::Floor.api(&self.client, namespace)).await?;
        let (created, curve) = tokio::join!(creation, changes.ready(Side::Floor, n, Instant::now()));
        created?;
        remove_namespace(&self.client, namespace).await?;
        curve
    }
}

/// One that never was: for a while after its deletion the API server asks for a namespace of that name with every request.
fn fresh_namespace() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("bench-{}", MADE.fetch_add(1, Ordering::Relaxed))
}

fn tell(book: &mut Book, n: u32, peer: Peer, curve: &[f64]) -> Result<()> {
    let (half, all) = (curve[curve.len() / 2 - 1], last(curve)?);
    book.add_against(n, ALL_READY, peer, all);
    book.add_against(n, HALF_READY, peer, half);
    say(format_args!("all Ready after {all:.2} s, half after {half:.2} s"));
    Ok(())
}

fn last(curve: &[f64]) -> Result<f64> {
    curve.last().copied().context("N is 0")
}
