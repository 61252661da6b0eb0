//! Workers that insert and settle transactions.
