//! Drives the machine of [`domain`] with what mail servers say.
