//! AdmissionReviews as an API server of Kubernetes 1.36 sent them, byte by byte: with defaults, uids and `managedFields`,
//! which are a third of the bytes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cluster::HOME;

/// One review.
pub struct Review {
    /// What it is about.
    pub name: &'static str,
    /// The object alone.
    pub object: String,
    /// The bytes that are sent.
    pub body: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

const DEPLOYMENT: &str = include_str!("../data/deployment.json");

/// A NetworkPolicy, a Deployment and a Pod; all of them pass.
pub fn all() -> [Review; 3] {
    [
        review("NetworkPolicy", include_str!("../data/networkpolicy.json").to_owned()),
        review("Deployment", DEPLOYMENT.to_owned()),
        review("Pod", include_str!("../data/pod.json").to_owned()),
    ]
}

/// The NetworkPolicy with a peer that matches no namespace: admitted with a warning that names what is near.
pub fn warned() -> Review {
    let there = r#""namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"edge"}}"#;
    let slip = r#""namespaceSelector":{"matchLabels":{"team":"unit-5"}}"#;
    let review = review("NP, warned", include_str!("../data/networkpolicy.json").replace(there, slip));
    assert!(review.body.contains(slip), "the recorded review names another peer");
    review
}

/// The Deployment in a namespace without any policy: denied, with a cure that has been tried.
pub fn denied() -> Review {
    let namespace = |name: &str| format!(r#""namespace":"{name}""#);
    review("Dep., refused", DEPLOYMENT.replace(&namespace(HOME), &namespace("bare")))
}

fn review(name: &'static str, body: String) -> Review {
    let object = serde_json::from_str::<Envelope<'_>>(&body).map(|review| review.request.object.get().to_owned());
    Review { name, object: object.unwrap_or_default(), body }
}
