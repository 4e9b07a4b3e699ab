//! Asks the API server whose a token is, and what its owner may get: for callers of the observer's own pages.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use std::time::Duration;

/// Longest wait for an answer to one question.
const TIMEOUT: Duration = Duration::from_secs(4);

/// What the cluster says of a token and a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewOutcome {
    /// Its owner may get the path.
    Allowed,
    /// It has an owner, who may not.
    Forbidden,
    /// It is nobody's.
    Unknown,
}

/// Why there is no review. It never holds the token.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It is refused.
    #[error(
        "the API server refuses a {kind} ({code}): grant create on {right} to the service account, as the component `auth` \
         does"
    )]
    Forbidden {
        /// What was asked.
        kind: &'static str,
        /// HTTP status.
        code: u16,
        /// The missing right.
        right: &'static str,
    },
    /// It fails otherwise.
    #[error("the API server fails at a {kind}: {problem}")]
    Failed {
        /// What was asked.
        kind: &'static str,
        /// Why, without what was asked.
        problem: String,
    },
}

/// What is asked: its name, and the right that it needs.
#[derive(Clone, Copy)]
struct Asked {
    kind: &'static str,
    right: &'static str,
}

const TOKEN: Asked = Asked {
    kind: "TokenReview",
    right: "tokenreviews.authentication.k8s.io",
};
const ACCESS: Asked = Asked {
    kind: "SubjectAccessReview",
    right: "subjectaccessreviews.authorization.k8s.io",
};

/// Asks whether the owner of a token, made for one of `audiences` (none: for the API server), may `get` a path.
///
/// # Errors
///
/// There is no answer, or the observer may not ask.
pub async fn review(
    client: &Client,
    audiences: &[String],
    token: &str,
    path: &str,
) -> Result<ReviewOutcome, ReviewError> {
    let Some(owner) = owner(client, audiences, token).await? else {
        return Ok(ReviewOutcome::Unknown);
    };
    Ok(match may_get(client, owner, path).await? {
        true => ReviewOutcome::Allowed,
        false => ReviewOutcome::Forbidden,
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
    let answer = ask(TOKEN, reviews.create(&PostParams::default(), &review)).await?;
    let status = answer.status.unwrap_or_default();
    // A server that knows nothing of audiences names none: the token is then the server's own.
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
    let answer = ask(ACCESS, reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn ask<K>(
    asked: Asked,
    question: impl Future<Output = Result<K, kube::Error>>,
) -> Result<K, ReviewError> {
    let Asked { kind, right } = asked;
    let failed = |problem: &str| {
        let problem = problem.to_owned();
        ReviewError::Failed { kind, problem }
    };
    let answer = tokio::time::timeout(TIMEOUT, question).await;
    match answer.map_err(|_| failed("it takes too long"))? {
        Ok(answer) => Ok(answer),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
            let code = status.code;
            Err(ReviewError::Forbidden { kind, code, right })
        }
        // What it says may repeat what it was asked.
        Err(kube::Error::Api(status)) => Err(failed(&format!("it answers {}", status.code))),
        Err(kube::Error::SerdeError(_)) => Err(failed("its answer cannot be read")),
        Err(error) => Err(failed(&error.to_string())),
    }
}
