//! Whom a request is for, and whether they may.

use std::{collections::BTreeMap, pin::Pin};

use serde_json::{Value, json};

use super::{GROUP, VERSION};

/// For whom `kube-apiserver` passes a request on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// Told by newer clusters only.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// What else is known, by key.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The metric, which is the resource there.
    pub metric: &'a str,
}

/// What comes of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may.
    Allowed,
    /// They may not, and why.
    Denied(String),
}

/// Tells whether somebody may.
pub trait Authorize: Send + Sync + 'static {
    /// Asks by a [`subject_access_review`].
    ///
    /// # Errors
    /// When nobody could be asked.
    fn authorize<'a>(
        &'a self,
        user: &'a User,
        access: Access<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, String>> + Send + 'a>>;
}

// === impl Access ===

impl<'a> Access<'a> {
    /// None: discovery, which is the same for all and says nothing of anybody's load.
    #[must_use]
    pub fn of(path: &'a str) -> Option<Self> {
        let steps: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
        match steps.as_slice() {
            ["apis", GROUP, VERSION, "namespaces", namespace, metric]
                if !namespace.is_empty() && !metric.is_empty() =>
            {
                Some(Self { namespace, metric })
            }
            _ => None,
        }
    }
}

/// The SubjectAccessReview that asks whether `user` may. A request without an object's name is a `list`, as the API server
/// understands paths, and as its own rights for the HPA controller have it.
#[must_use]
pub fn subject_access_review(user: &User, access: Access<'_>) -> Value {
    let mut spec = json!({
        "user": user.name,
        "groups": user.groups,
        "extra": user.extra,
        "resourceAttributes": {
            "group": GROUP,
            "version": VERSION,
            "resource": access.metric,
            "namespace": access.namespace,
            "verb": "list",
        },
    });
    if let Some(uid) = &user.uid {
        spec["uid"] = uid.as_str().into();
    }
    json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec })
}

// === impl Verdict ===

impl Verdict {
    /// From the answer to a [`subject_access_review`].
    #[must_use]
    pub fn read(review: &Value) -> Self {
        let status = &review["status"];
        let said = |key: &str| status[key].as_str().filter(|it| !it.is_empty());
        if status["allowed"] == true && status["denied"] != true {
            return Self::Allowed;
        }
        let why = said("reason").or_else(|| said("evaluationError")).unwrap_or("no rule allows it");
        Self::Denied(why.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_says_who_wants_what() {
        let user = User {
            name: "system:serviceaccount:kube-system:horizontal-pod-autoscaler".into(),
            uid: Some("u-1".into()),
            groups: vec!["system:serviceaccounts".into(), "system:authenticated".into()],
            extra: [("scopes".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into(),
        };
        let review = subject_access_review(&user, Access { namespace: "shop", metric: "queued" });
        let expected = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
                "uid": "u-1",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "extra": { "scopes": ["a", "b"] },
                "resourceAttributes": {
                    "group": "external.metrics.k8s.io",
                    "version": "v1beta1",
                    "resource": "queued",
                    "namespace": "shop",
                    "verb": "list",
                },
            },
        });
        assert_eq!(review, expected);
        let nameless = subject_access_review(&User::default(), Access { namespace: "shop", metric: "queued" });
        assert_eq!(nameless["spec"].get("uid"), None);
    }

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        let read = |status: Value| Verdict::read(&json!({ "status": status }));
        assert_eq!(read(json!({ "allowed": true })), Verdict::Allowed);
        assert_eq!(read(json!({ "allowed": true, "denied": true, "reason": "no" })), Verdict::Denied("no".into()));
        assert_eq!(read(json!({ "allowed": false, "evaluationError": "gone" })), Verdict::Denied("gone".into()));
        assert_eq!(read(json!({ "allowed": "true" })), Verdict::Denied("no rule allows it".into()));
        assert_eq!(Verdict::read(&json!({})), Verdict::Denied("no rule allows it".into()));
    }

    #[test]
    fn only_metrics_are_asked_about() {
        fn access(path: &str) -> Option<(&str, &str)> {
            Access::of(path).map(|it| (it.namespace, it.metric))
        }
        let metric = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queued";
        assert_eq!(access(metric), Some(("shop", "queued")));
        assert_eq!(access(&format!("{metric}/")), Some(("shop", "queued")));
        for path in [
            "/apis",
            "/apis/external.metrics.k8s.io/v1beta1",
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop",
            "/apis/external.metrics.k8s.io/v1beta1/namespaces//queued",
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queued/more",
            "/apis/external.metrics.k8s.io/v2/namespaces/shop/queued",
            "apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queued/x",
        ] {
            assert_eq!(access(path), None, "{path}");
        }
    }
}
