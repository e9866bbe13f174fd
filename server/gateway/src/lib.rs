//! The public edge: the device API, checked and passed on. It holds nothing worth stealing.
