//! Reviews with one thing wrong in the envelope: fields that are missing, doubled, null, of another type or not ours.

use serde_json::{Value, json};

use super::{Expected, check_all, deployment, review, text};

/// A good review of a Deployment in `namespace`, changed.
fn changed(namespace: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut review = review("CREATE", &deployment(namespace));
    change(&mut review);
    text(&review)
}

#[tokio::test]
async fn a_review_that_is_not_quite_one() {
    let request = |change: fn(&mut Value)| changed("open", |review| change(&mut review["request"]));
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let open = text(&review("CREATE", &deployment("open")));
    let closed = text(&review("CREATE", &deployment("closed")));
    let denied = Expected::Refused(403, "no default deny for Ingress in namespace open");
    let cases: Vec<(&str, String, Expected)> = vec![
        (
            "v1beta1",
            open.replace("admission.k8s.io/v1\"", "admission.k8s.io/v1beta1\""),
            Expected::Refused(400, "v1beta1"),
        ),
        (
            "another kind",
            open.replace("\"AdmissionReview\"", "\"ConversionReview\""),
            Expected::Refused(400, "ConversionReview"),
        ),
        (
            "no request",
            changed("open", |r| drop(r.as_object_mut().unwrap().remove("request"))),
            Expected::Http(400, "no request"),
        ),
        ("request is null", changed("open", |r| r["request"] = Value::Null), Expected::Http(400, "no request")),
        ("request is a list", changed("open", |r| r["request"] = json!([])), Expected::Http(400, "")),
        (
            "no uid",
            request(|r| drop(r.as_object_mut().unwrap().remove("uid"))),
            Expected::Http(400, "request.uid is missing"),
        ),
        ("an empty uid", request(|r| r["uid"] = "".into()), Expected::Http(400, "request.uid is missing")),
        ("the uid is a number", request(|r| r["uid"] = 1.into()), Expected::Http(400, "invalid type")),
        (
            "no kind",
            request(|r| drop(r.as_object_mut().unwrap().remove("kind"))),
            Expected::Refused(400, "missing field `kind`"),
        ),
        (
            "no operation",
            request(|r| drop(r.as_object_mut().unwrap().remove("operation"))),
            Expected::Refused(400, "missing field `operation`"),
        ),
        ("an unknown operation", request(|r| r["operation"] = "PATCH".into()), Expected::Refused(400, "PATCH")),
        ("a lower-case operation", request(|r| r["operation"] = "create".into()), Expected::Refused(400, "create")),
        (
            "the object is null",
            request(|r| r["object"] = Value::Null),
            Expected::Refused(400, "request.object is null in a CREATE request"),
        ),
        (
            "no object",
            request(|r| drop(r.as_object_mut().unwrap().remove("object"))),
            Expected::Refused(400, "request.object is null"),
        ),
        (
            "an update without the old object",
            request(|r| r["operation"] = "UPDATE".into()),
            Expected::Refused(400, "request.oldObject is null in an UPDATE request"),
        ),
        (
            "a delete without the old object",
            request(|r| r["operation"] = "DELETE".into()),
            Expected::Refused(400, "request.oldObject is null in a DELETE request"),
        ),
        ("userInfo is missing", request(|r| drop(r.as_object_mut().unwrap().remove("userInfo"))), denied),
        ("groups are null", request(|r| r["userInfo"]["groups"] = Value::Null), denied),
        ("unknown fields around it", request(|r| r["fancy"] = json!({"new": [1]})), denied),
        (
            "the uid twice",
            open.replace("\"uid\":\"u-1\"", "\"uid\":\"u-0\",\"uid\":\"u-1\""),
            Expected::Refused(400, "duplicate field"),
        ),
        (
            "the object twice",
            closed.replace("\"object\":{", "\"object\":{},\"object\":{"),
            Expected::Refused(400, "duplicate field"),
        ),
        (
            "the namespace twice",
            closed.replace(
                "\"namespace\":\"closed\",\"object\"",
                "\"namespace\":\"open\",\"namespace\":\"closed\",\"object\"",
            ),
            Expected::Refused(400, "duplicate field"),
        ),
        (
            "a kind it is not registered for",
            request(|r| r["kind"] = json!({"group": "", "version": "v1", "kind": "ConfigMap"})),
            Expected::Warned("narrow the rules of its webhook configuration"),
        ),
        (
            "a subresource with the whole object",
            request(|r| r["subResource"] = "status".into()),
            Expected::Refused(403, "missing-default-deny"),
        ),
        (
            "a subresource of a kind of its own",
            request(|r| {
                r["subResource"] = "scale".into();
                r["kind"] = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
            }),
            Expected::Allowed,
        ),
        ("CONNECT", request(|r| r["operation"] = "CONNECT".into()), Expected::Allowed),
        ("the object is a list", request(|r| r["object"] = json!([])), Expected::Refused(403, "not-understood")),
        ("the object is text", request(|r| r["object"] = "x".into()), Expected::Refused(403, "not-understood")),
        (
            "junk 100,000 deep",
            closed.replacen("\"spec\":{", &format!("\"deep\":{deep},\"spec\":{{"), 1),
            Expected::Allowed,
        ),
        (
            "the same where it is denied",
            open.replacen("\"spec\":{", &format!("\"deep\":{deep},\"spec\":{{"), 1),
            denied,
        ),
    ];
    check_all(cases).await;
}
