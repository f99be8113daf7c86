//! The AdmissionReview around an object. An object that is not as its kind defines it stays raw, so that it never costs
//! the uid.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use super::lean::lean;
use super::wire::{Given, Review};
use crate::model::Operation;
use crate::report::printable::cut;
use crate::review::User;
use crate::translate::Text;

/// Bytes of a uid, which is sent back with the answer.
const MOST_OF_A_UID: usize = 128;

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
    pub object: Given<'a>,
    /// The object as it was.
    pub old_object: Given<'a>,
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

/// Opens the envelope. `space` is for what is read of the body where that is not all of it.
pub fn open<'a>(body: &'a [u8], space: &'a mut String) -> Result<Incoming<'a>, EnvelopeError> {
    let refuse = |message: String| EnvelopeError { uid: salvage_uid(body), message };
    let text = std::str::from_utf8(body).map_err(|e| {
        refuse(format!("the body is not UTF-8 (byte {}); expected an AdmissionReview in JSON", e.valid_up_to()))
    })?;
    match serde_json::from_str::<Review<'_, true>>(lean(text, space)) {
        Ok(review) => opened(review, refuse),
        // Whatever it was, the object is not the reason any more, and neither is what was left out.
        Err(_) => match serde_json::from_str::<Review<'_, false>>(text) {
            Ok(review) => opened(review, refuse),
            Err(e) => Err(refuse(format!("the body is not an AdmissionReview of {API_VERSION}: {e}"))),
        },
    }
}

/// The object in an envelope that has been opened before, as a value.
pub(super) fn object(body: &[u8]) -> Option<serde_json::Value> {
    let review: Review<'_, false> = serde_json::from_slice(body).ok()?;
    match review.request?.object? {
        Given::Raw(raw) => serde_json::from_str(raw.get()).ok(),
        Given::Absent | Given::Read(_) => None,
    }
}

fn opened<const EAGER: bool>(
    review: Review<'_, EAGER>,
    refuse: impl Fn(String) -> EnvelopeError,
) -> Result<Incoming<'_>, EnvelopeError> {
    if *review.api_version != *API_VERSION || *review.kind != *"AdmissionReview" {
        return Err(refuse(format!(
            "expected kind AdmissionReview of {API_VERSION}, got kind `{}` of `{}`; set admissionReviewVersions: [v1] in the webhook configuration",
            cut(&review.kind, 64),
            cut(&review.api_version, 64)
        )));
    }
    let request = *review.request.ok_or_else(|| refuse("the AdmissionReview has no request".to_owned()))?;
    let uid = text(request.uid);
    if uid.is_empty() {
        return Err(refuse(
            "request.uid is missing; every AdmissionReview has one and the answer must repeat it".to_owned(),
        ));
    }
    if uid.len() > MOST_OF_A_UID {
        return Err(refuse(format!("request.uid has {} bytes; API servers send 36", uid.len())));
    }
    let operation = match &*text(request.operation) {
        "CREATE" => Some(Operation::Create),
        "UPDATE" => Some(Operation::Update),
        "DELETE" => Some(Operation::Delete),
        "CONNECT" => None,
        other => {
            let other = cut(other, 64);
            return Err(refuse(format!("request.operation is `{other}`; expected CREATE, UPDATE or DELETE")));
        }
    };
    let (group, version, kind) =
        request.kind.map(|kind| (kind.group.0, kind.version.0, kind.kind.0)).unwrap_or_default();
    let user = request.user.unwrap_or_default();
    Ok(Incoming {
        uid,
        group,
        version,
        kind,
        subresource: text(request.subresource),
        name: text(request.name),
        namespace: text(request.namespace),
        operation,
        user: User {
            name: (*user.username).into(),
            groups: user.groups.unwrap_or_default().iter().map(|group| group.0.as_ref().into()).collect(),
            uid: user.uid.filter(|uid| !uid.0.is_empty()).map(|uid| uid.0.as_ref().into()),
            extra: user.extra.map(|extra| extra.get().into()),
        },
        dry_run: request.dry_run.unwrap_or(false),
        object: request.object.unwrap_or_default(),
        old_object: request.old_object.unwrap_or_default(),
    })
}

