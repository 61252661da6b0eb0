//! One connection, made when it is needed and dropped at the first doubt.

use std::time::Duration;

use postgresql::Connector;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use crate::repairs::FleetError;
use crate::schema;

/// How long the fleet may take to answer, connecting included. A repair waits for it, so it is
/// about what a slow look at a unit takes.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// The server ends a statement itself before the client gives up on it, so that no claim is
/// granted after nobody waits for it any more.
const STATEMENT_TIMEOUT_MS: u32 = 900;

pub(crate) struct Connection {
    connector: Connector,
    client: Mutex<Option<Client>>,
}

impl Connection {
    pub(crate) fn new(mut connector: Connector) -> Self {
        connector
            .config
            .application_name("alert-bot")
            .connect_timeout(ANSWER_WAIT)
            .options(format!("-c statement_timeout={STATEMENT_TIMEOUT_MS}"));
        Self {
            connector,
            client: Mutex::new(None),
        }
    }

    /// Runs `work` on a connection that lives, within [`ANSWER_WAIT`].
    pub(crate) async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, FleetError> {
        let attempt = async {
            let mut slot = self.client.lock().await;
            // Out of the slot while in use: whatever is cut short leaves no connection behind.
            let mut client = match slot.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => self.connect().await?,
            };
            let done = work(&mut client).await.map_err(FleetError::Refused)?;
            *slot = Some(client);
            Ok(done)
        };
        tokio::time::timeout(ANSWER_WAIT, attempt)
            .await
            .unwrap_or(Err(FleetError::Silent(ANSWER_WAIT)))
    }

    async fn connect(&self) -> Result<Client, FleetError> {
        let (mut client, driver) = self
            .connector
            .config
            .connect(self.connector.tls.clone())
            .await
            .map_err(FleetError::Refused)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to the fleet's database ended");
            }
        });
        schema::ensure(&mut client)
            .await
            .map_err(FleetError::Refused)?;
        Ok(client)
    }
}
