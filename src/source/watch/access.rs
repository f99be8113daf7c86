//! Asks the API server what a user may do, so that nobody lowers by a label what they may not change as an object.

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

/// Whether the user may update HouseRules.
pub(super) async fn may_edit_house_rules(client: &Client, user: &User) -> Result<bool, AccessError> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.name.to_string()),
            groups: Some(user.groups.iter().map(ToString::to_string).collect()),
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
