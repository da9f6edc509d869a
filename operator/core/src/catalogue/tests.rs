//! The data is well-formed, and nodes are recognised.

use std::collections::BTreeSet;

use deepseek_crds::unit::Bytes;
use deepseek_crds::v1alpha1::Precision;

use super::*;

fn node(labels: &[(&str, &str)]) -> Option<&'static str> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Catalogue::builtin().accelerator_of(&labels).map(|entry| entry.product.as_str())
}

fn nvidia(product: &str) -> Option<&'static str> {
    node(&[("nvidia.com/gpu.product", product)])
}

#[test]
fn the_compiled_in_data_can_be_read() {
    assert_eq!(Catalogue::read().map_err(|error| error.to_string()).as_ref(), Ok(Catalogue::builtin()));
}

#[test]
fn every_model_is_complete_and_named_once() {
    let names: BTreeSet<_> = Catalogue::builtin().models().iter().map(|entry| &entry.name).collect();
    assert_eq!(names.len(), Catalogue::builtin().models().len());
    for entry in Catalogue::builtin().models() {
        assert!(entry.weights_in(&entry.default_precision).is_some(), "{}", entry.name);
        assert!(entry.weights.iter().all(|(key, size)| !matches!(key, Precision::Other(_)) && size.0 > 0), "{entry:?}");
        assert!(entry.kv_bytes_per_token > 0 && entry.max_context_length >= 4096 && !entry.source.is_empty());
        assert!(entry.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.')));
    }
}

#[test]
fn weights_are_plausible_for_their_precision() {
    let bits = |precision: &Precision| match precision {
        Precision::F32 => 24.0..40.0,
        Precision::Bf16 | Precision::F16 => 15.9..16.1,
        Precision::Fp8 | Precision::Int8 => 4.0..10.2,
        Precision::Q8_0 => 8.4..8.6,
        Precision::Q6K => 6.5..7.2,
        Precision::Q5KM => 5.6..6.1,
        Precision::Q4KM => 4.8..5.4,
        Precision::Q4_0 | Precision::Int4 => 4.0..5.9,
        Precision::Other(_) => 0.0..0.0,
    };
    for entry in Catalogue::builtin().models() {
        for (precision, Bytes(size)) in &entry.weights {
            #[expect(clippy::cast_precision_loss, reason = "compared to two digits")]
            let effective = *size as f64 * 8.0 / entry.parameters as f64;
            assert!(bits(precision).contains(&effective), "{} {precision}: {effective:.2} bits", entry.name);
        }
    }
}

#[test]
fn the_cache_of_one_token_follows_from_the_architecture() {
    for (name, bytes) in [
        ("deepseek-r1", 61 * (512 + 64) * 2), // W9 of the sizing examples: 70 272
        ("deepseek-v3.2", 61 * (512 + 64 + 128) * 2),
        ("deepseek-v2", 60 * (512 + 64) * 2),
        ("deepseek-v2-lite", 27 * (512 + 64) * 2),
        ("deepseek-v4-flash", 21 * (512 + 128) * 2 / 4 + 20 * 512 * 2 / 128),
        ("deepseek-v4-pro", 30 * (512 + 128) * 2 / 4 + 31 * 512 * 2 / 128),
        ("deepseek-r1-distill-qwen-1.5b", 2 * 28 * 2 * 128 * 2),
        ("deepseek-r1-distill-qwen-7b", 2 * 28 * 4 * 128 * 2), // W10: 57 344
        ("deepseek-r1-distill-llama-8b", 2 * 32 * 8 * 128 * 2),
        ("deepseek-r1-distill-qwen-14b", 2 * 48 * 8 * 128 * 2),
        ("deepseek-r1-distill-qwen-32b", 2 * 64 * 8 * 128 * 2),
        ("deepseek-r1-distill-llama-70b", 2 * 80 * 8 * 128 * 2),
        ("deepseek-llm-7b-chat", 2 * 30 * 32 * 128 * 2),
        ("deepseek-tiny", 3 * (32 + 16) * 2),
    ] {
        let entry = Catalogue::builtin().model(name);
        assert_eq!(entry.map(|entry| entry.kv_bytes_per_token), Some(bytes), "{name}");
    }
}

#[test]
fn no_label_names_two_products() {
    let accelerators = Catalogue::builtin().accelerators();
    let mut seen = BTreeSet::new();
    for entry in accelerators {
        assert!(accelerators.iter().filter(|other| other.product == entry.product).count() == 1, "{}", entry.product);
        for (key, values) in &entry.labels {
            assert!(values.iter().all(|value| seen.insert((key, value))), "{}: {key} {values:?}", entry.product);
        }
    }
}

#[test]
fn nodes_are_recognised_by_their_labels() {
    assert_eq!(nvidia("NVIDIA-H200"), Some("nvidia-h200"));
    assert_eq!(nvidia("NVIDIA-H100-80GB-HBM3"), Some("nvidia-h100"));
    assert_eq!(nvidia("NVIDIA-A100-SXM4-80GB"), Some("nvidia-a100-80gb"));
    assert_eq!(nvidia("NVIDIA-GeForce-RTX-3090"), Some("nvidia-rtx-3090"));
    assert_eq!(node(&[("amd.com/gpu.device-id", "74a1")]), Some("amd-mi300x"));
    assert_eq!(node(&[("amd.com/gpu.product-name", "AMD_Instinct_MI355_OAM")]), Some("amd-mi355x"));
    assert_eq!(node(&[("node.kubernetes.io/npu.chip.name", "910B3")]), Some("huawei-ascend-910b"));
    assert_eq!(node(&[("accelerator-type", "module-a3-16")]), Some("huawei-ascend-910c"));
    assert_eq!(node(&[("kubernetes.io/os", "linux")]), None);
    assert_eq!(node(&[]), None);
}

#[test]
fn parts_of_an_accelerator_are_not_taken_for_a_whole_one() {
    assert_eq!(nvidia("NVIDIA-H100-80GB-HBM3-SHARED"), None);
    assert_eq!(nvidia("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"), None);
    let h100 = ("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3");
    assert_eq!(node(&[h100, ("nvidia.com/gpu.sharing-strategy", "time-slicing")]), None);
    assert_eq!(node(&[h100, ("nvidia.com/gpu.sharing-strategy", "none")]), Some("nvidia-h100"));
    let mi300x = ("amd.com/gpu.device-id", "74a1");
    assert_eq!(node(&[mi300x, ("amd.com/compute-memory-partition", "cpx_nps4")]), None);
    assert_eq!(node(&[mi300x, ("amd.com/compute-memory-partition", "spx_nps1")]), Some("amd-mi300x"));
}

#[test]
fn every_engine_of_the_api_is_known() {
    for engine in EngineType::KNOWN {
        assert!(Catalogue::builtin().engine(engine).is_some(), "{engine}");
    }
    assert_eq!(Catalogue::builtin().engine(&EngineType::Other("Newer".to_owned())), None);
}

#[test]
fn engines_name_an_image_with_a_release_for_the_hardware_they_run_on() {
    let image = |engine: &EngineType, vendor| Catalogue::builtin().engine(engine).and_then(|entry| entry.image(vendor));
    for vendor in [None, Some(Vendor::Nvidia), Some(Vendor::Amd)] {
        let name = image(&EngineType::LlamaCpp, vendor).unwrap_or_default();
        assert!(name.starts_with("ghcr.io/ggml-org/llama.cpp:server") && name.ends_with("-b11382"), "{name}");
    }
    assert_eq!(image(&EngineType::LlamaCpp, Some(Vendor::Huawei)), None);
    assert!(image(&EngineType::Simulator, None).is_some_and(|name| name.ends_with(":v0.10.2")));
    assert_eq!(image(&EngineType::Custom, Some(Vendor::Nvidia)), None);
}

#[test]
fn llama_cpp_loads_gguf_types_only() {
    let loads =
        |engine: &EngineType, precision| Catalogue::builtin().engine(engine).map(|entry| entry.loads(precision));
    assert_eq!(loads(&EngineType::LlamaCpp, &Precision::Q4KM), Some(true));
    assert_eq!(loads(&EngineType::LlamaCpp, &Precision::Bf16), Some(true));
    assert_eq!(loads(&EngineType::LlamaCpp, &Precision::Fp8), Some(false));
    for precision in Precision::KNOWN {
        assert_eq!(loads(&EngineType::Custom, precision), Some(true));
        assert_eq!(loads(&EngineType::Simulator, precision), Some(true));
    }
}

#[test]
fn a_mistyped_name_gets_suggestions() {
    let catalogue = Catalogue::builtin();
    assert_eq!(catalogue.nearest_models("deepseek-r1-distil-qwen-7b").first(), Some(&"deepseek-r1-distill-qwen-7b"));
    assert_eq!(catalogue.nearest_models("deepseek-ai/DeepSeek-V3.1").first(), Some(&"deepseek-v3.1"));
    assert_eq!(catalogue.nearest_accelerators("a100"), ["nvidia-a100-40gb", "nvidia-a100-80gb"]);
    assert_eq!(catalogue.nearest_accelerators("NVIDIA-H200").first(), Some(&"nvidia-h200"));
    assert!(catalogue.nearest_models("entirely-something-else").is_empty());
}
