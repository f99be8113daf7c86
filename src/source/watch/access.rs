//! Asks the API server what a user may do, so that nobody lowers by a label what they may not change as an object.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use kube::{Client, Error};

use crate::api::GROUP;
use crate::review::User;

/// The API server asks its authorizers, which may be webhooks themselves.
const WITHIN: Duration = Duration::from_secs(5);

/// Why it is not known what a user may do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The API server refuses the question.
    #[error(
        "cannot ask what {user} may do: {message}; grant create on subjectaccessreviews.authorization.k8s.io, see the ClusterRole of Portcullis"
    )]
    Forbidden {
        /// The user.
        user: String,
        /// What the API server said.
        message: String,
    },
    /// It did not answer.
    #[error("cannot ask what {user} may do: {message}")]
    Failed {
        /// The user.
        user: String,
        /// What went wrong.
        message: String,
    },
}

/// What the authenticator said beside names: an authorizer may go by it, so that a question without it could have another
/// answer than the request itself.
fn extra_of(user: &User) -> Result<Option<BTreeMap<String, Vec<String>>>, AccessError> {
    let Some(extra) = &user.extra else { return Ok(None) };
    serde_json::from_str(extra).map_err(|error| AccessError::Failed {
        user: user.name.to_string(),
        message: format!("request.userInfo.extra is not a map of lists: {error}"),
    })
}

/// Whether the user may update HouseRules.
pub(super) async fn may_edit_house_rules(client: &Client, user: &User) -> Result<bool, AccessError> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.name.to_string()),
            groups: Some(user.groups.iter().map(ToString::to_string).collect()),
            uid: user.uid.as_ref().map(ToString::to_string),
            extra: extra_of(user)?,
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                resource: Some("houserules".to_owned()),
                verb: Some("update".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let name = user.name.to_string();
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    match tokio::time::timeout(WITHIN, api.create(&PostParams::default(), &review)).await {
        Err(_) => Err(AccessError::Failed { user: name, message: format!("no answer within {} s", WITHIN.as_secs()) }),
        Ok(Err(Error::Api(status))) if status.is_forbidden() => {
            Err(AccessError::Forbidden { user: name, message: status.message.clone() })
        }
        Ok(Err(error)) => Err(AccessError::Failed { user: name, message: error.to_string() }),
        Ok(Ok(answer)) => Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_authenticator_said_goes_along_as_it_came() {
        let user = |extra: &str| User { name: "ann".into(), extra: Some(extra.into()), ..User::default() };
        let extra = extra_of(&user(r#"{"authentication.kubernetes.io/node-name":["n1"]}"#)).unwrap().unwrap();
        assert_eq!(extra["authentication.kubernetes.io/node-name"], ["n1"]);
        assert_eq!(extra_of(&user("null")).unwrap(), None);
        assert_eq!(extra_of(&User::default()).unwrap(), None);
        let error = extra_of(&user("5")).unwrap_err().to_string();
        assert!(error.contains("ann") && error.contains("request.userInfo.extra"), "{error}");
    }
}
