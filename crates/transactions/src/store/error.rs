//! What can go wrong while a store works, and while it is opened.

/// Why a store did not do what it was asked. Nothing was acknowledged; a write may still have
/// happened where the reason is [`Unavailable`](Self::Unavailable).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// More is asked than the store can do; the queue is bounded so that waiting stays short.
    #[error("the store's queue is full")]
    Overloaded,
    /// Another process kept the write lock for too long.
    #[error("another process holds the store's write lock")]
    Busy,
    /// No space, or no quota.
    #[error("the store's disk is full")]
    DiskFull,
    /// The file system or the engine failed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be understood.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store was closed by this process.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Every word of [`reason`](Self::reason), for a counter that is to begin at zero.
    pub const REASONS: [&str; 6] = [
        "overloaded",
        "busy",
        "disk_full",
        "unavailable",
        "damaged",
        "closed",
    ];

    /// Whether the same request may succeed later without anybody's repair.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Damaged(_) | Self::Closed)
    }

    /// One word for metric labels.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Busy => "busy",
            Self::DiskFull => "disk_full",
            Self::Unavailable(_) => "unavailable",
            Self::Damaged(_) => "damaged",
            Self::Closed => "closed",
        }
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is a database of something else.
    #[error("{place} is a database of another application (application_id {found:#x})")]
    NotOurs {
        /// Which store.
        place: String,
        /// What its header says.
        found: i32,
    },
    /// A later version of this program wrote it.
    #[error(
        "{place} has schema version {found}, this program knows up to {known}; install the newer one"
    )]
    TooNew {
        /// Which store.
        place: String,
        /// The version found.
        found: usize,
        /// The latest version known.
        known: usize,
    },
    /// The integrity check found something.
    #[error("{place} fails its integrity check ({finding}); restore a backup")]
    Failed {
        /// Which store.
        place: String,
        /// The first finding.
        finding: String,
    },
    /// What a connection takes cannot be read.
    #[error("cannot connect to {place}")]
    Connector {
        /// Which store.
        place: String,
        /// Which file, and why.
        source: postgresql::ConnectorError,
    },
    /// The engine could not open it, or does not answer.
    #[error("cannot open {place}")]
    Store {
        /// Which store.
        place: String,
        /// The engine's reason.
        source: StoreError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_listed_reason_of_its_own() {
        let errors = [
            StoreError::Overloaded,
            StoreError::Busy,
            StoreError::DiskFull,
            StoreError::Unavailable(String::new()),
            StoreError::Damaged(String::new()),
            StoreError::Closed,
        ];
        assert_eq!(errors.map(|error| error.reason()), StoreError::REASONS);
    }
}
