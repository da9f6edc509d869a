//! The command line of each engine, and the flags that the operator keeps for itself.

use deepseek_crds::unit::Bytes;
use deepseek_crds::v1alpha1::{EngineType, ModelSource};
use k8s_openapi::api::core::v1::EnvVar;

use super::PORT;
use crate::decide::accept::Accepted;
use crate::decide::place::{PROCESS, Placement};

/// Where the weights are mounted in an engine's container.
pub const MODELS: &str = "/models";

/// A setting that the operator renders, in all its spellings, and what a user does instead of giving it.
#[derive(Clone, Copy, Debug)]
pub struct OwnFlag {
    /// Spellings on the command line.
    pub flags: &'static [&'static str],
    /// Environment variable that means the same.
    pub env: Option<&'static str>,
    /// What to do instead.
    pub instead: &'static str,
}

const fn own(flags: &'static [&'static str], env: Option<&'static str>, instead: &'static str) -> OwnFlag {
    OwnFlag { flags, env, instead }
}

const FIXED: &str = "leave it out: the Service and the probes rely on it";
const NAMES: &str = "set spec.model.servedNames";
const SOURCE: &str = "set spec.model.source";
const CONTEXT: &str = "set spec.model.contextLength";
const SEQUENCES: &str = "set spec.engine.maxConcurrentSequences";
const ACCELERATOR: &str = "set spec.accelerator";

/// Flags of llama.cpp's server as of release b11382.
const LLAMA_CPP: &[OwnFlag] = &[
    own(&["--model", "-m"], Some("LLAMA_ARG_MODEL"), SOURCE),
    own(&["--alias", "-a"], Some("LLAMA_ARG_ALIAS"), NAMES),
    own(&["--host"], Some("LLAMA_ARG_HOST"), FIXED),
    own(&["--port"], Some("LLAMA_ARG_PORT"), FIXED),
    own(&["--ctx-size", "-c"], Some("LLAMA_ARG_CTX_SIZE"), CONTEXT),
    own(&["--parallel", "-np"], Some("LLAMA_ARG_N_PARALLEL"), SEQUENCES),
    own(&["--n-gpu-layers", "--gpu-layers", "-ngl"], Some("LLAMA_ARG_N_GPU_LAYERS"), ACCELERATOR),
    own(&["--metrics"], Some("LLAMA_ARG_ENDPOINT_METRICS"), FIXED),
    own(&["--no-webui", "--webui", "--ui", "--no-ui"], Some("LLAMA_ARG_UI"), FIXED),
    own(&["--threads", "-t"], Some("LLAMA_ARG_THREADS"), "set spec.resources.cpu"),
    own(
        &["--cache-ram", "-cram"],
        Some("LLAMA_ARG_CACHE_RAM"),
        "set spec.resources.memory, of which it gets what is left",
    ),
    own(&["--sse-ping-interval"], None, "leave it out: stopping in time relies on it"),
];

/// Flags of llm-d-inference-sim v0.10.2.
const SIMULATOR: &[OwnFlag] = &[
    own(&["--model"], None, NAMES),
    own(&["--served-model-name"], None, NAMES),
    own(&["--port"], None, FIXED),
    own(&["--max-model-len"], None, CONTEXT),
    own(&["--max-num-seqs"], None, SEQUENCES),
    own(&["--force-dummy-tokenizer"], None, "leave it out: it ends the list of served names"),
];

/// Variables that tell a custom engine what it needs to know.
const CUSTOM: &[OwnFlag] = &[
    own(&[], Some("PORT"), FIXED),
    own(&[], Some("MODEL_PATH"), SOURCE),
    own(&[], Some("SERVED_MODEL_NAMES"), NAMES),
    own(&[], Some("CONTEXT_LENGTH"), CONTEXT),
    own(&[], Some("MAX_CONCURRENT_SEQUENCES"), SEQUENCES),
];

/// Settings that the operator renders for an engine, and that `spec.engine` therefore may not contain.
pub fn own_flags(engine: &EngineType) -> &'static [OwnFlag] {
    match engine {
        EngineType::LlamaCpp => LLAMA_CPP,
        EngineType::Simulator => SIMULATOR,
        EngineType::Custom | EngineType::Other(_) => CUSTOM,
    }
}

/// Arguments of the engine: ours, then the user's.
pub fn args(accepted: &Accepted<'_>, placement: &Placement) -> Vec<String> {
    let ours = match accepted.engine.engine {
        EngineType::LlamaCpp => llama_cpp(accepted, placement),
        EngineType::Simulator => simulator(accepted, placement),
        EngineType::Custom | EngineType::Other(_) => Vec::new(),
    };
    ours.into_iter().chain(accepted.args.iter().cloned()).collect()
}

