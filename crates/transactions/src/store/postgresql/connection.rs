//! How connections are made, and what their errors mean.

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use postgresql::{Connector, DatabaseUrl};
use tokio_postgres::error::SqlState;

use super::super::{OpenError, StoreError, WRITE_LOCK_WAIT};

/// Connections of one process. Statements are short; more would only queue inside the server.
const CONNECTIONS: usize = 8;

/// How long a connection may take to be made, or to become free.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// How long a statement may take before its connection is given up. Above the server's own bound,
/// so that a server that lives says itself what is wrong.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(4);

/// A pool, and how errors name its database. Connects only when it is used.
pub(super) fn pool(database: &DatabaseUrl) -> Result<(Pool, String), OpenError> {
    let place = database.place();
    let Connector { mut config, tls } =
        database
            .connector()
            .map_err(|source| OpenError::Connector {
                place: place.clone(),
                source,
            })?;
    let bound = WRITE_LOCK_WAIT.as_millis();
    config
        .application_name("transactions")
        .connect_timeout(CONNECT_WAIT)
        // An acknowledgement means durable, whatever the server's default says.
        .options(format!(
            "-c synchronous_commit=on -c statement_timeout={bound}"
        ));
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let pool = Pool::builder(Manager::from_config(config, tls, recycling))
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT_WAIT))
        .create_timeout(Some(CONNECT_WAIT))
        .recycle_timeout(Some(CONNECT_WAIT))
        .build()
        .map_err(|error| OpenError::Store {
            place: place.clone(),
            source: StoreError::Unavailable(error.to_string()),
        })?;
    Ok((pool, place))
}

/// What a missing connection means to callers.
pub(super) fn pool_error(error: PoolError) -> StoreError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Overloaded,
        PoolError::Closed => StoreError::Closed,
        PoolError::Backend(error) => store_error(&error),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// What an error of the server means to callers.
pub(super) fn store_error(error: &tokio_postgres::Error) -> StoreError {
    let Some(state) = error.code() else {
        return StoreError::Unavailable(describe(error));
    };
    match *state {
        SqlState::DISK_FULL => StoreError::DiskFull,
        SqlState::QUERY_CANCELED
        | SqlState::LOCK_NOT_AVAILABLE
        | SqlState::T_R_DEADLOCK_DETECTED => StoreError::Busy,
        SqlState::TOO_MANY_CONNECTIONS => StoreError::Overloaded,
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => {
            StoreError::Damaged(error.to_string())
        }
        _ => StoreError::Unavailable(format!("{} ({})", describe(error), state.code())),
    }
}

/// The server's own words, or why there are none; the error's `Display` says only that it was one.
fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(server), _) => server.message().to_owned(),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
