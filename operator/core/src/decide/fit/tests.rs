//! The worked examples of the sizing rules, and what must hold for every input.

use deepseek_crds::unit::Bytes;
use deepseek_crds::v1alpha1::Precision;
use proptest::prelude::*;

use super::*;
use crate::catalogue::Catalogue;

const UNASKED: Wish = Wish { context_length: None, sequences: None, default_sequences: 8 };

fn asked(context_length: u32, sequences: u32) -> Wish {
    Wish { context_length: Some(context_length), sequences: Some(sequences), ..UNASKED }
}

fn model(name: &str, precision: Precision) -> Facts {
    let entry = Catalogue::builtin().model(name).unwrap();
    Facts {
        name: name.to_owned(),
        weights: entry.weights_in(&precision).unwrap(),
        precision,
        kv_bytes_per_token: entry.kv_bytes_per_token,
        kv_replicated: entry.kv_replicated,
        mixture_of_experts: entry.mixture_of_experts,
        max_context_length: entry.max_context_length,
    }
}

fn r1() -> Facts {
    model("deepseek-r1", Precision::Fp8)
}

fn device(product: &str) -> Device {
    Device { memory: Catalogue::builtin().accelerator(product).unwrap().memory }
}

/// Whether two numbers are within one per cent, the tolerance of the examples.
fn close(actual: u64, expected: u64) -> bool {
    actual.abs_diff(expected) <= expected / 100
}

#[test]
fn w6_eight_conversations_of_a_7b_model_fit_on_a_3090_and_nine_do_not() {
    let (facts, card) = (model("deepseek-llm-7b-chat", Precision::Q4KM), device("nvidia-rtx-3090"));
    assert_eq!(fit(&facts, &asked(4096, 8), &card, 1).unwrap().sequences(), 8);
    let refusal = fit(&facts, &asked(4096, 9), &card, 1).unwrap_err();
    assert!(close(refusal.needed.0, 23_840_000_000) && close(refusal.offered.0, 23_190_000_000), "{refusal}");
    assert_eq!(
        refusal.to_string(),
        "needs 23.8 GB and 1 accelerator would have 23.2 GB usable: weights 4.2 GB + overhead 1.5 GB + KV cache 18.1 GB \
         for 9 × 4096 tokens; 8 × 4096 tokens would fit"
    );
    let free = fit(&facts, &UNASKED, &card, 1).unwrap();
    assert_eq!((free.context_length(), free.sequences()), (4096, 8), "the model's own maximum, as often as it fits");
}

#[test]
fn w7_w8_weights_of_a_7b_model() {
    assert!(close(model("deepseek-llm-7b-chat", Precision::Bf16).weights.0, 13_820_000_000));
    assert_eq!(model("deepseek-llm-7b-chat", Precision::Q4KM).weights, Bytes(4_220_000_000));
}

#[test]
fn w9_w10_bytes_of_cache_per_token() {
    assert_eq!(r1().kv_bytes_per_token, 70_272);
    assert_eq!(model("deepseek-r1-distill-qwen-7b", Precision::Bf16).kv_bytes_per_token, 57_344);
}

#[test]
fn w11_r1_on_eight_h200() {
    let found = fit(&r1(), &UNASKED, &device("nvidia-h200"), 8).unwrap();
    assert!(close(found.kv_tokens(), 509_000), "{}", found.kv_tokens());
    assert_eq!((found.context_length(), found.sequences()), (127_232, 4));
    assert_eq!(
        found.explanation(),
        "weights 86.1 GB + overhead 5.0 GB + KV cache 35.8 GB (509k tokens) of 127 GB usable on each of 8 accelerators"
    );
    let data_parallel = Facts { kv_replicated: false, ..r1() };
    assert!(close(fit(&data_parallel, &UNASKED, &device("nvidia-h200"), 8).unwrap().kv_tokens(), 4_070_000));
}

