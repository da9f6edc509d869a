//! Is the spec one that this operator can serve at all? Fills in every default that needs no look at the cluster.
//!
//! The API server has checked forms and single values; here are the rules that need the catalogue or several fields at once.
//! A refusal changes nothing in the cluster: what was accepted before goes on serving, until it is suspended or scaled to zero.

use deepseek_crds::condition::Reason;
use deepseek_crds::unit::{Bytes, duration};
use deepseek_crds::v1alpha1::{
    Accelerator, AcceleratorChoice, CustomModel, DeepSeekDeploymentSpec, EngineType, EnvVar, Model, ModelSource,
    Placement, Precision, Resources,
};

use crate::catalogue::{AcceleratorEntry, Catalogue, EngineEntry, ModelEntry};
use crate::decide::autoscale::wanted::Wanted;
use crate::decide::fit::{Facts, Wish};
use crate::decide::gateway::Front;
use crate::render::engine::own_flags;
use crate::verdict::Refusal;

/// How long a replica may finish running answers when the spec does not say: long enough for a long answer.
const DRAIN_DEFAULT_SECONDS: i64 = 600;

/// A spec that can be served, with its defaults filled in.
#[derive(Clone, Debug)]
pub struct Accepted<'a> {
    /// What clients may put into "model"; the first one is the canary's.
    pub served_names: Vec<String>,
    /// What decides on what it fits.
    pub facts: Facts,
    /// What the spec asks of the engine's memory.
    pub wish: Wish,
    /// The inference server, with the catalogue's facts about it.
    pub engine: &'static EngineEntry,
    /// Image override of the spec.
    pub image: Option<&'a str>,
    /// Further arguments.
    pub args: &'a [String],
    /// Environment variables.
    pub env: &'a [EnvVar],
    /// Where the weights lie.
    pub source: Option<&'a ModelSource>,
    /// What may carry it.
    pub welcome: Welcome<'a>,
    /// Replicas that should run now.
    pub replicas: i32,
    /// Whether the spec asks to hold no accelerators.
    pub suspended: bool,
    /// Memory and processors that the spec asks for.
    pub resources: Resources,
    /// Which nodes may be used.
    pub placement: Placement,
    /// How long running answers may take to finish.
    pub drain_seconds: i64,
    /// The gateway.
    pub front: Front,
    /// How the number of replicas follows the load.
    pub autoscaling: Option<Wanted>,
}

/// What may carry a replica.
#[derive(Clone, Debug)]
pub enum Welcome<'a> {
    /// Plain processors.
    Processors,
    /// These, the preferred one first, and how many when the spec says.
    AnyOf(Vec<(&'static AcceleratorEntry, &'a AcceleratorChoice)>),
    /// Whatever the cluster has.
    Whatever,
}

/// Accepts a spec, or says what is wrong, where, and what to do.
///
/// # Errors
/// A [`Refusal`] for the condition `Accepted`.
pub fn accept(spec: &DeepSeekDeploymentSpec) -> Result<Accepted<'_>, Refusal> {
    let DeepSeekDeploymentSpec {
        model,
        engine,
        accelerator,
        replicas,
        autoscaling,
        resources,
        placement,
        shutdown,
        gateway,
        suspend,
    } = spec;
    let kind = engine.as_ref().and_then(|e| e.type_.clone()).unwrap_or(EngineType::LlamaCpp);
    let entry = engine_of(&kind)?;
    let facts = facts_of(model, entry)?;
    check_precision(entry, &facts)?;
    let (args, env) = engine.as_ref().map_or((&[][..], &[][..]), |e| (&e.args[..], &e.env[..]));
    refuse_own_flags(&kind, args, env)?;
    check_context(model, &facts)?;
    check_path(&kind, model.source.as_ref())?;
    let resources = resources.clone().unwrap_or_default();
    check_quantities(&resources)?;
    let drain_seconds = drain_seconds(shutdown.as_ref().and_then(|s| s.drain_timeout.as_deref()))?;
    let front = Front::of(gateway.as_ref(), drain_seconds)?;
    let wanted = autoscaling.as_ref().map(|asked| Wanted::of(asked, front.patience())).transpose()?;
    Ok(Accepted {
        served_names: served_names(model),
        wish: Wish {
            context_length: model.context_length.map(i32::unsigned_abs),
            sequences: engine.as_ref().and_then(|e| e.max_concurrent_sequences).map(i32::unsigned_abs),
            default_sequences: entry.default_max_sequences,
        },
        facts,
        engine: entry,
        image: engine.as_ref().and_then(|e| e.image.as_deref()),
        args,
        env,
        source: model.source.as_ref(),
        welcome: welcome(accelerator.as_ref())?,
        replicas: if *suspend { 0 } else { *replicas },
        suspended: *suspend,
        resources,
        placement: placement.clone().unwrap_or_default(),
        front,
        autoscaling: wanted,
        drain_seconds,
    })
}

