//! Instances of components: how they are made, kept warm, called and ended.

mod body;
mod call;
mod concurrency;
mod crash;
mod fair;
mod heavy;
mod meter;
mod pool;
mod shared;
mod state;
mod stdio;
mod template;
mod tendency;
mod usage;
mod work;

pub(crate) use call::answer;
pub(crate) use heavy::HeavyRuntime;
pub(crate) use pool::{Pool, PoolOptions, Retire};
pub(crate) use state::State;
pub(crate) use template::{Entry, Instance, Mount, Template, TemplateOptions};
pub(crate) use usage::{Limit, Usage, Used};
pub(crate) use work::Work;
