//! Which specs are refused, and in which words: where, what is allowed, what to do next.

use deepseek_core::decide::accept::accept;
use deepseek_core::render::engine::own_flags;
use deepseek_core::verdict::Refusal;
use deepseek_crds::condition::Reason;
use deepseek_crds::v1alpha1::EngineType;
use serde_json::{Value, json};

use crate::scene::{chat, from_claim, simulated, with};

fn refusal(spec: Value) -> Refusal {
    let deployment = chat(spec);
    accept(&deployment.spec).map(drop).expect_err("it is refused")
}

#[test]
fn each_refusal_names_the_field_what_is_allowed_and_the_next_step() {
    let custom = |weight: &str| json!({"model": {"custom": {"weightBytes": weight, "kvBytesPerToken": 1, "maxContextLength": 4096}}});
    let cases = [
        (
            with(simulated(), json!({"engine": {"type": "Vllm"}})),
            Reason::UnsupportedEngine,
            ["spec.engine.type", "Vllm", "Choose one of LlamaCpp, Simulator, Custom"],
        ),
        (
            with(simulated(), json!({"model": {"name": "deepseek-r1-distil-qwen-7b"}})),
            Reason::UnknownModel,
            ["spec.model.name", "Did you mean deepseek-r1-distill-qwen-7b", "spec.model.custom"],
        ),
        (
            with(simulated(), json!({"model": {"name": "gpt"}})),
            Reason::UnknownModel,
            ["spec.model.name", "\"gpt\"", "Correct the name"],
        ),
        (
            with(simulated(), json!({"model": {"name": "deepseek-v4-flash", "precision": "INT4"}})),
            Reason::UnknownPrecision,
            ["spec.model.precision", "FP8, Q4_K_M", "Choose one of these"],
        ),
        (
            with(simulated(), custom("15 GB")),
            Reason::InvalidValue,
            ["spec.model.custom.weightBytes", "Ki, Mi, Gi", "such as 15Gi"],
        ),
        (
            with(from_claim(), json!({"model": {"precision": "FP8"}})),
            Reason::UnsupportedEngine,
            ["spec.engine.type", "it loads F32, BF16", "Set spec.model.precision"],
        ),
        (
            with(simulated(), json!({"model": {"contextLength": 131_073}})),
            Reason::InvalidValue,
            ["spec.model.contextLength", "131073 tokens", "at most 131072"],
        ),
        (
            with(from_claim(), json!({"model": {"source": {"persistentVolumeClaim": {"path": null}}}})),
            Reason::InvalidValue,
            ["spec.model.source.persistentVolumeClaim.path", "an absent path", "set the path of the .gguf file"],
        ),
        (
            with(
                from_claim(),
                json!({"model": {"source": {"persistentVolumeClaim": null, "image": {"reference": "a", "path": "b.bin"}}}}),
            ),
            Reason::InvalidValue,
            ["spec.model.source.image.path", "\"b.bin\"", "set the path of the .gguf file"],
        ),
        (
            with(simulated(), json!({"resources": {"memory": "lots"}})),
            Reason::InvalidValue,
            ["spec.resources.memory", "\"lots\"", "such as 15Gi"],
        ),
        (
            with(simulated(), json!({"resources": {"sharedMemory": "1e99P"}})),
            Reason::InvalidValue,
            ["spec.resources.sharedMemory", "\"1e99P\"", "such as 15Gi"],
        ),
        (
            with(
                simulated(),
                json!({"accelerator": {"anyOf": [{"product": "nvidia-h200"}, {"product": "nvidia-h1000"}]}}),
            ),
            Reason::UnknownAccelerator,
            ["spec.accelerator.anyOf[1].product", "Did you mean nvidia-h100", "Use a catalogue name"],
        ),
        (
            with(simulated(), json!({"shutdown": {"drainTimeout": "soon"}})),
            Reason::InvalidValue,
            ["spec.shutdown.drainTimeout", "\"soon\"", "such as 10m"],
        ),
        (
            with(simulated(), json!({"engine": {"args": ["--seed", "1", "--port=9"]}})),
            Reason::ForbiddenArgument,
            ["spec.engine.args[2]", "--port", "leave it out"],
        ),
        (
            with(from_claim(), json!({"engine": {"env": [{"name": "A"}, {"name": "LLAMA_ARG_CTX_SIZE"}]}})),
            Reason::ForbiddenArgument,
            ["spec.engine.env[1].name", "LLAMA_ARG_CTX_SIZE", "set spec.model.contextLength"],
        ),
    ];
    for (spec, reason, fragments) in cases {
        let refusal = refusal(spec.clone());
        assert_eq!(refusal.reason, reason, "{spec}: {}", refusal.message);
        for fragment in fragments {
            assert!(refusal.message.contains(fragment), "{fragment:?} is missing in: {}", refusal.message);
        }
    }
}

#[test]
fn no_spelling_of_our_own_flags_is_let_through() {
    for (kind, base) in [(EngineType::LlamaCpp, from_claim()), (EngineType::Simulator, simulated())] {
        for flag in own_flags(&kind).iter().flat_map(|own| own.flags) {
            let spellings = [(*flag).to_owned(), format!("{flag}=1"), underscored(flag)];
            for spelling in spellings {
                let refusal = refusal(with(base.clone(), json!({"engine": {"args": [spelling]}})));
                assert_eq!(refusal.reason, Reason::ForbiddenArgument, "{kind} {spelling}");
            }
        }
    }
    let abbreviated = refusal(with(from_claim(), json!({"engine": {"args": ["--ctx", "4096"]}})));
    assert_eq!(abbreviated.reason, Reason::ForbiddenArgument);
}

/// llama.cpp takes `_` for `-` in long flags.
fn underscored(flag: &str) -> String {
    flag.strip_prefix("--").map_or_else(|| flag.to_owned(), |name| format!("--{}", name.replace('-', "_")))
}

#[test]
fn other_arguments_are_let_through() {
    for args in [json!(["--flash-attn", "on"]), json!(["-fa"]), json!(["--", "-"]), json!(["--cache-type-k", "q8_0"])] {
        let deployment = chat(with(from_claim(), json!({"engine": {"args": args}})));
        assert!(accept(&deployment.spec).is_ok(), "{args}");
    }
}

#[test]
fn what_is_left_out_is_filled_in() {
    let deployment = chat(from_claim());
    let accepted = accept(&deployment.spec).unwrap();
    assert_eq!(accepted.engine.engine, EngineType::LlamaCpp);
    assert_eq!(accepted.served_names, ["deepseek-r1-distill-qwen-7b"]);
    assert_eq!((accepted.replicas, accepted.drain_seconds, accepted.wish.default_sequences), (1, 600, 8));
    let suspended = chat(with(from_claim(), json!({"suspend": true, "replicas": 5})));
    assert_eq!(accept(&suspended.spec).unwrap().replicas, 0);
}
