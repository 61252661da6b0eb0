//! What people tell the running bot, over its control socket.

/// One order or question.
#[derive(Debug)]
pub(crate) enum Command {}
