//! Policy and decision: what may be done about an alert, and why.
