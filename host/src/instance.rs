//! Instances of components: how they are made, kept warm, called and ended.

mod body;
mod call;
mod fair;
mod heavy;
mod meter;
mod pool;
mod shared;
mod state;
mod stdio;
mod template;
mod tendency;
mod work;

pub(crate) use call::answer;
pub(crate) use heavy::HeavyRuntime;
pub(crate) use pool::Pool;
pub(crate) use state::State;
pub(crate) use template::{Entry, Instance, Mount, Template, TemplateOptions};
pub(crate) use work::Work;
