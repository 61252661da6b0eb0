//! Every metric: its name, its meaning, and where its value comes from.
//!
//! Units' metrics are declared as data, in [`states`] what systemd shows and in [`groups`] what the
//! kernel counts, and rendered by [`crate::render`]; the exporter's [`own`] are in a registry.
//! `docs/metrics.md` lists them all, which a test holds it to.

pub mod groups;
pub mod own;
pub mod states;

use crate::exposition::Value;

/// Takes one sample: labels after `unit`, each part as it is to be written, and the value.
pub type Emit<'e> = dyn FnMut(&[&str], Value) + 'e;

fn each(value: Option<Value>, emit: &mut Emit<'_>) {
    if let Some(value) = value {
        emit(&[], value);
    }
}
