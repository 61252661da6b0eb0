//! The decision, driven from outside through a small model of a host: by stories whose traces are
//! kept, and by generated sequences that must keep every promise.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod world;