#[test]
fn w12_r1_needs_sixteen_h100() {
    let refusal = fit(&r1(), &UNASKED, &device("nvidia-h100"), 8).unwrap_err();
    assert_eq!((refusal.offered, refusal.kv_tokens), (Bytes(576_000_000_000), 0));
    let found = smallest(&r1(), &UNASKED, &device("nvidia-h100"), 64).unwrap();
    assert_eq!(found.count(), 16);
    assert!(close(found.kv_tokens(), 340_000), "{}", found.kv_tokens());
}

#[test]
fn known_good_and_bad_sets_of_accelerators() {
    let smallest_of =
        |facts: &Facts, product| smallest(facts, &UNASKED, &device(product), 8).map(|found| found.count());
    assert!(smallest_of(&r1(), "nvidia-a100-80gb").is_err());
    for product in ["nvidia-h200", "nvidia-b200", "amd-mi300x", "amd-mi325x", "amd-mi355x"] {
        assert!(smallest_of(&r1(), product).is_ok(), "{product}");
    }
    let awq = model("deepseek-r1", Precision::Int4);
    assert_eq!(smallest_of(&awq, "nvidia-a100-80gb"), Ok(8));
    assert_eq!(smallest_of(&awq, "nvidia-a800"), Ok(8));
    let v4_pro = model("deepseek-v4-pro", Precision::Fp8);
    assert_eq!(smallest_of(&v4_pro, "nvidia-h200"), Ok(8));
    assert!(smallest_of(&v4_pro, "nvidia-h100").is_err());
    assert_eq!(smallest_of(&model("deepseek-v4-flash-0731", Precision::Fp8), "nvidia-h200"), Ok(2));
    assert_eq!(smallest_of(&model("deepseek-v2", Precision::Bf16), "nvidia-a100-80gb"), Ok(8));
    assert_eq!(smallest_of(&model("deepseek-v2-lite", Precision::Bf16), "nvidia-a100-40gb"), Ok(1));
    assert_eq!(smallest_of(&model("deepseek-r1-distill-qwen-7b", Precision::Bf16), "nvidia-rtx-3090"), Ok(1));
    assert_eq!(smallest_of(&model("deepseek-r1-distill-llama-8b", Precision::Bf16), "nvidia-l4"), Ok(1));
    assert_eq!(smallest_of(&model("deepseek-r1-distill-qwen-1.5b", Precision::Bf16), "nvidia-t4"), Ok(1));
}

#[test]
fn the_32b_distilled_model() {
    let (native, quantised) = (
        model("deepseek-r1-distill-qwen-32b", Precision::Bf16),
        model("deepseek-r1-distill-qwen-32b", Precision::Q4KM),
    );
    let short = fit(&native, &UNASKED, &device("nvidia-h100"), 1).unwrap();
    assert!((4096..8192).contains(&short.context_length()), "short context: {}", short.context_length());
    assert!(fit(&native, &asked(32_768, 1), &device("nvidia-h100"), 1).is_err());
    assert!(fit(&native, &UNASKED, &device("nvidia-rtx-3090"), 1).is_err());
    assert!(fit(&native, &UNASKED, &device("nvidia-a100-40gb"), 2).is_ok());
    assert!(fit(&native, &UNASKED, &device("nvidia-l40s"), 4).is_ok());
    let tight = fit(&quantised, &UNASKED, &device("nvidia-rtx-3090"), 1).unwrap();
    assert_eq!((tight.context_length(), tight.sequences()), (4096, 1));
}

#[test]
fn a_context_too_short_to_be_of_use_is_taken_only_when_asked_for() {
    let (facts, card) = (model("deepseek-r1-distill-qwen-32b", Precision::Q4KM), device("nvidia-l4"));
    let refusal = fit(&facts, &UNASKED, &card, 1).unwrap_err();
    assert!(refusal.to_string().ends_with("; a single conversation of 768 tokens would fit"), "{refusal}");
    assert_eq!(fit(&facts, &asked(768, 1), &card, 1).unwrap().context_length(), 768);
}

