//! Condition types and their reasons: a closed list, with the sentence each one means.
//!
//! `docs/conditions.md` is written from [`ConditionType::KNOWN`] and [`Reason::KNOWN`]; a test compares them.

use std::fmt;

/// An enum whose variants are written as their own names and each carry a sentence.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $sentence:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = $sentence] $variant,)+
        }

        impl $name {
            /// All of them, in the order in which they are documented.
            pub const KNOWN: &[Self] = &[$(Self::$variant),+];

            /// The word, as it stands in the API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }

            /// The one that is written so.
            pub fn find(word: &str) -> Option<Self> {
                Self::KNOWN.iter().copied().find(|known| known.as_str() == word)
            }

            /// What it means.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The conditions of a `DeepSeekDeployment`.
    ConditionType {
        Accepted = "The spec is understood and can be served by this operator.",
        Placed = "Accelerators were found, and every replica has or can get its own.",
        WeightsReady = "The source of the weights is there to be mounted.",
        Available = "At least one replica lists the served names and has just produced a token.",
        GatewayReady = "A gateway answers at the address of the deployment; absent where there is none.",
        Progressing = "The running replicas follow the spec, or are on their way to it.",
        NodesReachable = "The nodes that carry Pods of the deployment answer; absent while they do.",
        Ready = "Every replica of the current spec answers; the summary of all others.",
        Reconciling = "The operator is still working on the current generation; absent otherwise.",
        Stalled = "The current generation cannot be reached without a change by somebody; absent otherwise.",
        AbleToScale = "The number of replicas can be read and written; absent where nothing scales.",
        ScalingActive = "There is a recommendation, and it is followed; absent where nothing scales.",
        ScalingLimited = "The recommendation is not followed in full; absent where nothing scales.",
        ScaledToZero = "No replica runs because nobody asks for one; absent where spec.autoscaling.minReplicas is above 0.",
    }
}

words! {
    /// Why a condition has its status.
    Reason {
        Pending = "The operator has not looked at the object yet.",
        Valid = "Nothing in the spec is refused.",
        Undecodable = "The stored object does not have the form of this version's API.",
        UnknownModel = "The catalogue has no model of that name, and no custom facts are given.",
        UnknownPrecision = "The catalogue does not know this model in that precision.",
        UnknownAccelerator = "The catalogue has no accelerator of that product name.",
        UnsupportedEngine = "The engine does not serve the model, or does not run on the accelerator.",
        ForbiddenArgument = "An argument under spec.engine.args or a variable under spec.engine.env is set by the operator itself.",
        InvalidValue = "A value passes the schema but makes no sense together with the others.",
        DoesNotFit = "No welcome accelerator has the memory for one replica.",
        NoMatchingNode = "No node offers a welcome accelerator in the needed number.",
        InsufficientAccelerators = "Nodes with the right accelerators exist, but too few are free, or may be used, for every replica.",
        InsufficientResources = "Nodes with the right accelerators exist, but too little processor or memory is free on them.",
        Fits = "Every replica has its accelerators.",
        Suspended = "spec.suspend is true: no replica runs, and no accelerator is held.",
        ScaledToZero = "spec.replicas is 0: no replica runs, and no accelerator is held. Set by hand, or because nobody asks.",
        ClaimBound = "The persistent volume claim is bound.",
        ClaimMissing = "The persistent volume claim does not exist.",
        ClaimPending = "The persistent volume claim is not bound to a volume.",
        ClaimLost = "The volume behind the persistent volume claim is gone.",
        NoneNeeded = "The engine needs no weights from a source.",
        ImageNamed = "The weights are an OCI image; each node pulls it when a replica starts.",
        ImageUnavailable = "A node cannot pull an image.",
        CanaryAnswered = "A replica listed the served names and produced a token.",
        CanaryFailed = "No replica answered the canary as it should.",
        Starting = "Replicas are starting: pulling images or loading weights.",
        EngineCrashing = "The engine ends again and again.",
        PodRefused = "Pods of the deployment are refused, by a quota, a policy or an admission plug-in.",
        RollingOut = "Replicas of an older spec are being replaced.",
        Complete = "Every replica runs the current spec.",
        Refused = "The spec is refused; the last accepted one keeps serving, unless spec.suspend is true or spec.replicas is 0.",
        NameTaken = "An object of the same name exists and does not belong to the deployment.",
        ApplyFailed = "The API server refused an object of the deployment.",
        GatewaysAnswer = "A gateway answers, or all of them do.",
        GatewayStarting = "Gateways are starting.",
        GatewayUnready = "The gateways run, and say why they cannot serve yet.",
        NodesSilent = "More than half of the nodes are silent at once: taken for a fault of the network or the control plane, so nothing is replaced.",
        NodeLost = "A node is lost; what ran there is replaced where there is room, or waits for it.",
        AllReplicasAnswer = "Every replica answered the canary.",
        SomeReplicasAnswer = "Some replicas answered the canary, not all.",
        SucceededGetScale = "The number of replicas could be read.",
        ReadyForNewScale = "The recommendation may be followed at once.",
        ScaleDownStabilized = "More was needed not long ago, so that nothing goes down yet.",
        ScaleUpStabilized = "Less was needed not long ago, so that nothing goes up yet.",
        SucceededRescale = "The number of replicas was just changed.",
        FailedUpdateScale = "The API server did not take another number of replicas.",
        ConflictingController = "Somebody else writes spec.replicas again and again; the operator leaves it alone for ten minutes after the last time.",
        ValidMetricFound = "A recommendation could be made.",
        FailedGetExternalMetric = "A metric is not known, or only in part: nothing goes down, and what is known may still raise.",
        StaleMetrics = "The gateways tell of nothing new: nothing goes down.",
        ScalingDisabled = "spec.replicas was set to 0 by hand: nothing scales until it is raised.",
        AutoscalingPaused = "The annotation deepseek-operator.io/autoscaling-paused is true: the number of replicas is left alone.",
        ExternalAutoscaler = "spec.autoscaling.mode is External: somebody else sets the number of replicas.",
        DesiredWithinRange = "The recommendation is within all limits.",
        TooFewReplicas = "The recommendation is below minReplicas.",
        TooManyReplicas = "The recommendation is above maxReplicas.",
        ScaleUpLimit = "The policies allow no faster way up.",
        ScaleDownLimit = "The policies allow no faster way down.",
        Scheduled = "A schedule sets other bounds at this hour.",
        RolloutFreeze = "Nothing goes down while replicas of an older spec are being replaced.",
        NotScaledToZero = "The last change of the number of replicas was not to none.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_camel_case_and_sentences_end() {
        let words = ConditionType::KNOWN.iter().map(|t| (t.as_str(), t.sentence()));
        for (word, sentence) in words.chain(Reason::KNOWN.iter().map(|r| (r.as_str(), r.sentence()))) {
            assert!(word.chars().all(char::is_alphanumeric) && word.starts_with(char::is_uppercase), "{word}");
            assert!(sentence.ends_with('.'), "{word}: {sentence}");
        }
    }
}
