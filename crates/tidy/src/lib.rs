//! Invariants of the whole repository, as tests.
