//! Reviews the tokens of callers of the observer's own HTTP pages: the API server names the owner
//! of a token and decides whether the owner may get a path.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use std::time::Duration;

/// Timeout of one review.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The result of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewOutcome {
    /// The owner of the token may get the path.
    Allowed,
    /// The token has an owner without the right to get the path.
    Forbidden,
    /// The token has no owner.
    Unknown,
}

/// Errors of a review. They never contain the token.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The API server refuses the review.
    #[error(
        "the API server refuses a {kind} ({code}): grant create on {right} to the service account, as the component `auth` \
         does"
    )]
    Forbidden {
        /// Kind of the review.
        kind: &'static str,
        /// HTTP status.
        code: u16,
        /// The missing right.
        right: &'static str,
    },
    /// The review fails for another reason.
    #[error("the API server fails at a {kind}: {problem}")]
    Failed {
        /// Kind of the review.
        kind: &'static str,
        /// Description of the problem, without the request.
        problem: String,
    },
}

/// The kind of a review, and the right that the observer needs for it.
#[derive(Clone, Copy)]
struct ReviewKind {
    kind: &'static str,
    right: &'static str,
}

const TOKEN: ReviewKind = ReviewKind {
    kind: "TokenReview",
    right: "tokenreviews.authentication.k8s.io",
};
const ACCESS: ReviewKind = ReviewKind {
    kind: "SubjectAccessReview",
    right: "subjectaccessreviews.authorization.k8s.io",
};

/// Asks whether the owner of a token may `get` a path. The token must be issued for one of
/// `audiences`; if there are none, for the API server.
///
/// # Errors
///
/// There is no response, or the observer has no right to ask.
pub async fn review(
    client: &Client,
    audiences: &[String],
    token: &str,
    path: &str,
) -> Result<ReviewOutcome, ReviewError> {
    let Some(owner) = owner(client, audiences, token).await? else {
        return Ok(ReviewOutcome::Unknown);
    };
    Ok(if may_get(client, owner, path).await? {
        ReviewOutcome::Allowed
    } else {
        ReviewOutcome::Forbidden
    })
}

async fn owner(
    client: &Client,
    audiences: &[String],
    token: &str,
) -> Result<Option<UserInfo>, ReviewError> {
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: token.to_owned(),
            audiences: (!audiences.is_empty()).then(|| audiences.to_vec()),
        },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let response = send(TOKEN, reviews.create(&PostParams::default(), &review)).await?;
    let status = response.status.unwrap_or_default();
    // A server that does not support audiences returns none. The token is then valid for the API
    // server itself, not for the requested audiences, and is not accepted.
    let named = status.audiences.unwrap_or_default();
    let is_for_us = audiences.is_empty() || named.iter().any(|one| audiences.contains(one));
    let is_known = status.authenticated == Some(true) && is_for_us;
    Ok(status.user.filter(|_| is_known))
}

async fn may_get(client: &Client, owner: UserInfo, path: &str) -> Result<bool, ReviewError> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: owner.username,
            groups: owner.groups,
            uid: owner.uid,
            extra: owner.extra,
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some(path.to_owned()),
                verb: Some("get".to_owned()),
            }),
            resource_attributes: None,
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let response = send(ACCESS, reviews.create(&PostParams::default(), &review)).await?;
    Ok(response.status.is_some_and(|status| status.allowed))
}

async fn send<K>(
    review_kind: ReviewKind,
    request: impl Future<Output = Result<K, kube::Error>>,
) -> Result<K, ReviewError> {
    let ReviewKind { kind, right } = review_kind;
    let failed = |problem: &str| {
        let problem = problem.to_owned();
        ReviewError::Failed { kind, problem }
    };
    let response = tokio::time::timeout(TIMEOUT, request).await;
    match response.map_err(|_| failed("it takes too long"))? {
        Ok(response) => Ok(response),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
            let code = status.code;
            Err(ReviewError::Forbidden { kind, code, right })
        }
        // The message may repeat the request.
        Err(kube::Error::Api(status)) => Err(failed(&format!("it answers {}", status.code))),
        Err(kube::Error::SerdeError(_)) => Err(failed("its response cannot be read")),
        Err(error) => Err(failed(&error.to_string())),
    }
}
