//! What is planned for each state of the configuration, and when the keeper acts.

use std::sync::Mutex;

use kube::client::Body;

use super::*;

fn configuration(wish: Option<&str>, policies: [&str; 2], managers: &[(&str, &str)]) -> ValidatingWebhookConfiguration {
    let webhook = |(name, policy): (&str, &str)| {
        json!({
            "name": name, "failurePolicy": policy, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": { "service": { "name": "portcullis", "namespace": "gate" } },
        })
    };
    let entries: Vec<_> =
        managers.iter().map(|(manager, operation)| json!({ "manager": manager, "operation": operation })).collect();
    serde_json::from_value(json!({
        "metadata": {
            "name": "portcullis", "resourceVersion": "7", "managedFields": entries,
            "annotations": wish.map(|wish| json!({ WISH: wish })),
        },
        "webhooks": [webhook(("house", policies[0])), webhook(("namespaces", policies[1]))],
    }))
    .unwrap()
}

fn able(_: &ValidatingWebhook) -> Option<String> {
    None
}

fn close(webhooks: &[&str]) -> Step {
    set("Fail", webhooks)
}

fn set(policy: &'static str, webhooks: &[&str]) -> Step {
    let webhooks = webhooks.iter().map(|name| (*name).to_owned()).collect();
    Step::Set { policy, version: "7".to_owned(), webhooks }
}

#[test]
fn what_is_open_is_closed_and_what_is_closed_is_opened_only_when_that_is_the_wish() {
    let cases = [
        (Some("Fail"), ["Ignore", "Ignore"], close(&["house", "namespaces"])),
        (Some("Fail"), ["Fail", "Ignore"], close(&["namespaces"])),
        (Some("Fail"), ["Fail", "Fail"], Step::Rest),
        (Some("Ignore"), ["Ignore", "Ignore"], Step::Rest),
        // Whoever changes the wish alone, because their tool leaves the field be, is heard as well.
        (Some("Ignore"), ["Fail", "Fail"], set("Ignore", &["house", "namespaces"])),
        (Some("Ignore"), ["Ignore", "Fail"], set("Ignore", &["namespaces"])),
        (Some("fail"), ["Ignore", "Ignore"], Step::Rest),
        (None, ["Ignore", "Ignore"], Step::Rest),
        (None, ["Fail", "Fail"], Step::Rest),
    ];
    for (wish, policies, expected) in cases {
        assert_eq!(
            plan(&configuration(wish, policies, &[("helm", "Update")]), able),
            expected,
            "{wish:?} {policies:?}"
        );
    }
}

#[test]
fn a_webhook_that_would_not_trust_this_replica_stays_open() {
    let untrusted = |webhook: &ValidatingWebhook| (webhook.name == "house").then(|| "no caBundle".to_owned());
    let open = configuration(Some("Fail"), ["Ignore", "Ignore"], &[]);
    assert_eq!(plan(&open, untrusted), close(&["namespaces"]));
    let rest = configuration(Some("Fail"), ["Ignore", "Fail"], &[]);
    assert_eq!(plan(&rest, untrusted), Step::Hold { why: "webhook house: no caBundle".to_owned() });
    let closed = configuration(Some("Fail"), ["Fail", "Fail"], &[]);
    assert_eq!(plan(&closed, untrusted), Step::Rest);
}

#[test]
fn ownership_is_given_up_after_closing_and_whenever_it_is_there() {
    let kept = |step: Step| match step {
        Step::Disown { version, kept } => {
            assert_eq!(version, "7");
            kept.into_iter().map(|entry| entry.manager).collect::<Vec<_>>()
        }
        other => panic!("expected to give up ownership, not {other:?}"),
    };
    let both = [("helm", "Apply"), (MANAGER, "Update"), ("kubectl-edit", "Update")];
    for (wish, policy) in [(Some("Fail"), "Fail"), (Some("Ignore"), "Ignore"), (None, "Fail")] {
        let found = configuration(wish, [policy; 2], &both);
        let managers = [Some("helm".to_owned()), Some("kubectl-edit".to_owned())];
        assert_eq!(kept(plan(&found, able)), managers);
    }
    // The entry of a last owner is replaced by an empty one.
    assert_eq!(kept(plan(&configuration(None, ["Ignore", "Ignore"], &[(MANAGER, "Update")]), able)), [None]);
    // Closing comes first: it would bring the entry back.
    assert_eq!(plan(&configuration(Some("Fail"), ["Ignore", "Fail"], &both), able), close(&["house"]));
    // Somebody who applies under this name meant to own the fields.
    assert_eq!(plan(&configuration(None, ["Ignore", "Ignore"], &[(MANAGER, "Apply")]), able), Step::Rest);
}

