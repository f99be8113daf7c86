//! The AdmissionReview around an object. The object stays raw until its kind is known, so that a bad object never costs the uid.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::Operation;
use crate::review::User;

const API_VERSION: &str = "admission.k8s.io/v1";

/// A request taken out of its envelope.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// The review's uid, which the answer must carry.
    pub uid: Cow<'a, str>,
    /// API group of the object.
    pub group: Cow<'a, str>,
    /// Version of the object.
    pub version: Cow<'a, str>,
    /// Kind of the object.
    pub kind: Cow<'a, str>,
    /// Subresource, empty for the object itself.
    pub subresource: Cow<'a, str>,
    /// Name, empty while `generateName` is unresolved.
    pub name: Cow<'a, str>,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: Cow<'a, str>,
    /// What is being done; `None` for operations that are not judged (CONNECT).
    pub operation: Option<Operation>,
    /// Who does it.
    pub user: User,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// The object as it would be.
    pub object: Option<&'a RawValue>,
    /// The object as it was.
    pub old_object: Option<&'a RawValue>,
}

/// Why a body is not a review that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EnvelopeError {
    /// The uid, if it could be read in spite of that: then a review is answered.
    pub uid: Option<String>,
    /// What is wrong and what was expected.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    kind: Kind<'a>,
    #[serde(borrow, default)]
    sub_resource: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    user_info: UserInfo<'a>,
    #[serde(default)]
    dry_run: Option<bool>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
struct UserInfo<'a> {
    #[serde(borrow, default)]
    username: Cow<'a, str>,
    #[serde(borrow, default)]
    groups: Option<Vec<Cow<'a, str>>>,
}

/// Opens the envelope.
pub fn open(body: &[u8]) -> Result<Incoming<'_>, EnvelopeError> {
    let refuse = |message: String| EnvelopeError { uid: salvage_uid(body), message };
    let text = std::str::from_utf8(body).map_err(|e| {
        refuse(format!("the body is not UTF-8 (byte {}); expected an AdmissionReview in JSON", e.valid_up_to()))
    })?;
    let review: Review<'_> = serde_json::from_str(text)
        .map_err(|e| refuse(format!("the body is not an AdmissionReview of {API_VERSION}: {e}")))?;
    if review.api_version != API_VERSION || review.kind != "AdmissionReview" {
        return Err(refuse(format!(
            "expected kind AdmissionReview of {API_VERSION}, got kind `{}` of `{}`; set admissionReviewVersions: [v1] in the webhook configuration",
            review.kind, review.api_version
        )));
    }
    let request = review.request.ok_or_else(|| refuse("the AdmissionReview has no request".to_owned()))?;
    if request.uid.is_empty() {
        return Err(refuse(
            "request.uid is missing; every AdmissionReview has one and the answer must repeat it".to_owned(),
        ));
    }
    let operation = match &*request.operation {
        "CREATE" => Some(Operation::Create),
        "UPDATE" => Some(Operation::Update),
        "DELETE" => Some(Operation::Delete),
        "CONNECT" => None,
        other => return Err(refuse(format!("request.operation is `{other}`; expected CREATE, UPDATE or DELETE"))),
    };
    Ok(Incoming {
        uid: request.uid,
        group: request.kind.group,
        version: request.kind.version,
        kind: request.kind.kind,
        subresource: request.sub_resource,
        name: request.name,
        namespace: request.namespace,
        operation,
        user: User {
            name: request.user_info.username.as_ref().into(),
            groups: request.user_info.groups.unwrap_or_default().iter().map(|g| g.as_ref().into()).collect(),
        },
        dry_run: request.dry_run.unwrap_or(false),
        object: present(request.object),
        old_object: present(request.old_object),
    })
}

/// A raw `null` is no object.
fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

/// Reads `request.uid` out of a body that is otherwise broken, as far as it is readable before the damage.
fn salvage_uid(body: &[u8]) -> Option<String> {
    let mut uid = None;
    let mut json = serde_json::Deserializer::from_slice(body);
    // The error is known already; only what was seen on the way to it counts.
    let _ = Field { path: &["request", "uid"], found: &mut uid }.deserialize(&mut json);
    uid.filter(|uid| !uid.is_empty() && uid.len() <= 128)
}

struct Field<'a> {
    path: &'a [&'a str],
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            *self.found = Some(String::deserialize(deserializer)?);
            return Ok(());
        }
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else { return Ok(()) };
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == *first {
                map.next_value_seed(Field { path: rest, found: &mut *self.found })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","kind":{"group":"apps","version":"v1","kind":"Deployment"},"namespace":"n","operation":"CREATE","userInfo":{"username":"ann","groups":["dev"]},"object":{"a":1},"oldObject":null,"dryRun":true}}"#;

    #[test]
    fn opens_a_review() {
        let review = open(GOOD.as_bytes()).unwrap();
        assert_eq!((&*review.uid, &*review.kind, &*review.user.name), ("u-1", "Deployment", "ann"));
        assert_eq!(review.object.unwrap().get(), r#"{"a":1}"#);
        assert!(review.old_object.is_none() && review.dry_run);
    }

    #[test]
    fn what_is_wrong_is_said_and_the_uid_is_kept_where_it_can_be() {
        let cut = &GOOD[..GOOD.len() - 40];
        let cases: [(Vec<u8>, Option<&str>, &str); 9] = [
            (cut.into(), Some("u-1"), "EOF"),
            (b"not json".to_vec(), None, "expected"),
            (b"".to_vec(), None, "EOF"),
            (b"\xff\xfe".to_vec(), None, "not UTF-8"),
            (GOOD.replace("/v1\"", "/v1beta1\"").into(), Some("u-1"), "v1beta1"),
            (GOOD.replace("\"uid\":\"u-1\",", "").into(), None, "request.uid is missing"),
            (GOOD.replace("CREATE", "EXPLODE").into(), Some("u-1"), "EXPLODE"),
            (
                GOOD.replace("\"uid\":\"u-1\",", "\"uid\":\"u-1\",\"uid\":\"u-2\",").into(),
                Some("u-2"),
                "duplicate field",
            ),
            (br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#.to_vec(), None, "no request"),
        ];
        for (body, uid, says) in cases {
            let error = open(&body).unwrap_err();
            assert_eq!(error.uid.as_deref(), uid, "{error}");
            assert!(error.message.contains(says), "{error} should say {says}");
        }
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let body = GOOD.replace(r#"{"a":1}"#, &deep);
        assert_eq!(open(body.as_bytes()).unwrap().object.unwrap().get().len(), 200_000);
    }
}
