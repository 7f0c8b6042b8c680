//! What is said of a deployment's autoscaling, in the HorizontalPodAutoscaler's words where it has them.

use penstock_api::{conditions as is, reasons};

use super::Draft;
use crate::plan::autoscale::Limit;

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Autoscaled {
    /// Its replicas follow its load, as far as the limit lets them.
    Active(Option<Limit>),
    /// This HorizontalPodAutoscaler scales it, so the operator does not.
    ByAnother(String),
    /// `spec.autoscaling` makes no sense: why.
    Invalid(String),
}

/// The conditions for it.
pub(super) fn drafts(it: &Autoscaled) -> [Draft; 2] {
    let limited = |limit: Option<&Limit>| match limit {
        None => Draft::no(
            is::SCALING_LIMITED,
            reasons::DESIRED_WITHIN_RANGE,
            "nothing keeps it from what its load asks for",
        ),
        Some(limit) => {
            let (reason, message) = match limit {
                Limit::TooFewReplicas => (reasons::TOO_FEW_REPLICAS, "fewer would do, and minReplicas forbids it"),
                Limit::TooManyReplicas => (reasons::TOO_MANY_REPLICAS, "its load asks for more than maxReplicas"),
                Limit::ScaleUpLimit => (reasons::SCALE_UP_LIMIT, "behavior.scaleUp allows no faster growth"),
                Limit::ScaleDownLimit => (reasons::SCALE_DOWN_LIMIT, "behavior.scaleDown allows no faster decrease"),
            };
            Draft::yes(is::SCALING_LIMITED, reason, message)
        }
    };
    match it {
        Autoscaled::Active(limit) => {
            let active = Draft::yes(is::SCALING_ACTIVE, reasons::FOLLOWS_LOAD, "its replicas follow its load");
            [active, limited(limit.as_ref())]
        }
        Autoscaled::ByAnother(name) => {
            let message = format!(
                "the HorizontalPodAutoscaler {name} scales it too, so spec.autoscaling is left alone: remove one of them (a ScaledObject makes such an autoscaler)"
            );
            [Draft::no(is::SCALING_ACTIVE, reasons::AMBIGUOUS_AUTOSCALER, message), limited(None)]
        }
        Autoscaled::Invalid(message) => {
            [Draft::no(is::SCALING_ACTIVE, reasons::INVALID_AUTOSCALING, message.clone()), limited(None)]
        }
    }
}