#[test]
fn the_name_to_verify_is_the_services_or_the_urls() {
    let mut webhook = configuration(None, ["Fail", "Fail"], &[]).webhooks.unwrap().remove(0);
    assert_eq!(server_name(&webhook).unwrap(), "portcullis.gate.svc");
    webhook.client_config.service = None;
    assert_eq!(server_name(&webhook), None);
    for (url, name) in
        [("https://127.0.0.1:9443/v1/review", "127.0.0.1"), ("https://[::1]:9443/", "::1"), ("https://a.b/", "a.b")]
    {
        webhook.client_config.url = Some(url.to_owned());
        assert_eq!(server_name(&webhook).unwrap(), name);
    }
}

/// An API server with the one object: what it was asked, when, and the object as it is now.
#[derive(Default)]
struct Fake {
    object: serde_json::Value,
    asked: Vec<(u64, String)>,
}

impl Fake {
    fn answer(&mut self, method: &str, content: &str, body: &[u8], at: Duration) -> serde_json::Value {
        let patch: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        self.asked.push((at.as_secs(), format!("{method} {content}").trim().to_owned()));
        if patch.get("metadata").is_none() {
            return self.object.clone();
        }
        assert_eq!(patch["metadata"]["resourceVersion"], self.object["metadata"]["resourceVersion"]);
        let owners = if patch["webhooks"].is_null() {
            patch["metadata"]["managedFields"].clone()
        } else {
            for (webhook, wanted) in
                self.object["webhooks"].as_array_mut().unwrap().iter_mut().zip(patch["webhooks"].as_array().unwrap())
            {
                assert_eq!(webhook["name"], wanted["name"]);
                webhook["failurePolicy"] = wanted["failurePolicy"].clone();
            }
            json!([{ "manager": "helm", "operation": "Apply" }, { "manager": MANAGER, "operation": "Update" }])
        };
        self.object["metadata"]["managedFields"] = owners;
        self.object["metadata"]["resourceVersion"] = json!(self.asked.len().to_string());
        self.object.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_service_and_then_leaves_no_owner() {
    let open = configuration(Some("Fail"), ["Ignore", "Ignore"], &[("helm", "Apply")]);
    let fake = Arc::new(Mutex::new(Fake { object: serde_json::to_value(open).unwrap(), ..Fake::default() }));
    let begun = Instant::now();
    let server = Arc::clone(&fake);
    let client = Client::new(
        tower::service_fn(move |request: axum::http::Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (parts, body) = request.into_parts();
                let content = parts.headers.get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
                let body = body.collect_bytes().await.unwrap();
                let answer = server.lock().unwrap().answer(parts.method.as_str(), &content, &body, begun.elapsed());
                Ok::<_, std::io::Error>(axum::http::Response::new(Body::from(answer.to_string().into_bytes())))
            }
        }),
        "default",
    );
    let closing = Closing::new(client, "portcullis");
    // Ready from the 5th second on, but not in the 10th.
    let not_ready = || [0, 1, 2, 3, 4, 10].contains(&begun.elapsed().as_secs()).then(|| "no lists yet".to_owned());
    let _ = tokio::time::timeout(Duration::from_secs(50), closing.keep(not_ready, able)).await;

    let fake = fake.lock().unwrap();
    assert_eq!(fake.object["webhooks"][0]["failurePolicy"], "Fail");
    assert_eq!(fake.object["webhooks"][1]["failurePolicy"], "Fail");
    assert_eq!(fake.object["metadata"]["managedFields"], json!([{ "manager": "helm", "operation": "Apply" }]));
    let expected = [
        (26, "GET"),
        (26, "PATCH application/strategic-merge-patch+json"),
        (26, "GET"),
        (26, "PATCH application/merge-patch+json"),
        (26, "GET"),
        (36, "GET"),
        (46, "GET"),
    ];
    let asked: Vec<_> = fake.asked.iter().map(|(at, what)| (*at, what.as_str())).collect();
    assert_eq!(asked, expected);
}