fn served_names(model: &Model) -> Vec<String> {
    if model.served_names.is_empty() { vec![model.name.clone()] } else { model.served_names.clone() }
}

fn facts_of(model: &Model, engine: &EngineEntry) -> Result<Facts, Refusal> {
    match (&model.custom, Catalogue::builtin().model(&model.name)) {
        (Some(custom), _) => custom_facts(model, custom),
        (None, Some(entry)) => catalogue_facts(model, entry, engine),
        (None, None) => Err(Refusal::new(Reason::UnknownModel, unknown_model(&model.name))),
    }
}

fn unknown_model(name: &str) -> String {
    let near = Catalogue::builtin().nearest_models(name);
    let hint = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(", ")) };
    format!(
        "spec.model.name: the catalogue has no model {name:?}.{hint} Correct the name, or give the model's facts under \
         spec.model.custom."
    )
}

fn catalogue_facts(model: &Model, entry: &ModelEntry, engine: &EngineEntry) -> Result<Facts, Refusal> {
    let precision = model.precision.clone().unwrap_or_else(|| default_precision(entry, engine));
    let weights = entry.weights_in(&precision).ok_or_else(|| {
        let known: Vec<_> = entry.weights.keys().map(Precision::as_str).collect();
        Refusal::new(
            Reason::UnknownPrecision,
            format!(
                "spec.model.precision: the catalogue knows {} in {}, not in {precision}. Choose one of these, or give \
                 the facts of your files under spec.model.custom.",
                entry.name,
                known.join(", ")
            ),
        )
    })?;
    Ok(Facts {
        name: entry.name.clone(),
        precision,
        weights,
        kv_bytes_per_token: entry.kv_bytes_per_token,
        // llama.cpp gives each accelerator whole layers, and with them their part of the cache
        kv_replicated: entry.kv_replicated && engine.engine != EngineType::LlamaCpp,
        mixture_of_experts: entry.mixture_of_experts,
        max_context_length: entry.max_context_length,
    })
}

/// The release's own precision; for an engine that does not load it, the usual one of its files.
fn default_precision(entry: &ModelEntry, engine: &EngineEntry) -> Precision {
    if engine.loads(&entry.default_precision) { entry.default_precision.clone() } else { Precision::Q4KM }
}

/// A custom model is taken for a dense one with a divided cache; who knows better writes the larger numbers.
fn custom_facts(model: &Model, custom: &CustomModel) -> Result<Facts, Refusal> {
    let weights: Bytes = custom
        .weight_bytes
        .parse()
        .map_err(|error| Refusal::new(Reason::InvalidValue, format!("spec.model.custom.weightBytes: {error}.")))?;
    Ok(Facts {
        name: model.name.clone(),
        precision: model.precision.clone().unwrap_or(Precision::Bf16),
        weights,
        kv_bytes_per_token: custom.kv_bytes_per_token.unsigned_abs().max(1),
        kv_replicated: false,
        mixture_of_experts: false,
        max_context_length: custom.max_context_length.unsigned_abs(),
    })
}

fn engine_of(kind: &EngineType) -> Result<&'static EngineEntry, Refusal> {
    Catalogue::builtin().engine(kind).ok_or_else(|| {
        let known: Vec<_> = EngineType::KNOWN.iter().map(EngineType::as_str).collect();
        Refusal::new(
            Reason::UnsupportedEngine,
            format!("spec.engine.type: this operator does not know {kind}. Choose one of {}.", known.join(", ")),
        )
    })
}

fn check_precision(engine: &EngineEntry, facts: &Facts) -> Result<(), Refusal> {
    if engine.loads(&facts.precision) {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::UnsupportedEngine,
        format!(
            "spec.engine.type: {} does not load {} weights; it loads {}. Set spec.model.precision to what your files are, \
             or choose another engine.",
            engine.engine,
            facts.precision,
            engine.precisions.iter().flatten().map(Precision::as_str).collect::<Vec<_>>().join(", ")
        ),
    ))
}

