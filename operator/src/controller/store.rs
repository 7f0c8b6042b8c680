//! Copies of objects, as watches and the answers to own writes bring them.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    sync::Arc,
};

use kube::{Resource, runtime::watcher::Event};

use crate::plan::Name;

/// Which part of the cluster a watch covers: a namespace, or everything.
pub(crate) type Scope = Option<Arc<str>>;

/// All objects of one kind that are known.
#[derive(Debug)]
pub(crate) struct Store<K> {
    objects: HashMap<Name, Arc<K>>,
    /// Scopes that are listed (again) now, and what has been listed so far.
    listing: HashMap<Scope, HashSet<Name>>,
    /// Scopes whose first list is not complete.
    unsynced: HashSet<Scope>,
}

/// An object before and after.
#[derive(Debug)]
pub(crate) struct Changed<K> {
    pub(crate) name: Name,
    pub(crate) old: Option<Arc<K>>,
    pub(crate) new: Option<Arc<K>>,
}

impl<K: Resource + Debug> Store<K> {
    /// Empty; synced once every scope has been listed.
    pub(crate) fn new(scopes: &[Scope]) -> Self {
        Self { objects: HashMap::new(), listing: HashMap::new(), unsynced: scopes.iter().cloned().collect() }
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    pub(crate) fn get(&self, name: &Name) -> Option<&Arc<K>> {
        self.objects.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Arc<K>)> {
        self.objects.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Takes in what a watch says.
    pub(crate) fn watched(&mut self, scope: &Scope, event: Event<K>) -> Vec<Changed<K>> {
        match event {
            Event::Init => {
                self.listing.insert(scope.clone(), HashSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let name = name_of(&object);
                if let Some(listed) = self.listing.get_mut(scope) {
                    listed.insert(name);
                }
                self.written(object).into_iter().collect()
            }
            Event::InitDone => {
                self.unsynced.remove(scope);
                let Some(listed) = self.listing.remove(scope) else { return Vec::new() };
                let within = |name: &Name| scope.as_ref().is_none_or(|it| **it == *name.namespace);
                let gone = self.objects.keys().filter(|it| within(it) && !listed.contains(*it));
                let gone: Vec<Name> = gone.cloned().collect();
                gone.into_iter().map(|name| Changed { old: self.objects.remove(&name), name, new: None }).collect()
            }
            Event::Apply(object) => self.written(object).into_iter().collect(),
            Event::Delete(object) => self.deleted(&object).into_iter().collect(),
        }
    }

    /// Takes in an object, unless a newer copy is here already: watches lag behind the answers to own writes.
    pub(crate) fn written(&mut self, object: K) -> Option<Changed<K>> {
        let name = name_of(&object);
        let old = self.objects.get(&name).cloned();
        if let Some(old) = &old
            && version(&**old) >= version(&object)
            && version(&object) > 0
        {
            return None;
        }
        // An object that was made while its scope is listed is not in the list.
        for (scope, listed) in &mut self.listing {
            if scope.as_ref().is_none_or(|it| **it == *name.namespace) {
                listed.insert(name.clone());
            }
        }
        let new = Arc::new(object);
        self.objects.insert(name.clone(), new.clone());
        Some(Changed { name, old, new: Some(new) })
    }

    /// Forgets an object, unless a newer one of the same name is here already.
    fn deleted(&mut self, object: &K) -> Option<Changed<K>> {
        let name = name_of(object);
        let known = self.objects.get(&name)?;
        if version(&**known) > version(object) {
            return None;
        }
        self.forget(&name)
    }

    /// Forgets an object that the API server says is gone.
    pub(crate) fn forget(&mut self, name: &Name) -> Option<Changed<K>> {
        let old = self.objects.remove(name)?;
        for listed in self.listing.values_mut() {
            listed.remove(name);
        }
        Some(Changed { name: name.clone(), old: Some(old), new: None })
    }
}

/// Namespace (empty for what has none) and name.
pub(crate) fn name_of<K: Resource>(object: &K) -> Name {
    let meta = object.meta();
    Name::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Versions of the API server grow, and may be compared within a kind (Kubernetes promises it since 1.35); 0 if it is no
/// number.
fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_ref().and_then(|it| it.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(name: &str, version: u32) -> ConfigMap {
        let mut it = ConfigMap::default();
        let (namespace, name) = name.split_once('/').unwrap();
        it.metadata.namespace = Some(namespace.into());
        it.metadata.name = Some(name.into());
        it.metadata.resource_version = Some(version.to_string());
        it
    }

    fn names(store: &Store<ConfigMap>) -> Vec<String> {
        let mut names: Vec<_> = store.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn is_synced_when_every_scope_has_been_listed() {
        let scopes = [Some("a".into()), Some("b".into())];
        let mut store = Store::<ConfigMap>::new(&scopes);
        for scope in &scopes {
            assert!(!store.is_synced());
            store.watched(scope, Event::Init);
            store.watched(scope, Event::InitDone);
        }
        assert!(store.is_synced());
    }

    #[test]
    fn a_list_removes_what_it_lacks_in_its_scope_only() {
        let (a, b): (Scope, Scope) = (Some("a".into()), Some("b".into()));
        let mut store = Store::new(&[a.clone(), b.clone()]);
        for (scope, name) in [(&a, "a/1"), (&a, "a/2"), (&b, "b/1")] {
            store.watched(scope, Event::Apply(object(name, 5)));
        }
        store.watched(&a, Event::Init);
        store.watched(&a, Event::InitApply(object("a/2", 6)));
        // Written by this operator while the list was on its way.
        store.written(object("a/3", 7));
        let gone = store.watched(&a, Event::InitDone);
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].name.to_string(), "a/1");
        assert_eq!(names(&store), ["a/2", "a/3", "b/1"]);
    }

    #[test]
    fn old_news_changes_nothing() {
        let mut store = Store::new(&[None]);
        assert!(store.written(object("a/1", 8)).is_some());
        assert!(store.watched(&None, Event::Apply(object("a/1", 7))).is_empty());
        assert!(store.watched(&None, Event::Apply(object("a/1", 8))).is_empty());
        assert!(store.watched(&None, Event::Delete(object("a/1", 7))).is_empty());
        assert_eq!(store.watched(&None, Event::Delete(object("a/1", 9))).len(), 1);
        assert!(names(&store).is_empty());
    }
}
