//! What a person sees on standard error while the scenarios run.

use std::fmt::Display;
use std::sync::LazyLock;

use tokio::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

tokio::task_local! {
    static STORY: &'static str;
}

/// Prints a line with the seconds since the start and the scenario that it is about.
pub fn say(line: impl Display) {
    let seconds = START.elapsed().as_secs_f64();
    match STORY.try_with(|name| *name) {
        Ok(name) => eprintln!("{seconds:6.1} s  {name}: {line}"),
        Err(_) => eprintln!("{seconds:6.1} s  {line}"),
    }
}

/// Runs something as part of a scenario, so that its lines carry the scenario's name.
pub async fn telling<T>(name: &'static str, story: impl Future<Output = T>) -> T {
    STORY.scope(name, story).await
}
