//! The definitions and examples against a real API server, whose word is the only one that counts on CEL.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Request, ValidationDirective};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, Resource};
use portcullis::api;
use serde_json::{Value, json};

use crate::support::{Suite, cases};

#[path = "../../objects/cases.rs"]
mod examples;

cases![the_api_server_takes_and_refuses_as_the_examples_say, status_is_written_apart_from_the_object];

/// Runs an asynchronous case with a client of the cluster's administrator.
fn run<F: Future<Output = ()>>(suite: &Suite, case: impl FnOnce(Client) -> F) {
    let kubectl = suite.kubectl();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kubeconfig = kube::config::Kubeconfig::read_from(kubectl.config()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default())
            .await
            .unwrap();
        case(Client::try_from(config).unwrap()).await;
    });
}

/// The YAML and not the values: what people apply is what must be accepted.
async fn install(client: &Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let documents: Vec<Value> = serde_saphyr::from_multiple(&api::crds_yaml().unwrap()).unwrap();
    let mut params = PatchParams::apply("portcullis-test").force();
    params.field_validation = Some(ValidationDirective::Strict);
    for document in documents {
        let name = document["metadata"]["name"].as_str().unwrap().to_owned();
        crds.patch(&name, &params, &Patch::Apply(&document)).await.unwrap();
        let established = await_condition(crds.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(30), established).await.expect("established in time").unwrap();
    }
}

/// Creates nothing, but asks for everything that a strict `kubectl apply` asks for.
async fn create(client: &Client, object: &Value) -> kube::Result<Value> {
    let path = match object["kind"].as_str().unwrap() {
        "HouseRules" => api::HouseRules::url_path(&(), None),
        "RuleException" => api::RuleException::url_path(&(), Some("portcullis")),
        "ConnectivityAssertion" => api::ConnectivityAssertion::url_path(&(), Some("portcullis")),
        _ => api::ClusterConnectivityAssertion::url_path(&(), None),
    };
    let mut request = Request::new(path).create(&PostParams::default(), serde_json::to_vec(object).unwrap()).unwrap();
    *request.uri_mut() = format!("{}&dryRun=All&fieldValidation=Strict", request.uri()).parse().unwrap();
    client.request(request).await
}

fn the_api_server_takes_and_refuses_as_the_examples_say(suite: &Suite) {
    run(suite, takes_and_refuses);
}

async fn takes_and_refuses(client: Client) {
    install(&client).await;
    for object in examples::accepted() {
        if let Err(error) = create(&client, &object).await {
            panic!("{object} was refused: {error}");
        }
    }
    let mut wrong = Vec::new();
    for case in examples::refused() {
        match create(&client, &case.object).await {
            Ok(_) => wrong.push(format!("taken: {}", case.object)),
            Err(error) if error.to_string().contains(case.says) => {}
            Err(error) => wrong.push(format!("{}: expected {:?}, got {error}", case.object, case.says)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn status_is_written_apart_from_the_object(suite: &Suite) {
    run(suite, writes_status);
}

async fn writes_status(client: Client) {
    let object = &examples::accepted()[0];
    let all: Api<api::HouseRules> = Api::all(client);
    let params = PatchParams::apply("portcullis-test").force();
    let stored = all.patch("full", &params, &Patch::Apply(object)).await.unwrap();
    let judged = portcullis::translate::houserules::Judged {
        generation: stored.metadata.generation,
        now: jiff::Timestamp::now(),
        previous: &[],
    };
    let status = api::HouseRulesStatus {
        observed_generation: stored.metadata.generation,
        namespaces: Some(3),
        network: Some("no plugin is known".into()),
        dialect: Some(api::Dialect::Upstream),
        violations: Some(0),
        conditions: portcullis::translate::houserules::conditions(&[], &[], judged),
    };
    let patched =
        all.patch_status("full", &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.unwrap();
    assert_eq!(patched.status, Some(status));
    assert_eq!(patched.metadata.generation, stored.metadata.generation, "a status is not a change");
    all.delete("full", &DeleteParams::default()).await.unwrap();
}