/// `--ctx-size` is shared out evenly among the `--parallel` slots, so it is the context times the slots.
///
/// Unless told, the server takes as many threads as the *node* has processors, and stalls when it may not use them. It notices
/// that it should stop only at the next ping of a stream, hence a short interval.
fn llama_cpp(accepted: &Accepted<'_>, placement: &Placement) -> Vec<String> {
    let context = u64::from(placement.context_length) * u64::from(placement.sequences);
    let mut args = vec![
        "--model".into(),
        model_path(accepted.source),
        "--alias".into(),
        accepted.served_names.join(","),
        "--host".into(),
        "0.0.0.0".into(),
        "--port".into(),
        PORT.to_string(),
        "--ctx-size".into(),
        context.to_string(),
        "--parallel".into(),
        placement.sequences.to_string(),
        "--metrics".into(),
        "--no-webui".into(),
        "--threads".into(),
        threads(accepted.resources.cpu.as_deref()).to_string(),
        "--sse-ping-interval".into(),
        "5".into(),
        "--cache-ram".into(),
        (prompt_cache(accepted, placement) >> 20).to_string(),
    ];
    if placement.accelerator.is_some() {
        args.extend(["--n-gpu-layers".into(), "all".into()]);
    }
    args
}

/// Bytes of the host's memory that the server may keep the beginnings of conversations in: what is reserved beyond what it needs.
/// Unless told, it takes up to 8 GiB, and is killed where it may not have them.
///
/// ```text
/// on processors      spec.resources.memory - (weights + cache + runtime)
/// on accelerators    spec.resources.memory - 512 MiB for the process; without it the 2 GiB at most that loading has used
/// ```
fn prompt_cache(accepted: &Accepted<'_>, placement: &Placement) -> u64 {
    let asked = accepted.resources.memory.as_deref().and_then(|text| text.parse::<Bytes>().ok());
    let needed = if placement.accelerator.is_some() { PROCESS } else { placement.host_memory };
    asked.map_or(placement.host_memory, |Bytes(bytes)| bytes).saturating_sub(needed)
}

/// Whole processors, rounded up; one when the spec does not say, as is then requested.
fn threads(cpu: Option<&str>) -> u64 {
    let cpu = cpu.unwrap_or("1");
    let milli = match cpu.strip_suffix('m') {
        Some(milli) => milli.parse().unwrap_or(1000.0),
        None => cpu.parse::<f64>().unwrap_or(1.0) * 1000.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=1024")]
    let whole = (milli / 1000.0).ceil().clamp(1.0, 1024.0) as u64;
    whole
}

fn simulator(accepted: &Accepted<'_>, placement: &Placement) -> Vec<String> {
    let mut args = vec![
        "--model".into(),
        accepted.facts.name.clone(),
        "--port".into(),
        PORT.to_string(),
        "--max-model-len".into(),
        placement.context_length.to_string(),
        "--max-num-seqs".into(),
        placement.sequences.to_string(),
        "--served-model-name".into(),
    ];
    args.extend(accepted.served_names.iter().cloned());
    // the flag above takes every word up to the next flag; this one also keeps the simulator from fetching a tokenizer
    args.push("--force-dummy-tokenizer".into());
    args
}

/// Environment of the engine: what a custom one is told, then the user's.
pub fn env(accepted: &Accepted<'_>, placement: &Placement) -> Vec<EnvVar> {
    let ours = match accepted.engine.engine {
        EngineType::Custom => vec![
            ("PORT", PORT.to_string()),
            ("MODEL_PATH", model_path(accepted.source)),
            ("SERVED_MODEL_NAMES", accepted.served_names.join(",")),
            ("CONTEXT_LENGTH", placement.context_length.to_string()),
            ("MAX_CONCURRENT_SEQUENCES", placement.sequences.to_string()),
        ],
        _ => Vec::new(),
    };
    let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value));
    let theirs = accepted.env.iter().map(|variable| (variable.name.clone(), variable.value.clone()));
    ours.chain(theirs).map(|(name, value)| EnvVar { name, value: Some(value), value_from: None }).collect()
}

fn model_path(source: Option<&ModelSource>) -> String {
    let path = source.and_then(|source| match source {
        ModelSource { persistent_volume_claim: Some(claim), .. } => claim.path.as_deref(),
        ModelSource { image: Some(image), .. } => image.path.as_deref(),
        ModelSource { .. } => None,
    });
    path.map_or_else(|| MODELS.to_owned(), |path| format!("{MODELS}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_follow_the_processors_that_are_reserved() {
        for (cpu, count) in [(None, 1), (Some("500m"), 1), (Some("1500m"), 2), (Some("8"), 8), (Some("0.5"), 1)] {
            assert_eq!(threads(cpu), count, "{cpu:?}");
        }
    }
}
