//! Programs that scenarios start: the lab and helm.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// Longest run of any program here; helm itself is told to give up earlier.
const LIMIT: Duration = Duration::from_secs(180);

/// Runs a program to its end and returns what it printed on standard output.
///
/// # Errors
/// When it cannot be started, fails, or takes too long; with the end of what it printed on standard error.
pub async fn output(program: impl AsRef<OsStr>, args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let name = program.as_ref().to_string_lossy().into_owned();
    let told = || format!("{} {}", name.rsplit('/').next().unwrap_or_default(), args.join(" "));
    let run =
        Command::new(&program).args(args).envs(env.iter().copied()).stdin(Stdio::null()).kill_on_drop(true).output();
    let done = tokio::time::timeout(LIMIT, run)
        .await
        .with_context(|| format!("{}: still running after {} s, ended", told(), LIMIT.as_secs()))?
        .with_context(|| format!("{name} cannot be started; is it installed?"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !done.status.success() {
        bail!("{}: {}: {}", told(), done.status, tail(&text(&done.stderr)));
    }
    Ok(text(&done.stdout))
}

/// The end of a long text is where programs say why they failed.
fn tail(text: &str) -> &str {
    let from = text.char_indices().rev().nth(1500).map_or(0, |(at, _)| at);
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_says_what_was_run_and_what_it_said() {
        let error = output("sh", &["-c", "echo broken >&2; exit 3"], &[]).await.unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("exit status: 3") && error.contains("broken"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let error = format!("{:#}", output("no-such-program", &[], &[]).await.unwrap_err());
        assert!(error.contains("no-such-program cannot be started"), "{error}");
    }
}