#[test]
fn asking_for_conversations_alone_shares_the_cache_among_them() {
    let two = Wish { sequences: Some(2), ..UNASKED };
    let found = fit(&r1(), &two, &device("nvidia-h200"), 8).unwrap();
    assert_eq!((found.context_length(), found.sequences()), (163_840, 2));
    let hundred = Wish { sequences: Some(100), ..UNASKED };
    let found = fit(&r1(), &hundred, &device("nvidia-h200"), 8).unwrap();
    assert_eq!((found.context_length(), found.sequences()), (4864, 100));
}

#[test]
fn asking_for_a_context_alone_takes_as_many_as_fit_up_to_the_default() {
    let long = Wish { context_length: Some(131_072), ..UNASKED };
    assert_eq!(fit(&r1(), &long, &device("nvidia-h200"), 8).unwrap().sequences(), 3);
    let short = Wish { context_length: Some(4096), ..UNASKED };
    assert_eq!(fit(&r1(), &short, &device("nvidia-h200"), 8).unwrap().sequences(), 8);
}

#[test]
fn processors_get_what_they_need() {
    let tiny = fit_host(&model("deepseek-tiny", Precision::F32), &UNASKED);
    assert_eq!((tiny.context_length, tiny.sequences), (4096, 4));
    assert_eq!(tiny.memory, Bytes(2_000_000 + 4 * 4096 * 288 + 500_000_000));
    let distilled = fit_host(&model("deepseek-r1-distill-qwen-7b", Precision::Q4KM), &asked(8192, 1));
    assert_eq!(distilled.memory, Bytes(4_690_000_000 + 8192 * 57_344 + 500_000_000));
}

#[test]
fn nothing_fits_on_nothing() {
    for outcome in
        [fit(&r1(), &UNASKED, &device("nvidia-h200"), 0), smallest(&r1(), &UNASKED, &device("nvidia-h200"), 0)]
    {
        assert_eq!(outcome.unwrap_err().offered, Bytes(0));
    }
}

#[test]
fn a_refusal_names_the_largest_count_that_was_tried() {
    assert_eq!(smallest(&r1(), &UNASKED, &device("nvidia-h100"), 12).unwrap_err().count, 8);
    assert!(smallest(&r1(), &UNASKED, &device("nvidia-t4"), u32::MAX).is_ok_and(|found| found.count() == 128));
}

