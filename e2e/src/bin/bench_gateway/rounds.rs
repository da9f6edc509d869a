//! The rounds: in each of them every phase takes everybody in turn, so that a slow moment of the machine does not hit one of them alone.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deepseek_e2e::bench::commit;
use deepseek_e2e::bench::machine::{busy, machine};
use deepseek_e2e::command::output;
use deepseek_e2e::progress::say;
use tokio::time::{Instant, sleep};

use crate::book::{Book, Head};
use crate::measures::OTHERS as OTHERS_BUSY;
use crate::peers::{ENGINES, Peers, local};
use crate::phases::{Phase, Turn};
use crate::plot::plot;
use crate::process::{OTHERS, Process, command};
use crate::subject::Subject;
use crate::{Options, table};

/// Up to this number of busy cores the machine counts as quiet.
const QUIET: f64 = 0.15;
/// For so long it is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Measures everything and writes the results.
///
/// # Errors
/// When something does not come about; results so far are lost.
pub async fn run(options: &Options) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("bench-gateway-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let measured = measure(options, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    let book = measured?;
    let head = head(options).await?;
    let json = options.written.file("gateway.json")?;
    book.write(&json, &head)?;
    std::fs::write(options.written.file("gateway.svg")?, plot(&book))?;
    let text = table::markdown(&book, &head);
    println!("{text}");
    options.written.renew("bench-gateway", &text)?;
    say(format_args!("written: {} and gateway.svg beside it", json.display()));
    Ok(())
}

async fn measure(options: &Options, folder: &Path) -> Result<Book> {
    let peers = Peers::new(options, folder.to_owned()).await?;
    let mut engines = command(OTHERS, std::env::current_exe()?);
    engines.arg("engine").args(ENGINES.map(|port| local(port).to_string()));
    let mut engines = Process::start(engines, &peers.log)?;
    sleep(LOOK).await;
    ensure!(!engines.has_ended(), "the engines do not start; see {}", peers.log.display());
    let book = rounds(options, &peers).await;
    engines.stop().await;
    book
}

async fn rounds(options: &Options, peers: &Peers) -> Result<Book> {
    let (mut book, mut patience) = (Book::default(), Duration::from_secs(options.patience));
    for round in 1..=options.rounds {
        for phase in Phase::ALL.into_iter().filter(|phase| wanted(&options.only, &format!("{phase:?}"))) {
            for &subject in phase.subjects() {
                // litellm is there for scale, and slow
                let once = subject == Subject::Litellm && round > 1;
                if once || !peers.has(subject, phase.spoken()) || !wanted(&options.who, subject.name()) {
                    continue;
                }
                let others = quiet(&mut patience).await;
                say(format_args!("round {round} of {}: {phase:?}, {}", options.rounds, subject.name()));
                let done = Turn { peers, subject, phase, book: &mut book }.run().await;
                match done {
                    Err(error) if subject == Subject::Litellm => say(format_args!("left out: {error:#}")),
                    done => done?,
                }
                if subject == Subject::Gateway {
                    book.add(subject, OTHERS_BUSY, others);
                }
            }
        }
    }
    Ok(book)
}

fn wanted(texts: &[String], name: &str) -> bool {
    texts.is_empty() || texts.iter().any(|text| name.to_lowercase().contains(&text.to_lowercase()))
}

/// Waits until nothing else runs on this machine, as long as there is patience; returns how many cores others use.
async fn quiet(patience: &mut Duration) -> f64 {
    loop {
        let (before, start) = (busy(), Instant::now());
        sleep(LOOK).await;
        let others = (busy() - before) / start.elapsed().as_secs_f64();
        if others <= QUIET || patience.is_zero() {
            return others;
        }
        *patience = patience.saturating_sub(start.elapsed());
    }
}

async fn head(options: &Options) -> Result<Head> {
    let haproxy = output("haproxy", &["-v"], &[]).await?;
    let haproxy = haproxy.split_whitespace().nth(2).context("haproxy has no version")?.to_owned();
    // it says so on standard error
    let nginx = output("sh", &["-c", "nginx -v 2>&1"], &[]).await?;
    let nginx = nginx.rsplit('/').next().unwrap_or_default().trim().to_owned();
    let litellm = match &options.litellm {
        Some(litellm) => {
            let said = output(litellm, &["--version"], &[]).await.unwrap_or_default();
            format!(", litellm {}", said.rsplit([' ', '=']).next().unwrap_or_default())
        }
        None => String::new(),
    };
    Ok(Head {
        date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%MZ").to_string(),
        commit: commit().await,
        machine: machine(),
        peers: format!("haproxy {haproxy}, nginx {nginx}{litellm}"),
        rounds: options.rounds,
    })
}
