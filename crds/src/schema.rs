//! The `CustomResourceDefinition` as it is installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::DeepSeekDeployment;
use crate::condition::{ConditionType, Reason};

/// Every definition that the chart installs.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![deepseekdeployments()]
}

/// The definition of `DeepSeekDeployment`.
pub fn deepseekdeployments() -> CustomResourceDefinition {
    let mut crd = DeepSeekDeployment::crd();
    for root in crd.spec.versions.iter_mut().filter_map(|v| v.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        refuse_null(root);
        if let Some(status) = root.properties.as_mut().and_then(|p| p.get_mut("status")) {
            status.default = Some(waiting_for_controller());
        }
    }
    crd
}

/// A new object must not look healthy before the operator has seen it. The derive cannot express this default, because it
/// belongs to the root object.
fn waiting_for_controller() -> JSON {
    JSON(json!({"conditions": [{
        "type": ConditionType::Ready.as_str(),
        "status": "Unknown",
        "reason": Reason::Pending.as_str(),
        "message": "Waiting for controller",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]}))
}

/// Takes `nullable` away, which the derive adds to every optional field: the API server then drops a null before it applies
/// defaults and rules, so that `image: null` means the same as no image.
fn refuse_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    schema.properties.iter_mut().flat_map(|p| p.values_mut()).for_each(refuse_null);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        refuse_null(items);
    }
}

/// A definition as the YAML text under `crds/yaml/`.
///
/// # Errors
/// When the definition cannot be written as YAML, which would be a defect of this crate.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    Ok(format!("# Generated from crds/src; `make generate` writes it anew.\n{}", serde_saphyr::to_string(crd)?))
}