/// Models from a few megabytes to terabytes.
fn facts() -> impl Strategy<Value = Facts> {
    (1_u64..2_000_000_000_000, 1_u64..1_000_000, any::<bool>(), any::<bool>(), 128_u32..2_000_000).prop_map(
        |(weights, kv_bytes_per_token, kv_replicated, mixture_of_experts, max_context_length)| Facts {
            name: "any".to_owned(),
            precision: Precision::Bf16,
            weights: Bytes(weights),
            kv_bytes_per_token,
            kv_replicated,
            mixture_of_experts,
            max_context_length,
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    (prop::option::of(128_u32..1_000_000), prop::option::of(1_u32..300), 1_u32..300).prop_map(
        |(context_length, sequences, default_sequences)| Wish { context_length, sequences, default_sequences },
    )
}

proptest! {
    #[test]
    fn a_fit_never_exceeds_what_is_usable(facts in facts(), wish in wish(), memory in 0_u64..300_000_000_000, count in 0_u32..65) {
        match fit(&facts, &wish, &Device { memory: Bytes(memory) }, count) {
            Ok(found) => {
                prop_assert!(found.usable_per_device().0 <= memory);
                let parts = [found.weights_per_device(), found.overhead_per_device(), found.kv_pool_per_device()];
                prop_assert_eq!(parts.iter().map(|part| part.0).sum::<u64>(), found.usable_per_device().0);
                prop_assert!(found.weights_per_device().0 * u64::from(count) >= facts.weights.0);
                prop_assert!(found.sequences() >= 1);
                prop_assert!(u64::from(found.context_length()) * u64::from(found.sequences()) <= found.kv_tokens());
                let shares = if facts.kv_replicated { 1 } else { u64::from(count) };
                prop_assert!(found.kv_tokens() * facts.kv_bytes_per_token <= found.kv_pool_per_device().0 * shares);
            }
            Err(refusal) => prop_assert!(refusal.needed > refusal.offered, "{}", refusal),
        }
    }

    #[test]
    fn what_a_refusal_needs_is_enough_and_no_more(facts in facts(), wish in wish(), count in 1_u32..65) {
        if let Err(refusal) = fit(&facts, &wish, &Device { memory: Bytes(24_000_000_000) }, count) {
            let enough = (refusal.needed.0 / u64::from(count) * 10).div_ceil(9);
            prop_assert!(fit(&facts, &wish, &Device { memory: Bytes(enough) }, count).is_ok(), "{}", refusal);
            prop_assert!(fit(&facts, &wish, &Device { memory: Bytes(enough - 2) }, count).is_err(), "{}", refusal);
        }
    }

    #[test]
    fn what_was_asked_is_what_one_gets(facts in facts(), wish in wish(), count in 1_u32..65) {
        if let Ok(found) = fit(&facts, &wish, &Device { memory: Bytes(141_000_000_000) }, count) {
            prop_assert_eq!(found.context_length(), wish.context_length.unwrap_or(found.context_length()));
            prop_assert_eq!(found.sequences(), wish.sequences.unwrap_or(found.sequences()));
            if wish.context_length.is_none() {
                prop_assert!(found.context_length() <= facts.max_context_length);
            }
            if wish.sequences.is_none() {
                prop_assert!(found.sequences() <= wish.default_sequences);
            }
        }
    }

    #[test]
    fn the_fit_of_a_fit_is_itself(facts in facts(), wish in wish(), count in 1_u32..65) {
        let device = Device { memory: Bytes(141_000_000_000) };
        if let Ok(found) = fit(&facts, &wish, &device, count) {
            prop_assert_eq!(fit(&facts, &asked(found.context_length(), found.sequences()), &device, count), Ok(found));
        }
    }

    #[test]
    fn more_never_fits_less(facts in facts(), wish in wish(), memory in 0_u64..300_000_000_000, more in 0_u64..100_000_000_000, count in 1_u32..64) {
        if let Ok(found) = fit(&facts, &wish, &Device { memory: Bytes(memory) }, count) {
            for (memory, count) in [(memory + more, count), (memory, count + 1)] {
                let larger = fit(&facts, &wish, &Device { memory: Bytes(memory) }, count);
                prop_assert!(larger.as_ref().is_ok_and(|larger| larger.kv_tokens() >= found.kv_tokens()
                    && larger.context_length() >= found.context_length()), "{:?}", larger);
            }
        }
    }

    #[test]
    fn the_smallest_is_a_power_of_two_and_half_of_it_does_not_fit(facts in facts(), wish in wish(), most in 1_u32..65) {
        let device = Device { memory: Bytes(80_000_000_000) };
        match smallest(&facts, &wish, &device, most) {
            Ok(found) => {
                prop_assert!(found.count().is_power_of_two() && found.count() <= most);
                prop_assert!(found.count() == 1 || fit(&facts, &wish, &device, found.count() / 2).is_err());
            }
            Err(refusal) => prop_assert!(refusal.count * 2 > most),
        }
    }

    #[test]
    fn nothing_overflows(weights: u64, kv_bytes_per_token: u64, memory: u64, count: u32, context: Option<u32>, sequences: Option<u32>, flags: (bool, bool), max: u32) {
        let facts = Facts {
            name: String::new(),
            precision: Precision::Bf16,
            weights: Bytes(weights),
            kv_bytes_per_token,
            kv_replicated: flags.0,
            mixture_of_experts: flags.1,
            max_context_length: max,
        };
        let wish = Wish { context_length: context, sequences, default_sequences: max };
        match fit(&facts, &wish, &Device { memory: Bytes(memory) }, count) {
            Ok(found) => drop(found.explanation()),
            Err(refusal) => drop(refusal.to_string()),
        }
        let _ = smallest(&facts, &wish, &Device { memory: Bytes(memory) }, count);
        let _ = fit_host(&facts, &wish);
    }
}
