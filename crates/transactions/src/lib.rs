//! The demo's domain: transactions and their durable store.