/// Engines accept abbreviations of their flags, so a flag is compared by prefix; `--flag=value` counts as `--flag`, and
/// llama.cpp takes `_` for `-`.
fn refuse_own_flags(kind: &EngineType, args: &[String], env: &[EnvVar]) -> Result<(), Refusal> {
    let owned = own_flags(kind);
    let flags = args.iter().enumerate().filter(|(_, arg)| arg.starts_with('-') && arg.len() > 1);
    for (at, arg) in flags {
        let flag = arg.split('=').next().unwrap_or(arg);
        let usual = flag.replace('_', "-");
        let taken = owned.iter().find(|own| {
            let abbreviated = |f: &str| usual.len() > 3 && usual.starts_with("--") && f.starts_with(&usual);
            own.flags.iter().any(|f| *f == usual || abbreviated(f))
        });
        if let Some(own) = taken {
            return Err(forbidden(&format!("spec.engine.args[{at}]"), flag, own.instead));
        }
    }
    for (at, variable) in env.iter().enumerate() {
        if let Some(own) = owned.iter().find(|own| own.env == Some(variable.name.as_str())) {
            return Err(forbidden(&format!("spec.engine.env[{at}].name"), &variable.name, own.instead));
        }
    }
    Ok(())
}

fn forbidden(path: &str, flag: &str, instead: &str) -> Refusal {
    Refusal::new(
        Reason::ForbiddenArgument,
        format!("{path}: the operator sets {flag} itself; remove it and {instead}."),
    )
}

fn check_context(model: &Model, facts: &Facts) -> Result<(), Refusal> {
    match model.context_length.map(i32::unsigned_abs) {
        Some(asked) if asked > facts.max_context_length => Err(Refusal::new(
            Reason::InvalidValue,
            format!(
                "spec.model.contextLength: {asked} tokens are more than {} was made for; choose at most {}.",
                facts.name, facts.max_context_length
            ),
        )),
        _ => Ok(()),
    }
}

/// llama.cpp loads one file and does not look for it.
fn check_path(kind: &EngineType, source: Option<&ModelSource>) -> Result<(), Refusal> {
    let Some(source) = source.filter(|_| *kind == EngineType::LlamaCpp) else { return Ok(()) };
    let (field, path) = match source {
        ModelSource { persistent_volume_claim: Some(claim), .. } => ("persistentVolumeClaim", claim.path.as_deref()),
        ModelSource { image, .. } => ("image", image.as_ref().and_then(|i| i.path.as_deref())),
    };
    let is_gguf = path.is_some_and(|p| p.to_ascii_lowercase().ends_with(".gguf"));
    if is_gguf {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::InvalidValue,
        format!(
            "spec.model.source.{field}.path: LlamaCpp loads one GGUF file, and {} does not name one; set the path of the \
             .gguf file inside the source (of a split model, the first part).",
            path.map_or_else(|| "an absent path".to_owned(), |p| format!("{p:?}"))
        ),
    ))
}

fn check_quantities(resources: &Resources) -> Result<(), Refusal> {
    for (field, text) in [("memory", &resources.memory), ("sharedMemory", &resources.shared_memory)] {
        if let Some(Err(error)) = text.as_deref().map(str::parse::<Bytes>) {
            return Err(Refusal::new(Reason::InvalidValue, format!("spec.resources.{field}: {error}.")));
        }
    }
    Ok(())
}

fn welcome(accelerator: Option<&Accelerator>) -> Result<Welcome<'_>, Refusal> {
    match accelerator {
        None | Some(Accelerator { any_of: None, cpu: None }) => Ok(Welcome::Whatever),
        Some(Accelerator { cpu: Some(_), .. }) => Ok(Welcome::Processors),
        Some(Accelerator { any_of: Some(choices), .. }) => {
            choices.iter().enumerate().map(known_product).collect::<Result<_, _>>().map(Welcome::AnyOf)
        }
    }
}

fn known_product(
    (at, choice): (usize, &AcceleratorChoice),
) -> Result<(&'static AcceleratorEntry, &AcceleratorChoice), Refusal> {
    let catalogue = Catalogue::builtin();
    catalogue.accelerator(&choice.product).map(|entry| (entry, choice)).ok_or_else(|| {
        let near = catalogue.nearest_accelerators(&choice.product);
        let hint = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(", ")) };
        Refusal::new(
            Reason::UnknownAccelerator,
            format!(
                "spec.accelerator.anyOf[{at}].product: the catalogue has no accelerator {:?}.{hint} Use a catalogue name, \
                 such as nvidia-h200.",
                choice.product
            ),
        )
    })
}

fn drain_seconds(text: Option<&str>) -> Result<i64, Refusal> {
    let Some(text) = text else { return Ok(DRAIN_DEFAULT_SECONDS) };
    duration(text).and_then(|d| i64::try_from(d.as_secs()).ok()).ok_or_else(|| {
        Refusal::new(
            Reason::InvalidValue,
            format!(
                "spec.shutdown.drainTimeout: {text:?} is no duration; write hours, minutes and seconds, such as 10m."
            ),
        )
    })
}
