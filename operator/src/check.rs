//! `deepseek-operator check`: does an address answer? The operator's image has no other program that could ask.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;

use crate::http::{block_on, get};

/// Flags of the check.
#[derive(Args)]
pub(crate) struct Options {
    /// The address, such as `http://deepseek-operator:8080/readyz`.
    #[arg(long)]
    url: String,
    /// Seconds to try for.
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(options.timeout);
    block_on(async {
        loop {
            let answer = get(&options.url, Duration::from_secs(5)).await;
            match answer {
                Ok((200, body)) => {
                    print!("{body}");
                    return Ok(());
                }
                Ok((status, body)) if Instant::now() >= end => bail!("{} answers HTTP {status}: {body}", options.url),
                Err(error) if Instant::now() >= end => return Err(error),
                _ => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    })
}
