//! Requests that come at once: each is right by itself, and together they would leave a pod without a default deny.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;

use crate::support::{Kubectl, Suite, cases, objects};

cases![two_default_denies_are_never_both_deleted, a_pod_and_the_end_of_its_default_deny_never_both_pass];

const ROUNDS: usize = 50;

async fn client(kubectl: &Kubectl) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Kubeconfig::read_from(kubectl.config()).unwrap();
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn of<T: DeserializeOwned>(yaml: &str) -> T {
    serde_saphyr::from_str(yaml.trim_start_matches("---\n")).unwrap()
}

fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(case);
}

/// Whether the request passed; anything but a refusal of ours is a defect of the test.
fn passed<T>(outcome: Result<T, kube::Error>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.message.contains("denied the request") => false,
        Err(error) => panic!("{error}"),
    }
}

async fn until_deletable(policies: &Api<NetworkPolicy>, name: &str) {
    let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
    for _ in 0..500 {
        if passed(policies.delete(name, &dry).await) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{name} can never be deleted");
}

fn two_default_denies_are_never_both_deleted(suite: &Suite) {
    let (kubectl, space) = (suite.kubectl(), "race-deny");
    kubectl.namespace(space, &[]);
    let deny = |name: &str| {
        of::<NetworkPolicy>(&objects::policy(space, name, "podSelector: {}, policyTypes: [Ingress, Egress]"))
    };
    kubectl.apply(&(objects::baseline(space) + &objects::pod(space, "p", &[("app", "p")]))).passes();
    run(async {
        let policies: Api<NetworkPolicy> = Api::namespaced(client(&kubectl).await, space);
        let all = PostParams::default();
        let (mut wins, mut both_refused) = (0, 0);
        // From here on the two are all there is.
        policies.create(&all, &deny("one")).await.unwrap();
        policies.create(&all, &deny("two")).await.unwrap();
        until_deletable(&policies, "default-deny").await;
        policies.delete("default-deny", &DeleteParams::default()).await.unwrap();
        for _ in 0..ROUNDS {
            until_deletable(&policies, "one").await;
            until_deletable(&policies, "two").await;
            let params = DeleteParams::default();
            let (one, two) = tokio::join!(policies.delete("one", &params), policies.delete("two", &params));
            let (one, two) = (passed(one), passed(two));
            wins += usize::from(one && two);
            both_refused += usize::from(!one && !two);
            for (name, gone) in [("one", one), ("two", two)] {
                if gone {
                    policies.create(&all, &deny(name)).await.unwrap();
                }
            }
        }
        assert_eq!((wins, both_refused), (0, 0), "of {ROUNDS} rounds");
    });
}

fn a_pod_and_the_end_of_its_default_deny_never_both_pass(suite: &Suite) {
    let (kubectl, space) = (suite.kubectl(), "race-pod");
    kubectl.namespace(space, &[]);
    kubectl.apply(&objects::baseline(space)).passes();
    let deny: NetworkPolicy = of(&objects::default_deny(space));
    let pod: Pod = of(&objects::pod(space, "p", &[("app", "p")]));
    run(async {
        let client = client(&kubectl).await;
        let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), space);
        let pods: Api<Pod> = Api::namespaced(client, space);
        let (all, params) = (PostParams::default(), DeleteParams::default());
        let (mut wins, mut both_refused, mut created_first) = (0, 0, 0);
        for round in 0..ROUNDS {
            until_deletable(&policies, "default-deny").await;
            // Neither always comes first.
            let (created, deleted) = if round % 2 == 0 {
                tokio::join!(pods.create(&all, &pod), policies.delete("default-deny", &params))
            } else {
                let (deleted, created) =
                    tokio::join!(policies.delete("default-deny", &params), pods.create(&all, &pod));
                (created, deleted)
            };
            let (created, deleted) = (passed(created), passed(deleted));
            wins += usize::from(created && deleted);
            both_refused += usize::from(!created && !deleted);
            created_first += usize::from(created);
            if created {
                pods.delete("p", &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() })
                    .await
                    .unwrap();
            }
            if deleted {
                policies.create(&all, &deny).await.unwrap();
            }
        }
        assert_eq!((wins, both_refused), (0, 0), "of {ROUNDS} rounds");
        println!("race-pod: the pod came first in {created_first} of {ROUNDS} rounds");
    });
}
