//! Calls from one component of a workload to another.
//!
//! Each component has a store of its own: memory limit, environment and egress policy are its own too, and a sibling
//! that traps does not corrupt its caller. Arguments and results are copied between the two.

use std::sync::Arc;

use penstock_router::{Cause, Error};
use wasmtime::{
    StoreContextMut,
    component::{Component, ComponentExportIndex, Linker, Val, types::ComponentItem},
};

use super::graph::{Link, LinkError};
use crate::instance::{Instance, State, Template, Work};

/// A live instance of a sibling: made at the first call, kept as long as its caller.
pub(crate) type Sibling = Instance;

/// Defines one import of `importer` by what `provider` exports. `slot` is the link's place in the importer's
/// [`Template::links`].
pub(crate) fn define(
    linker: &mut Linker<State>,
    (importer, importing): (&str, &Component),
    (exporter, exporting): (&str, &Component),
    link: &Link,
    slot: usize,
) -> Result<(), LinkError> {
    let refuse = |what: String| LinkError::NotPlain {
        component: importer.to_owned(),
        provider: exporter.to_owned(),
        interface: link.import.clone(),
        what,
    };
    let engine = linker.engine().clone();
    let interface = exporting.get_export_index(None, &link.export).ok_or_else(|| refuse("its shape".to_owned()))?;
    let component_type = importing.component_type();
    let imported = component_type.imports(&engine).find(|(name, _)| *name == link.import).map(|(_, item)| item.ty);
    let Some(ComponentItem::ComponentInstance(imported)) = imported else {
        return Err(refuse("anything but an interface".to_owned()));
    };
    let mut instance = linker.instance(&link.import).map_err(|error| refuse(error.to_string()))?;
    for (name, item) in imported.exports(&engine) {
        match item.ty {
            ComponentItem::ComponentFunc(function) => {
                if function.async_() {
                    return Err(refuse(format!("the asynchronous function '{name}'")));
                }
                let export = exporting
                    .get_export_index(Some(&interface), name)
                    .ok_or_else(|| refuse(format!("'{name}', which the other does not have,")))?;
                let results = function.results().len();
                instance
                    .func_new_async(name, move |store, _, arguments, out| {
                        debug_assert_eq!(out.len(), results);
                        Box::new(call(store, slot, export, arguments, out))
                    })
                    .map_err(|error| refuse(error.to_string()))?;
            }
            ComponentItem::Resource(_) => return Err(refuse(format!("the resource '{name}'"))),
            ComponentItem::Type(_) => {}
            _ => return Err(refuse(format!("the item '{name}'"))),
        }
    }
    Ok(())
}

async fn call(
    mut store: StoreContextMut<'_, State>,
    slot: usize,
    export: ComponentExportIndex,
    arguments: &[Val],
    out: &mut [Val],
) -> wasmtime::Result<()> {
    let state = store.data_mut();
    let template: Arc<Template> =
        state.template.links.get(slot).cloned().ok_or_else(|| wasmtime::format_err!("no link {slot}"))?;
    let instance = state.siblings.get_mut(slot).and_then(Option::take);
    let (arguments, mut results) = (arguments.to_vec(), vec![Val::Bool(false); out.len()]);
    let meter = instance.as_ref().map(|instance| instance.store.data().meter.clone());
    let mut instance = match instance {
        Some(instance) => instance,
        None => template.instantiate_now().await?,
    };
    let meter = meter.unwrap_or_else(|| instance.store.data().meter.clone());
    meter.begin_call();
    let lane = template.lane.clone();
    let work = async move {
        let store = &mut instance.store;
        store.set_epoch_deadline(1);
        let result = match instance.exports.raw().and_then(|raw| raw.get_func(&mut *store, export)) {
            Some(function) => function.call_async(&mut *store, &arguments, &mut results).await,
            None => Err(wasmtime::format_err!("it does not export the function")),
        };
        let result = result.map_err(|error| template.failure(store, &error, "trapped", Cause::GuestTrap));
        (instance, result.map(|()| results))
    };
    // A task of its own: wasmtime does not let one store's event loop run inside another's.
    let ended = wasmtime_wasi::runtime::spawn(Work::new(work, meter, lane)).await;
    let Some((instance, result)) = ended else {
        return Err(Error::new(Cause::Internal, "a sibling's call was cut off by a fault of the host").into());
    };
    let results = result?;
    for (out, result) in out.iter_mut().zip(results) {
        *out = result;
    }
    if let Some(place) = store.data_mut().siblings.get_mut(slot) {
        *place = Some(instance);
    }
    Ok(())
}
