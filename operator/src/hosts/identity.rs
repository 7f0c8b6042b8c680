//! Whose token it is. The one file here that knows Kubernetes.

use std::{fmt, pin::Pin, sync::Arc};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use kube::api::{Api, PostParams};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::HostId;

/// What the API server writes into `extra` of a user whose token is bound to a pod.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Tokens that are asked for at once: when a thousand hosts come at the same time, the API server has others to serve too.
const AT_ONCE: usize = 32;

/// Tells whose token it is.
pub trait Identify: Send + Sync + 'static {
    /// The pod that a token is bound to.
    ///
    /// # Errors
    /// See [`Refusal`].
    fn identify<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Result<Identity, Refusal>> + Send + 'a>>;
}

/// A host, as Kubernetes knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The pod's name.
    pub pod: HostId,
    /// The pod's uid.
    pub pod_uid: String,
    /// The node's name, from Kubernetes 1.32 on.
    pub node: Option<String>,
}

/// Why a token says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is no token, or not for us.
    #[error("{0}")]
    Unauthenticated(String),
    /// It is somebody's, but not a host's.
    #[error("{0}")]
    Forbidden(String),
    /// Nobody could be asked: come again.
    #[error("{0}")]
    Unavailable(String),
}

/// Whose tokens count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// What the token must be for.
    pub audience: String,
    /// The namespace of the hosts' pods.
    pub namespace: String,
    /// Their ServiceAccount.
    pub service_account: String,
}

/// Asks the API server.
pub struct TokenReviewer {
    api: Api<TokenReview>,
    rules: TokenRules,
    turns: Arc<Semaphore>,
}

// === impl TokenReviewer ===

impl TokenReviewer {
    /// Needs the right to create `tokenreviews.authentication.k8s.io`.
    #[must_use]
    pub fn new(client: kube::Client, rules: TokenRules) -> Self {
        Self { api: Api::all(client), rules, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    async fn ask(&self, token: &str) -> Result<Identity, Refusal> {
        let _turn = self.turns.acquire().await;
        let spec = TokenReviewSpec { audiences: Some(vec![self.rules.audience.clone()]), token: token.to_owned() };
        let review = TokenReview { spec, ..TokenReview::default() };
        match self.api.create(&PostParams::default(), &review).await {
            Ok(review) => self.rules.judge(review.status.unwrap_or_default()),
            Err(error) => Err(Refusal::Unavailable(format!("the API server cannot say whose token it is: {error}"))),
        }
    }
}

impl Identify for TokenReviewer {
    fn identify<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Result<Identity, Refusal>> + Send + 'a>> {
        Box::pin(self.ask(token))
    }
}

impl fmt::Debug for TokenReviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReviewer").field("rules", &self.rules).finish_non_exhaustive()
    }
}

// === impl TokenRules ===

impl TokenRules {
    /// What the API server's answer comes to.
    fn judge(&self, status: TokenReviewStatus) -> Result<Identity, Refusal> {
        if status.authenticated != Some(true) {
            let error = status.error.filter(|it| !it.is_empty());
            let error = error.unwrap_or_else(|| "it is not valid (any more)".to_owned());
            return Err(Refusal::Unauthenticated(format!("the token does not count here: {error}")));
        }
        // A server that knows nothing of audiences names none.
        if !status.audiences.unwrap_or_default().contains(&self.audience) {
            let audience = &self.audience;
            return Err(Refusal::Unauthenticated(format!(
                "the token is not for the audience {audience}: mount one that is (serviceAccountToken, audience: {audience})"
            )));
        }
        let user = status.user.unwrap_or_default();
        let wanted = format!("system:serviceaccount:{}:{}", self.namespace, self.service_account);
        let is = user.username.as_deref().unwrap_or_default();
        if is != wanted {
            return Err(Refusal::Forbidden(format!("the token is that of {is}, and hosts are {wanted}")));
        }
        match (extra(&user, POD_NAME), extra(&user, POD_UID)) {
            (Some(pod), Some(uid)) => Ok(Identity {
                pod: pod.into(),
                pod_uid: uid.to_owned(),
                node: extra(&user, NODE_NAME).map(str::to_owned),
            }),
            _ => Err(Refusal::Forbidden(
                "the token is not bound to a pod: use a projected one, as the host's manifest does".to_owned(),
            )),
        }
    }
}

fn extra<'a>(user: &'a UserInfo, key: &str) -> Option<&'a str> {
    user.extra.as_ref()?.get(key)?.first().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> TokenRules {
        TokenRules {
            audience: "penstock-operator".into(),
            namespace: "penstock-system".into(),
            service_account: "penstock-host".into(),
        }
    }

    fn good() -> TokenReviewStatus {
        let extra = [(POD_NAME, "host-a"), (POD_UID, "uid-a"), (NODE_NAME, "node-1")];
        let user = UserInfo {
            username: Some("system:serviceaccount:penstock-system:penstock-host".into()),
            extra: Some(extra.into_iter().map(|(key, value)| (key.to_owned(), vec![value.to_owned()])).collect()),
            ..UserInfo::default()
        };
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(vec!["penstock-operator".into()]),
            error: None,
            user: Some(user),
        }
    }

    #[test]
    fn a_pods_own_token_names_the_pod() {
        let identity = rules().judge(good()).unwrap();
        assert_eq!(identity, Identity { pod: "host-a".into(), pod_uid: "uid-a".into(), node: Some("node-1".into()) });
    }

    #[test]
    fn every_other_token_is_refused_and_told_why() {
        type Change = fn(&mut TokenReviewStatus);
        let cases: [(&str, bool, Change); 6] = [
            ("it is not valid", false, |it| it.authenticated = Some(false)),
            ("not for the audience penstock-operator", false, |it| it.audiences = None),
            ("not for the audience", false, |it| it.audiences = Some(vec!["https://kubernetes.default.svc".into()])),
            ("and hosts are", true, |it| it.user.as_mut().unwrap().username = Some("system:serviceaccount:a:b".into())),
            ("not bound to a pod", true, |it| it.user.as_mut().unwrap().extra = None),
            ("signature is invalid", false, |it| {
                (it.authenticated, it.error) = (None, Some("signature is invalid".into()));
            }),
        ];
        for (text, forbidden, change) in cases {
            let mut status = good();
            change(&mut status);
            let refusal = rules().judge(status).unwrap_err();
            assert!(refusal.to_string().contains(text), "{refusal}");
            assert_eq!(matches!(refusal, Refusal::Forbidden(_)), forbidden, "{refusal}");
        }
    }
}
