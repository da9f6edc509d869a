//! What keeps replicas from serving, in words.

use deepseek_crds::condition::Reason;

use crate::decide::conditions::Subject;
use crate::observed::{Canary, Pod, Trouble};

/// The first thing that keeps replicas from serving, the most definite first.
pub fn trouble(subject: &Subject<'_>) -> Option<(Reason, String)> {
    let troubles = || subject.pods().filter_map(|pod| pod.trouble.as_ref().map(|trouble| (pod, trouble)));
    let crash = troubles().find_map(|(pod, trouble)| match trouble {
        Trouble::Crashing { exit_code, message, .. } => {
            Some((Reason::EngineCrashing, crashing(subject, pod, *exit_code, message)))
        }
        _ => None,
    });
    let image = || {
        troubles().find_map(|(pod, trouble)| match trouble {
            Trouble::Image(message) => Some((
                Reason::ImageUnavailable,
                format!(
                    "An image cannot be pulled: {} Correct spec.engine.image, or let the nodes reach the registry.",
                    sentence(message)
                ),
            )),
            Trouble::Configuration(message) => Some((
                Reason::PodRefused,
                format!(
                    "The engine's container cannot be made: {} See `kubectl describe pod {}`.",
                    sentence(message),
                    pod.name
                ),
            )),
            Trouble::Crashing { .. } => None,
        })
    };
    crash.or_else(image).or_else(|| refused_pods(subject)).or_else(|| failed_canary(subject))
}

/// The same of gateways.
pub fn gateway_trouble(subject: &Subject<'_>) -> Option<(Reason, String)> {
    subject.observed.gateways.iter().filter(|pod| !pod.terminating).find_map(|pod| {
        let see = format!("See `kubectl describe pod {}`", pod.name);
        let message = match (&pod.trouble, &pod.canary) {
            (Some(Trouble::Image(message)), _) => {
                format!("The gateway's image cannot be pulled: {} {see}.", sentence(message))
            }
            (Some(Trouble::Configuration(message)), _) => {
                format!("The gateway's container cannot be made: {} {see}.", sentence(message))
            }
            (Some(Trouble::Crashing { exit_code, message, .. }), _) => format!(
                "The gateway ends soon after its start, with exit code {exit_code}; its last words: {message:?}. {see}, and \
                 report it as a defect."
            ),
            (None, Some(Canary::Failed(message))) => {
                format!("The gateway runs, and cannot serve yet: {} {}", sentence(message), secrets(subject))
            }
            (None, _) => return None,
        };
        Some((Reason::GatewayUnready, message))
    })
}

/// What a gateway is given, for whoever has to mend it.
fn secrets(subject: &Subject<'_>) -> String {
    let front = subject.accepted.map(|accepted| &accepted.front);
    let named =
        |field: &str, secret: Option<&String>| secret.map(|name| format!("Secret {name:?} (spec.gateway.{field})"));
    let keys = named("authentication.apiKeysSecretName", front.and_then(|front| front.keys_secret.as_ref()));
    let tls = named("tls.secretName", front.and_then(|front| front.tls_secret.as_ref()));
    let named: Vec<_> = keys.into_iter().chain(tls).collect();
    if named.is_empty() {
        return "Mend that; no restart is needed.".to_owned();
    }
    format!("Create or correct {}; no restart is needed.", named.join(" and "))
}

fn crashing(subject: &Subject<'_>, pod: &Pod, exit_code: i32, message: &str) -> String {
    let namespace = subject.owner.metadata.namespace.as_deref().unwrap_or_default();
    let words = if message.is_empty() { String::new() } else { format!(" Its last words: {message:?}.") };
    format!(
        "The engine ends soon after its start, with exit code {exit_code}.{words} See `kubectl logs -n {namespace} {} \
         --previous`; then correct spec.engine or the weights.",
        pod.name
    )
}

/// The Deployment controller's own words when Pods cannot even be made.
fn refused_pods(subject: &Subject<'_>) -> Option<(Reason, String)> {
    let status = subject.observed.workload.as_ref()?.status.as_ref()?;
    let failure = status.conditions.as_ref()?.iter().find(|c| c.type_ == "ReplicaFailure" && c.status == "True")?;
    let message = failure.message.clone().unwrap_or_default();
    let namespace = subject.owner.metadata.namespace.as_deref().unwrap_or_default();
    Some((
        Reason::PodRefused,
        format!(
            "Pods of the deployment are refused: {} See `kubectl get events -n {namespace}`; change the quota or policy that \
             refuses them, or spec.resources.",
            sentence(&message)
        ),
    ))
}

fn failed_canary(subject: &Subject<'_>) -> Option<(Reason, String)> {
    subject.pods().filter(|pod| pod.ready).find_map(|pod| match &pod.canary {
        Some(Canary::Failed(message)) => Some((
            Reason::CanaryFailed,
            format!("The engine runs, but does not serve as it should: {message}. See `kubectl logs {}`.", pod.name),
        )),
        _ => None,
    })
}

/// Other people's words, which may or may not end in a full stop.
pub fn sentence(message: &str) -> String {
    format!("{}.", message.trim().trim_end_matches('.'))
}
