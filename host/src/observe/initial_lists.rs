//! Tracks which initial lists are complete. A namespace is listed once its list of Pods and its
//! list of TaskRuns are complete.

use super::change::Change;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A namespace, or all namespaces (`None`).
pub(super) type Scope = Option<Arc<str>>;

/// The scopes whose initial lists are not complete.
#[derive(Debug)]
pub(super) struct InitialLists {
    /// Number of missing lists per scope.
    unlisted: BTreeMap<Scope, usize>,
    /// Namespaces whose lists the API server refuses. The other namespaces do not wait for them.
    excluded: BTreeSet<Arc<str>>,
    /// True if [`Change::Listed`] was returned.
    reported: bool,
}

impl InitialLists {
    /// Creates the state in which no scope is listed, and each scope has this number of lists.
    pub(super) fn new(scopes: &[Scope], lists_per_scope: usize) -> Self {
        Self {
            unlisted: scopes
                .iter()
                .map(|scope| (scope.clone(), lists_per_scope))
                .collect(),
            excluded: BTreeSet::new(),
            reported: false,
        }
    }

    /// Records that one initial list of a scope is complete. Returns the change that this causes,
    /// if any.
    pub(super) fn complete(&mut self, scope: &Scope) -> Option<Change> {
        let lacking = self.unlisted.get_mut(scope)?;
        *lacking = lacking.saturating_sub(1);
        if *lacking > 0 {
            return None;
        }
        self.unlisted.remove(scope);
        let Some(namespace) = scope.as_ref().filter(|_| self.reported) else {
            return self.report_if_ready();
        };
        self.excluded.remove(namespace);
        Some(Change::NamespaceListed {
            namespace: namespace.clone(),
        })
    }

    /// Records that an initial list of a scope is refused, so that the other namespaces no longer
    /// wait for it. A scope of all namespaces is never excluded. Returns the change that this
    /// causes, if any.
    pub(super) fn exclude(&mut self, scope: &Scope) -> Option<Change> {
        let namespace = scope
            .as_ref()
            .filter(|_| self.unlisted.contains_key(scope))?;
        self.excluded.insert(namespace.clone());
        self.report_if_ready()
    }

    fn report_if_ready(&mut self) -> Option<Change> {
        let excluded = |scope: &Scope| {
            let namespace = scope.as_ref();
            namespace.is_some_and(|namespace| self.excluded.contains(namespace))
        };
        if self.reported || !self.unlisted.keys().all(excluded) {
            return None;
        }
        self.reported = true;
        Some(Change::Listed {
            without: self.unlisted.keys().flatten().cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Scope {
        Some(name.into())
    }

    fn listed(change: Option<Change>) -> Vec<String> {
        match change {
            Some(Change::Listed { without }) => {
                without.iter().map(|name| (**name).to_owned()).collect()
            }
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn everything_is_listed_when_both_lists_of_all_are() {
        let mut scopes = InitialLists::new(&[None], 2);
        assert!(scopes.complete(&None).is_none());
        assert!(listed(scopes.complete(&None)).is_empty());
    }

    #[test]
    fn a_refused_namespace_delays_no_other() {
        let (good, bad) = (named("good"), named("bad"));
        let mut scopes = InitialLists::new(&[good.clone(), bad.clone()], 2);
        assert!(scopes.complete(&bad).is_none());
        assert!(scopes.exclude(&bad).is_none());
        assert!(scopes.complete(&good).is_none());
        assert_eq!(listed(scopes.complete(&good)), ["bad"]);
        assert!(scopes.exclude(&bad).is_none());
        assert!(matches!(
            scopes.complete(&bad),
            Some(Change::NamespaceListed { namespace }) if &*namespace == "bad"
        ));
    }

    #[test]
    fn a_namespace_granted_before_the_others_are_listed_is_listed_with_them() {
        let (good, late) = (named("good"), named("late"));
        let mut scopes = InitialLists::new(&[good.clone(), late.clone()], 2);
        assert!(scopes.exclude(&late).is_none());
        assert!(scopes.complete(&late).is_none());
        assert!(scopes.complete(&late).is_none());
        assert!(scopes.complete(&good).is_none());
        assert!(listed(scopes.complete(&good)).is_empty());
    }

    #[test]
    fn all_namespaces_at_once_are_never_excluded() {
        let mut scopes = InitialLists::new(&[None], 2);
        assert!(scopes.exclude(&None).is_none());
        assert!(!scopes.reported);
    }
}