fn text(text: Option<Text<'_>>) -> Cow<'_, str> {
    text.map(|text| text.0).unwrap_or_default()
}

/// Reads `request.uid` out of a body that is otherwise broken, as far as it is readable before the damage.
fn salvage_uid(body: &[u8]) -> Option<String> {
    let mut uid = None;
    let mut json = serde_json::Deserializer::from_slice(body);
    // The error is known already; only what was seen on the way to it counts.
    let _ = Field { path: &["request", "uid"], found: &mut uid }.deserialize(&mut json);
    uid.filter(|uid| !uid.is_empty() && uid.len() <= MOST_OF_A_UID)
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
    use crate::admission::change::{Asked, asked};
    use crate::model::Change;

    const GOOD: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","kind":{"group":"apps","version":"v1","kind":"Deployment"},"namespace":"n","operation":"CREATE","userInfo":{"username":"ann","uid":"7","groups":["dev"],"extra":{"k":["v"]}},"object":{"a":1},"oldObject":null,"dryRun":true}}"#;

    #[test]
    fn opens_a_review() {
        let mut space = String::new();
        let review = open(GOOD.as_bytes(), &mut space).unwrap();
        assert_eq!((&*review.uid, &*review.kind, &*review.user.name), ("u-1", "Deployment", "ann"));
        assert_eq!((review.user.uid.as_deref(), review.user.extra.as_deref()), (Some("7"), Some(r#"{"k":["v"]}"#)));
        assert!(matches!(review.object, Given::Read(_)), "{review:?}");
        assert!(review.old_object.is_absent() && review.dry_run);
    }

    #[test]
    fn in_whatever_order_the_same_is_read() {
        let read = |body: &str| {
            let mut space = String::new();
            let mut review = open(body.as_bytes(), &mut space).unwrap();
            match asked(&mut review, body.as_bytes()) {
                Asked::Judge(change) => Change::clone(&change),
                other => panic!("{other:?}"),
            }
        };
        let (object, name) = (r#","object":{"a":1}"#, r#","namespace":"n""#);
        let first = GOOD.replace(object, "").replace(r#""uid":"u-1""#, &format!(r#""uid":"u-1"{object}"#));
        let between = GOOD.replace(object, "").replace(name, &format!("{object}{name}"));
        assert!(matches!(open(first.as_bytes(), &mut String::new()).unwrap().object, Given::Raw(_)));
        assert!(matches!(open(between.as_bytes(), &mut String::new()).unwrap().object, Given::Raw(_)));
        let expected = read(GOOD);
        assert_eq!((&*expected.id.kind, expected.id.namespace()), ("Deployment", "n"));
        assert_eq!((read(&first), read(&between)), (expected.clone(), expected));
    }

    #[test]
    fn an_object_that_is_not_as_its_kind_defines_it_stays_raw() {
        for object in [r#"{"spec":7}"#, r#"{"metadata":{"labels":{"a":{"b":1}}}}"#, "7", "[]"] {
            let body = GOOD.replace(r#"{"a":1}"#, object);
            let mut space = String::new();
            let mut review = open(body.as_bytes(), &mut space).unwrap();
            assert!(matches!(review.object, Given::Raw(raw) if raw.get() == object), "{object}");
            assert!(matches!(asked(&mut review, body.as_bytes()), Asked::Judge(_)), "{object}");
        }
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
            let error = open(&body, &mut String::new()).unwrap_err();
            assert_eq!(error.uid.as_deref(), uid, "{error}");
            assert!(error.message.contains(says), "{error} should say {says}");
        }
    }

    #[test]
    fn managed_fields_are_left_out_and_change_nothing() {
        let kept = r#"{"metadata":{"name":"a","managedFields":[],"labels":{"b":"c"}},"spec":{"template":{}}}"#;
        let body = |object: &str| GOOD.replace(r#"{"a":1}"#, object);
        let full = body(&kept.replace("[]", r#"[{"manager":"kubectl","fieldsV1":{"f:spec":{"k:{\"a\":1}":{}}}}]"#));
        let read = |body: &str| match open(body.as_bytes(), &mut String::new()).unwrap().object {
            Given::Read(object) => object,
            other => panic!("{other:?}"),
        };
        assert_eq!(read(&full), read(&body(kept)));
        // What stays raw is of the whole text.
        let wrong = full.replace(r#""labels":{"b":"c"}"#, r#""labels":7"#);
        let mut space = String::new();
        let review = open(wrong.as_bytes(), &mut space).unwrap();
        assert!(matches!(review.object, Given::Raw(raw) if raw.get().contains("kubectl")), "{review:?}");
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let body = GOOD.replace(r#"{"a":1}"#, &deep);
        let mut space = String::new();
        let review = open(body.as_bytes(), &mut space).unwrap();
        assert!(matches!(review.object, Given::Raw(raw) if raw.get().len() == 200_000));
    }
}
