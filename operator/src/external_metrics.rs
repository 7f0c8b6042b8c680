//! The API `external.metrics.k8s.io/v1beta1`, for HorizontalPodAutoscalers in clusters that have neither KEDA nor another
//! adapter: only one can serve it.
//!
//! `kube-apiserver` passes requests on to it (`APIService v1beta1.external.metrics.k8s.io`):
//!
//! ```text
//! GET /apis/external.metrics.k8s.io/v1beta1/namespaces/shop/requests_per_second?labelSelector=workload%3Dapi
//! ```
//!
//! The metrics are the [signals](crate::signals::Signal) by their names; the selector names the WorkloadDeployment, which is
//! in the same namespace. Values are totals for a target of the type `AverageValue`, as for [KEDA](crate::scaler). A target
//! of the type `Value` never works: there an HPA counts ready pods, and a workload's replicas are no pods.
//!
//! Requests are taken from `kube-apiserver` only, by its certificate ([`FrontProxy`]); whom it speaks for is asked about by
//! a SubjectAccessReview ([`Authorize`]). What is answered then is [`answer()`], which is pure.

mod answer;
mod cluster;
mod discovery;
mod front_proxy;
mod review;
mod selector;
mod server;
mod status;

pub use self::{
    answer::answer,
    cluster::{Reviewer, follow, publish_trust},
    front_proxy::{FrontProxy, FrontProxyError},
    review::{Access, Authorize, User, Verdict, subject_access_review},
    server::serve,
};

/// Group and version.
pub(crate) const GROUP: &str = "external.metrics.k8s.io";
pub(crate) const VERSION: &str = "v1beta1";

#[cfg(test)]
pub(crate) mod tests;
