//! The objects that configure Portcullis, as Kubernetes knows them: types, schemas and definitions.
//!
//! The types write objects and describe them. They are not how objects are *read*: one wrong field would then cost the
//! whole object, so reading is lenient and lives in [`crate::translate::houserules`].

mod common;
mod connectivity_assertion;
mod house_rules;
mod rule_exception;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

pub use common::{
    Condition, ConditionStatus, Dialect, Direction, DnsProtocol, LabelSelector, LabelSelectorOperator,
    LabelSelectorRequirement, Level,
};
pub use connectivity_assertion::{
    AssertedWorkload, AssertionEnd, AssertionPort, AssertionStatus, ClusterConnectivityAssertion,
    ClusterConnectivityAssertionSpec, ConnectivityAssertion, ConnectivityAssertionSpec, Expect, Pairs, Phase, Protocol,
};
pub use house_rules::{
    AlsoPrivate, BlockedDnsRule, BrokenAssertionRule, DefaultDenyRule, Dns, Exempt, HouseRules, HouseRulesSpec,
    HouseRulesStatus, OnCreate, OpenCidrRule, PlainRule, PrefixLengths, Rules,
};
pub use rule_exception::{ExceptionTargets, RuleException, RuleExceptionSpec, RuleExceptionStatus};

/// API group of all our objects.
pub const GROUP: &str = "portcullis.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";

/// The definitions to install, sorted by name.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut all = vec![
        ClusterConnectivityAssertion::crd(),
        ConnectivityAssertion::crd(),
        HouseRules::crd(),
        RuleException::crd(),
    ];
    for version in all.iter_mut().flat_map(|crd| &mut crd.spec.versions) {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            without_null(schema);
        }
    }
    all
}

/// The definitions as one YAML stream for `kubectl apply` and the chart; the same text on every call.
pub fn crds_yaml() -> Result<String, serde_saphyr::ser_error::Error> {
    let mut text = String::new();
    for crd in crds() {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&crd)?);
    }
    Ok(text)
}

/// Takes null out of the schema. The API server then treats a null as left out before anything is validated, and
/// neither the validations nor the reader have to ask what it means.
fn without_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.enum_.iter_mut().for_each(|values| values.retain(|value| !value.0.is_null()));
    schema.properties.iter_mut().flat_map(|all| all.values_mut()).for_each(without_null);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => without_null(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(without_null),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        without_null(values);
    }
}
