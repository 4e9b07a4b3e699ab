//! Log reads, preparing and held events are shared fairly between namespaces.
