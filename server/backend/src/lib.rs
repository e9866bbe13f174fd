//! Everything secret: the internal API, the vault, the watches and the pushes.
