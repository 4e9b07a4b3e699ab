//! A namespace or a sink that fills its share holds no other.
